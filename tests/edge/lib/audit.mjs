// What the audit log says of somebody.

import assert from "node:assert/strict";

/** @import { Site } from "./site.mjs" */

/**
 * The rows about a user, oldest first.
 * @param {Site} site
 * @param {string} user the user's id
 * @returns {Promise<{ action: string, actor: string, result: string, method?: string, source?: string, object?: string }[]>}
 */
export async function rowsAbout(site, user) {
  const answer = await site.admin("GET", `/api/sso/audit?order=newest&limit=100&user=${user}`);
  assert.equal(answer.status, 200, String(answer));
  return answer.json.rows.reverse();
}
