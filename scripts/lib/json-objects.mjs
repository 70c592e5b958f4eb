// The objects of a large JSON file, one after the other: a list of objects, or one object per line.
import { createReadStream } from "node:fs";
import { StepFailed } from "./step.mjs";

/** The longest object, in characters. */
const LONGEST = 16 * 1024 * 1024;

const [QUOTE, BACKSLASH, OPEN, CLOSE] = ['"', "\\", "{", "}"].map((character) => character.charCodeAt(0));

/**
 * Yields the objects of `file`, of which it holds one at a time. The file must be whole: an export that was interrupted is
 * an error.
 * @param {string} file
 * @returns {AsyncGenerator<Record<string, unknown>>}
 */
export async function* jsonObjects(file) {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  /** Whether the objects are in a list; known as soon as there is one. @type {boolean | undefined} */
  let isList;
  let text = "";
  let [at, start, depth, isQuoted] = [0, 0, 0, false];
  for await (const bytes of createReadStream(file)) {
    text += decode(decoder, file, bytes);
    for (; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (isQuoted) {
        // The character after a backslash may come with the next bytes.
        if (code === BACKSLASH) at += 1;
        else if (code === QUOTE) isQuoted = false;
      } else if (code === QUOTE) {
        isQuoted = true;
      } else if (code === OPEN) {
        if (depth === 0) {
          const before = text.slice(start, at);
          refuseUnless(isList === undefined ? /^\s*\[?\s*$/ : isList ? /^\s*,\s*$/ : /^\s*$/, file, before);
          isList ??= before.includes("[");
          start = at;
        }
        depth += 1;
      } else if (code === CLOSE && depth > 0) {
        depth -= 1;
        if (depth > 0) continue;
        yield parseObject(file, text.slice(start, at + 1));
        start = at + 1;
      }
    }
    text = text.slice(start);
    at -= start;
    start = 0;
    if (text.length > LONGEST) throw new StepFailed(`${file}: an object has more than ${LONGEST} characters`);
  }
  if (depth > 0 || (isList && text.trim() === "")) throw new StepFailed(`${file} ends in the middle: the export was interrupted`);
  refuseUnless(isList === undefined ? /^\s*(\[\s*\]\s*)?$/ : isList ? /^\s*\]\s*$/ : /^\s*$/, file, text);
}

/**
 * @param {TextDecoder} decoder
 * @param {string} file
 * @param {Buffer} bytes
 */
function decode(decoder, file, bytes) {
  try {
    return decoder.decode(bytes, { stream: true });
  } catch {
    throw new StepFailed(`${file} is not UTF-8`);
  }
}

/**
 * @param {RegExp} form
 * @param {string} file
 * @param {string} text
 */
function refuseUnless(form, file, text) {
  if (!form.test(text)) throw new StepFailed(`${file} is not a list of objects: ${text.trim().slice(0, 60)}`);
}

/**
 * @param {string} file
 * @param {string} text
 * @returns {Record<string, unknown>}
 */
function parseObject(file, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new StepFailed(`${file} is not JSON: ${text.slice(0, 60)}`);
  }
}
