// What must hold of everything that is stored, whatever happened to it.

import { createHash } from "node:crypto";

/** @import { World } from "./world.mjs" */

/** @param {string} text */
const hash = (text) => createHash("sha256").update(text).digest("hex");
/** @param {{ email: string, tenant?: string }} user */
const addressOf = ({ email, tenant }) => `user_email:${hash(tenant === undefined ? email : `${tenant}\n${email}`)}`;

/**
 * Everything that is wrong: a user whose address leads elsewhere or nowhere, an address that leads to nobody, two users of one address.
 * @param {World} world
 */
export async function faultsOfStore(world) {
  const entries = new Map(await world.kvEntries());
  /** @type {string[]} */
  const faults = [];
  const reached = new Set();
  for (const [key, value] of entries) {
    if (!key.startsWith("user:")) continue;
    const user = JSON.parse(value);
    if (key !== `user:${hash(user.id)}`) faults.push(`${key} holds the user ${user.id}`);
    const address = addressOf(user);
    if (entries.get(address) !== user.id) faults.push(`the address of ${user.id} leads to ${entries.get(address)}`);
    if (reached.has(address)) faults.push(`two users have the address of ${user.id}`);
    reached.add(address);
  }
  for (const [key, value] of entries) {
    if (key.startsWith("user_email:") && !reached.has(key)) faults.push(`an address leads to ${value}, who does not exist or has another one`);
  }
  return faults;
}
