// Groups of commands that call the admin API: `npm run admin -- <group> <command> …`.
import { Misuse, orUsage, refusePlace } from "./ask.mjs";
import { didYouMean } from "./did-you-mean.mjs";
import { optionsOf } from "./options.mjs";

/**
 * @template Given
 * @typedef {object} Command
 * @property {string} about
 * @property {string} [takes] The argument, if it takes one.
 * @property {string} [takesSecond] A second argument.
 * @property {string} [mayTake] A second argument that may be left out.
 * @property {import("node:util").ParseArgsOptionsConfig} [options]
 * @property {string} [help] The options for people.
 * @property {(given: Given & { word: string, second?: string, json?: boolean }) => Promise<number | void>} run
 */

/**
 * Runs a command of a group; returns its exit status.
 * @template Given
 * @param {{ group: string, commands: { [name: string]: Command<Given> }, where: string }} all
 * @param {string[]} args
 */
export function runCommand({ group, commands, where }, args) {
  const whole = usage(group, commands, where);
  const index = args.findIndex((word) => Object.hasOwn(commands, word));
  const name = args.find((word) => !word.startsWith("-"));
  if (index < 0 || args[index] !== name) {
    return orUsage(whole, () => {
      if (args.length > 0 && args.every((word) => word === "--help")) {
        console.log(whole);
        return 0;
      }
      throw new Misuse(name === undefined ? "the command is missing" : `\`${group}\` has no command ${name}${didYouMean(name, Object.keys(commands))}`);
    });
  }
  const command = commands[name];
  const { takes, takesSecond, mayTake, options, run } = command;
  const own = usageOf(group, name, command, where);
  return orUsage(own, async () => {
    const { values, positionals } = optionsOf(args.toSpliced(index, 1), options);
    if (values.help) {
      console.log(own);
      return 0;
    }
    refusePlace(values);
    const fewest = (takes ? 1 : 0) + (takesSecond ? 1 : 0);
    const most = fewest + (mayTake ? 1 : 0);
    if (positionals.length < fewest || positionals.length > most) {
      const wanted = `\`${group} ${name}\` takes ${takes ? `one ${takes}${takesSecond ? ` and one ${takesSecond}` : ""}${mayTake ? ` and may take one ${mayTake}` : ""}` : "no arguments"}`;
      throw new Misuse(takes ? wanted : `${wanted}: ${positionals.join(" ")}`);
    }
    const [word, second] = positionals;
    return (await run(/** @type {Parameters<typeof run>[0]} */ ({ ...values, word, second }))) ?? 0;
  });
}

/** @typedef {Pick<Command<never>, "takes" | "takesSecond" | "mayTake" | "about" | "help">} Shown What the help tells of a command. */

/** @type {(command: Pick<Shown, "takes" | "takesSecond" | "mayTake">) => string} */
const argumentsOf = ({ takes, takesSecond, mayTake }) => `${takes ? ` ${takes}` : ""}${takesSecond ? ` ${takesSecond}` : ""}${mayTake ? ` [${mayTake}]` : ""}`;

/** @type {(group: string, commands: { [name: string]: Shown }, where: string) => string} */
const usage = (group, commands, where) => `Usage: npm run admin -- ${group} <command> [--json]

${Object.entries(commands)
  .map(([name, command]) => `  ${`${name}${argumentsOf(command)}`.padEnd(41)}${command.about}`)
  .join("\n")}

  --json   print JSON for programs
  --help   with a command: show its options

${where}`;

/** @type {(group: string, name: string, command: Shown, where: string) => string} */
const usageOf = (group, name, command, where) => `Usage: npm run admin -- ${group} ${name}${argumentsOf(command)} ${command.help ? "[options] " : ""}[--json]

${command.about[0].toUpperCase()}${command.about.slice(1)}.
${command.help ? `\n${command.help}\n` : ""}
${where}`;

/**
 * Prints the text, or the value if `--json` is set.
 * @type {(given: { json?: boolean }, value: unknown, text: string) => void}
 */
export const say = ({ json }, value, text) => console.log(json ? JSON.stringify(value) : text);

/**
 * A time of the admin API for people.
 * @param {number | null | undefined} seconds
 */
export const timeOf = (seconds) => (seconds === null || seconds === undefined ? "-" : new Date(seconds * 1000).toISOString().replace(".000", ""));
