// Runs the guide's program for Express (custom-jwt/app.cjs): its text, with URL and secret put in. What the guide leaves to the
// application is here: who is signed in, and the pages that show the frame.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const load = createRequire(import.meta.url);
const express = load("express");
const { LABEL_STUDIO_URL, JWT_SSO_SECRET, USERS, MORE_CLAIMS } = /** @type {Record<string, string>} */ (process.env);
const users = JSON.parse(USERS);
let input = "";
for await (const chunk of process.stdin.setEncoding("utf8")) input += chunk;
/** @type {Record<string, string>} */
const pages = JSON.parse(input);

const file = fileURLToPath(new URL("custom-jwt/app.cjs", import.meta.url));
const program = readFileSync(file, "utf8")
  .replace(/^const JWT_SECRET = .*$/m, `const JWT_SECRET = ${JSON.stringify(JWT_SSO_SECRET)};`)
  .replace(/^const LABEL_STUDIO_URL = .*$/m, `const LABEL_STUDIO_URL = ${JSON.stringify(LABEL_STUDIO_URL)};`)
  // A step away from the guide: claims that the application adds to its tokens, as code.
  .replace("      email: user.email,\n", `      email: user.email,\n${MORE_CLAIMS ?? ""}`);

function signedInApplication() {
  const app = express();
  app.use((req, res, next) => {
    const [, basic = ""] = /^Basic (.*)$/.exec(req.headers.authorization ?? "") ?? [];
    req.user = users[Buffer.from(basic, "base64").toString().split(":")[0]];
    if (req.user || !pages[req.path]) return next();
    res.status(401).set("WWW-Authenticate", 'Basic realm="portal"').end();
  });
  for (const [path, content] of Object.entries(pages)) {
    app.get(path, (_req, res) => res.type(path.endsWith(".js") ? "js" : "html").send(content));
  }
  app.listen = () => {
    // Any free port in the place of 3000.
    const server = load("node:http").createServer(app);
    server.listen(0, "127.0.0.1", () => console.log(server.address().port));
    return server;
  };
  return app;
}

const requireInProgram = (/** @type {string} */ name) => (name === "express" ? signedInApplication : load(name));
new Function("require", program)(requireInProgram);
