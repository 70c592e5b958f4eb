#!/usr/bin/env node
// From a shell: prints an assertion for a person, or serves the key set.
//   node sign.js --email ada@example.com --audience https://origin.example.com [--role editor …] [--algorithm EdDSA]
//   node sign.js --serve 8790

import { parseArgs } from "node:util";
import { assertion, ISSUER, startKeyServer } from "./testing.js";

/** @import { Algorithm } from "./testing.js" */

const { values } = parseArgs({
  options: {
    email: { type: "string" },
    audience: { type: "string" },
    role: { type: "string", multiple: true, default: [] },
    algorithm: { type: "string", default: "ES256" },
    serve: { type: "string" },
  },
});

if (values.serve !== undefined) {
  const { url } = await startKeyServer({ port: Number(values.serve) });
  console.log(`EDGEWARD_URL=${url} ASSERTION_ISSUER=${ISSUER}`);
} else if (values.email !== undefined && values.audience !== undefined) {
  const algorithm = /** @type {Algorithm} */ (values.algorithm);
  console.log(assertion({ email: values.email, roles: values.role }, { audience: values.audience, algorithm }));
} else {
  console.error("give --email and --audience, or --serve and a port");
  process.exitCode = 2;
}
