// Suggestions for misspelt words: options, commands, steps.
import { codeOf, messageOf } from "./step.mjs";

/** More than two slips are another word. */
const MOST_SLIPS = 2;

/**
 * The fewest insertions, removals, replacements and swaps of neighbours that make one word of the other (Damerau and
 * Levenshtein, where no part is changed twice).
 * @param {string} from
 * @param {string} to
 */
export function distance(from, to) {
  const row = (/** @type {number} */ first) => [first, ...Array(to.length).fill(0)];
  let earlier = row(0);
  let before = row(0).map((_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const now = row(i);
    for (let j = 1; j <= to.length; j += 1) {
      const isSame = from[i - 1] === to[j - 1];
      now[j] = Math.min(before[j] + 1, now[j - 1] + 1, before[j - 1] + (isSame ? 0 : 1));
      const isSwap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (isSwap) now[j] = Math.min(now[j], earlier[j - 2] + 1);
    }
    [earlier, before] = [before, now];
  }
  return before[to.length];
}

/**
 * The known word that was probably meant: at most two slips away, and with fewer slips than half of its letters. Of several that
 * are equally near, the first.
 * @param {string} word
 * @param {Iterable<string>} known
 */
export function nearest(word, known) {
  /** @type {string | undefined} */
  let best;
  let fewest = MOST_SLIPS + 1;
  for (const candidate of known) {
    const slips = distance(word.toLowerCase(), candidate.toLowerCase());
    if (slips >= fewest || 2 * slips >= candidate.length) continue;
    [best, fewest] = [candidate, slips];
  }
  return best;
}

/**
 * `; did you mean <word>?` to be put behind a message, or nothing if no known word is near.
 * @param {string} word
 * @param {Iterable<string>} known
 */
export function didYouMean(word, known) {
  const meant = nearest(word, known);
  return meant === undefined ? "" : `; did you mean ${meant}?`;
}

/**
 * What `parseArgs` of node:util has thrown, as one short sentence, with a suggestion if an option is unknown.
 * @param {unknown} error
 * @param {import("node:util").ParseArgsOptionsConfig} options Those that `parseArgs` was given.
 */
export function optionError(error, options) {
  if (codeOf(error) !== "ERR_PARSE_ARGS_UNKNOWN_OPTION") return messageOf(error);
  const option = /'(--?[^']*)'/.exec(messageOf(error))?.[1];
  if (option === undefined) return messageOf(error);
  const known = Object.entries(options).flatMap(([name, { type, default: value }]) => [`--${name}`, ...(type === "boolean" && value ? [`--no-${name}`] : [])]);
  return `there is no option ${option}${didYouMean(option, known)}`;
}
