// Suggestions for misspelt options, commands and steps.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseArgs } from "node:util";
import { didYouMean, distance, nearest, optionError } from "../../scripts/lib/did-you-mean.mjs";

test("the distance counts insertions, removals, replacements and swaps of neighbours, in both directions", () => {
  for (const [from, to, slips] of /** @type {const} */ ([
    ["", "", 0],
    ["", "abc", 3],
    ["port", "port", 0],
    ["prt", "port", 1],
    ["portt", "port", 1],
    ["pert", "port", 1],
    ["prot", "port", 1],
    ["opprot", "port", 3],
    ["ca", "abc", 3],
    ["upsteram", "upstream", 1],
    ["kitten", "sitting", 3],
  ])) {
    assert.equal(distance(from, to), slips, `${from} ${to}`);
    assert.equal(distance(to, from), slips, `${to} ${from}`);
  }
});

test("a word is suggested if it is at most two slips away and the slips are fewer than half of it", () => {
  const known = ["--port", "--origin-port", "--upstream", "--env", "rm"];
  for (const [word, meant] of /** @type {const} */ ([
    ["--prot", "--port"],
    ["--Upstraem", "--upstream"],
    ["--orign-prt", "--origin-port"],
    ["--orign-pr", undefined],
    ["--nothing", undefined],
    ["ls", undefined],
    ["", undefined],
  ])) {
    assert.equal(nearest(word, known), meant, word);
  }
  assert.equal(nearest("user", ["users", "uses"]), "users", "of equally near ones the first");
  assert.equal(nearest("usre", ["uses", "user"]), "user", "the nearest, wherever it stands");
  assert.equal(didYouMean("--evn", known), "; did you mean --env?");
  assert.equal(didYouMean("--nothing", known), "");
});

test("an unknown option is told in one sentence, with what was meant; other mistakes are told as Node tells them", () => {
  const options = /** @type {const} */ ({ port: { type: "string" }, watch: { type: "boolean", default: true }, json: { type: "boolean" } });
  /** @param {string[]} args */
  const told = (args) => {
    try {
      parseArgs({ args, options, allowNegative: true });
    } catch (error) {
      return optionError(error, options);
    }
    return assert.fail("it was accepted");
  };
  assert.equal(told(["--prot", "1"]), "there is no option --prot; did you mean --port?");
  assert.equal(told(["--prot=1"]), "there is no option --prot; did you mean --port?");
  assert.equal(told(["--no-wacth"]), "there is no option --no-wacth; did you mean --no-watch?");
  assert.equal(told(["--sideways"]), "there is no option --sideways");
  assert.equal(told(["-p"]), "there is no option -p");
  assert.match(told(["--port"]), /'--port <value>' argument missing/);
  assert.match(told(["stray"]), /Unexpected argument 'stray'/);
});
