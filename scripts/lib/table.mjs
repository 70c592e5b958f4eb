// Tables and progress for people.

/**
 * A header and rows of text, aligned in columns.
 * @param {string[]} head
 * @param {string[][]} rows
 */
export function table(head, rows) {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/**
 * Shows the progress of a longer job on stderr: in place on a terminal, elsewhere as a line each time.
 * @param {string} text
 */
export function progress(text) {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[2K${text}` : `${text}\n`);
}

/** Ends `progress`: clears its line. */
export function progressEnds() {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[2K");
}
