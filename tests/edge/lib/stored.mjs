// What the runtime keeps on its disk.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { codeOf } from "../../../scripts/lib/step.mjs";

/**
 * The files below a folder that contain one of the texts.
 * @param {string} folder
 * @param {string[]} texts
 */
export function containing(folder, texts) {
  const contents = readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    try {
      return entry.isFile() ? [{ file, bytes: readFileSync(file) }] : [];
    } catch (error) {
      // SQLite deletes its files beside the database when it closes it.
      if (codeOf(error) === "ENOENT") return [];
      throw error;
    }
  });
  assert.ok(contents.length > 3, "the storage is there");
  return contents.filter(({ bytes }) => texts.some((text) => bytes.includes(text))).map(({ file }) => file);
}
