// Tables as Markdown, with columns that line up.

/** @import { Ratio } from "./types.js" */

/**
 * `head` and `rows` are lists of texts; the first column is flush left.
 * @param {string[]} head
 * @param {string[][]} rows
 */
export function markdown(head, rows) {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  /** @param {string[]} row */
  const line = (row) => `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join(" | ")} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  return [line(head), rule, ...rows.map(line)].join("\n");
}

/**
 * One row for each scenario, one column for each Worker: `scenarios` are `{ label, rows: [{ name, ratio, min, max, microseconds }] }`.
 * @param {{ label: string, rows: Ratio[] }[]} scenarios
 * @param {string} first
 * @param {string} base
 */
export function matrix(scenarios, first, base) {
  const names = [...new Set(scenarios.flatMap(({ rows }) => rows.map(({ name }) => name)))].filter((name) => name !== base);
  /** @param {Ratio | undefined} row */
  const cell = (row) => (row === undefined ? "–" : `${row.ratio.toFixed(2)} (${row.min.toFixed(2)}–${row.max.toFixed(2)})`);
  return markdown(
    [first, ...names, `µs ${base}`],
    scenarios.map(({ label, rows }) => {
      /** @param {string} name */
      const of = (name) => rows.find((row) => row.name === name);
      return [label, ...names.map((name) => cell(of(name))), of(base)?.microseconds.toFixed(0) ?? "–"];
    }),
  );
}
