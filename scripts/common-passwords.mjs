// `node scripts/common-passwords.mjs <django/contrib/auth/common-passwords.txt.gz>`: makes src/edge/common-passwords.bin of
// the list that Django ships. tests/peers/common_passwords.test.mjs compares it with the list of the Django there.
import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { pack } from "./lib/common-passwords.mjs";
import { at } from "./lib/project.mjs";

writeFileSync(at("src/edge/common-passwords.bin"), pack(gunzipSync(readFileSync(process.argv[2])).toString()));
