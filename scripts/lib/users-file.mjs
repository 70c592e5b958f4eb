// Files of users that `user import` reads.
import { linkSync, rmSync, writeFileSync } from "node:fs";
import { codeOf, messageOf, StepFailed } from "./step.mjs";

/**
 * A user as an entry of a file: what a new user cannot be given, and what is as it would be anyway, is left out.
 * @param {import("./one-user.mjs").User} user
 */
export function entryOf({ email, subject, tenant, username, first_name, last_name, active, staff, superuser, roles }) {
  return {
    ...(email !== null && { email }),
    ...(subject && { subject }),
    ...(tenant && { tenant }),
    ...(username && username !== email && { username }),
    ...(first_name && { first_name }),
    ...(last_name && { last_name }),
    ...(!active && { active }),
    ...(staff && { staff }),
    ...(superuser && { superuser }),
    ...(roles?.length && { roles }),
  };
}

/**
 * Writes a new file that only its owner can read: whole, or not at all. One entry is one line.
 * @param {string} file
 * @param {unknown[]} entries
 */
export function writeWhole(file, entries) {
  const beside = `${file}.${process.pid}.part`;
  try {
    writeFileSync(beside, `[\n${entries.map((entry) => JSON.stringify(entry)).join(",\n")}\n]\n`, { mode: 0o600, flag: "wx" });
    // A link, not a move: it replaces no file.
    linkSync(beside, file);
  } catch (error) {
    throw new StepFailed(codeOf(error) === "EEXIST" ? `${file} exists already` : `${file} cannot be written: ${messageOf(error)}`);
  } finally {
    rmSync(beside, { force: true });
  }
}
