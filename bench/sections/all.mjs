// All sections, in the order in which `--section all` measures them.

import bodies from "./bodies.mjs";
import firstSight from "./first-sight.mjs";
import flood from "./flood.mjs";
import hot from "./hot.mjs";
import latency from "./latency.mjs";
import memory from "./memory.mjs";
import page from "./page.mjs";
import passwords from "./passwords.mjs";
import refusals from "./refusals.mjs";
import scale from "./scale.mjs";
import start from "./start.mjs";
import users from "./users.mjs";

/** @import { Section } from "../lib/types.js" */

/** @type {Section[]} */
export const SECTIONS = [hot, firstSight, refusals, scale, latency, start, page, bodies, passwords, flood, memory, users];
