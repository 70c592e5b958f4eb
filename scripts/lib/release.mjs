// What a release has to agree on: the tag, the versions of the packages, and a dated section of CHANGELOG.md.
import { readFileSync } from "node:fs";
import { at } from "./project.mjs";
import { StepFailed } from "./step.mjs";
import { version } from "./version.mjs";

/** Everything that has the version of Edgeward. */
const MANIFESTS = ["Cargo.toml", "src/Cargo.toml", "shell/Cargo.toml"];

/**
 * The notes of a version: its section of CHANGELOG.md, which has a date.
 * @param {string} changelog
 * @param {string} wanted
 */
export function notesOf(changelog, wanted) {
  const sections = changelog.split(/^(?=## \[)/m);
  const section = sections.find((one) => one.startsWith(`## [${wanted}]`));
  if (section === undefined) throw new StepFailed(`CHANGELOG.md has no section ## [${wanted}]`);
  const [heading, ...notes] = section.split("\n");
  if (!/^## \[[^\]]+\] - \d{4}-\d\d-\d\d$/.test(heading)) throw new StepFailed(`CHANGELOG.md: "${heading}" has no date: ## [${wanted}] - <year>-<month>-<day>`);
  return `${notes.join("\n").trim()}\n`;
}

/** What differs from the version of package.json; empty if all agree. */
export function otherVersions() {
  return MANIFESTS.flatMap((file) => {
    const found = /^version = "([^"]+)"$/m.exec(readFileSync(at(file), "utf8"))?.[1];
    return found === version() ? [] : [`${file} has the version ${found}, package.json ${version()}`];
  });
}

/**
 * The notes of the release that a tag names; throws unless everything agrees.
 * @param {string} tag
 */
export function releaseNotes(tag) {
  const problems = [...(tag === `v${version()}` ? [] : [`the tag ${tag} is not v${version()}, the version of package.json`]), ...otherVersions()];
  if (problems.length > 0) throw new StepFailed(problems.join("\n"));
  return notesOf(readFileSync(at("CHANGELOG.md"), "utf8"), version());
}
