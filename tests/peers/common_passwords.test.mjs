// The list of common passwords is the one that Django ships.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { pack } from "../../scripts/lib/common-passwords.mjs";
import { at } from "../../scripts/lib/project.mjs";
import { installPeers } from "./lib/peers.mjs";

test("the common passwords that are refused are those of Django's list that are long enough to be set", async () => {
  const python = await installPeers();
  const folder = execFileSync(python, ["-c", "import os, django.contrib.auth as auth; print(os.path.dirname(auth.__file__))"], { encoding: "utf8" });
  const list = gunzipSync(readFileSync(path.join(folder.trim(), "common-passwords.txt.gz"))).toString();
  assert.ok(list.includes("password1"));
  assert.ok(pack(list).equals(readFileSync(at("src/edge/common-passwords.bin"))));
});
