// Questions to the person at the terminal.
import { createInterface } from "node:readline/promises";
import { text as readAll } from "node:stream/consumers";
import { Writable } from "node:stream";
import { Misuse } from "./ask.mjs";
import { StepFailed } from "./step.mjs";

/**
 * Asks for a secret without showing it. Without a terminal, reads all of standard input, less one line break at the end.
 * @param {string} question
 * @param {{ twice?: boolean }} [options] `twice`: asks again and compares.
 */
export async function askSecret(question, { twice = false } = {}) {
  if (!process.stdin.isTTY) {
    const given = (await readAll(process.stdin)).replace(/\r?\n$/, "");
    if (given === "") throw new Misuse("standard input is empty");
    return given;
  }
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true });
  // Ctrl+C ends the command: nothing has been sent yet.
  terminal.on("SIGINT", () => {
    process.stderr.write("\n");
    process.exit(130);
  });
  try {
    const first = await ask(terminal, question);
    if (first === "") throw new StepFailed("nothing was entered, and nothing was changed");
    if (twice && first !== (await ask(terminal, `${question}, again`))) throw new StepFailed("the two entries differ, and nothing was changed");
    return first;
  } finally {
    terminal.close();
  }
}

/**
 * @param {import("node:readline/promises").Interface} terminal
 * @param {string} question
 */
async function ask(terminal, question) {
  process.stderr.write(`${question}: `);
  const answer = await terminal.question("");
  process.stderr.write("\n");
  return answer;
}

/**
 * Asks a question that is answered by y or n; anything but y is a no.
 * @param {string} question
 */
export async function confirm(question) {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}
