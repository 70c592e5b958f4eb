// Rows for people: columns as wide as their longest cell.

/**
 * A head and rows of texts, aligned.
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
 * How far a longer job is, on stderr: in place on a terminal, elsewhere a line each time.
 * @param {string} text
 */
export function progress(text) {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[2K${text}` : `${text}\n`);
}

/** The end of `progress`: what comes next begins on a line of its own. */
export function progressEnds() {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[2K");
}
