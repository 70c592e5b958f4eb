// `npm run admin -- user …`: passwords for the sign-in at the gateway, and sessions.
import { ask, Misuse, Refused } from "./ask.mjs";
import { say, timeOf } from "./command-group.mjs";
import { BOUND, change, find, nameOf, USERS } from "./one-user.mjs";
import { askSecret } from "./prompt.mjs";
import { StepFailed } from "./step.mjs";
import { table } from "./table.mjs";

/** @typedef {import("./one-user.mjs").Given} Given */
/** @typedef {{ id: string, site: string, browser: string, opened_at: number, ends_at: number }} Session */

/** @param {Given} who */
export async function setPassword(who) {
  const user = await find(who);
  const { id, email } = user;
  const password = await askSecret(`New password of ${nameOf(user)}`, { twice: true });
  const body = { password, must_change: who["must-change"] };
  await change(who, { method: "PUT", path: `${USERS}/${id}/password`, body }).catch((error) => {
    if (error instanceof Refused && error.field === "password") {
      throw new StepFailed("the password was not accepted: it must have 8 to 1,024 bytes and must not be one of the most common passwords");
    }
    throw error;
  });
  say(who, { id, email }, `The password of ${nameOf(user)} is set, and all sessions have ended. ${BOUND}`);
}

/** What became of each way to send a link, for people. */
const SENDINGS = /** @type {{ [way: string]: { [sending: string]: string } }} */ ({
  service: {
    queued: "It is queued for the configured service.",
    not_configured: "It was not sent to a service: none is configured (link_service).",
    unavailable:
      "It was not sent to the configured service, which was deleted, is disabled, has another dialect than webhook, or knows another user by this user's name.",
    failed: "It was not sent to the configured service: the event could not be queued. The log says why.",
  },
  mail: {
    sent: "It was mailed to the user.",
    not_configured: "It was not mailed: mail_from or the binding EDGEWARD_EMAIL is missing.",
    failed: "It was not mailed: the mail was not accepted. The log says why.",
  },
});

/**
 * The ways that `--send` names; undefined for the configured ones.
 * @param {string[] | undefined} ways
 */
function waysOf(ways) {
  const unknown = ways?.find((way) => !Object.hasOwn(SENDINGS, way) && way !== "none");
  if (unknown !== undefined) throw new Misuse(`--send takes service, mail or none, not ${unknown}`);
  if (ways?.includes("none") && ways.length > 1) throw new Misuse("--send none excludes --send service and --send mail");
  return ways?.filter((way) => way !== "none");
}

/**
 * Ends with status 1 if a way that the caller named was not used.
 * @param {Given} who
 */
export async function makePasswordLink(who) {
  const send = waysOf(who.send);
  const user = await find(who);
  const { id, email } = user;
  const made = await ask({ method: "POST", path: `${USERS}/${id}/password-link`, body: { send }, gives: "url" });
  const { url, expires_at, sent } = /** @type {{ url: string, expires_at: number, sent: { [way: string]: string } }} */ (made);
  const isMissing = (send ?? []).some((way) => !["queued", "sent"].includes(sent[way]));
  if (who.json) {
    console.log(JSON.stringify({ id, email, url, expires_at, sent }));
    return isMissing ? 1 : 0;
  }
  // The link alone on stdout, for whoever redirects it.
  console.log(url);
  process.stderr.write(`Give this link to ${nameOf(user)} and to nobody else. It works once, until ${timeOf(expires_at)}, and is not shown again.\n`);
  for (const [way, sending] of Object.entries(sent)) {
    const isOfInterest = send?.includes(way) || sending !== "not_configured";
    const said = SENDINGS[way]?.[sending];
    if (isOfInterest && said !== undefined) process.stderr.write(`${said}\n`);
  }
  return isMissing ? 1 : 0;
}

/** @param {Given} who */
export async function removePassword(who) {
  const user = await find(who);
  const { id, email } = user;
  await change(who, { method: "DELETE", path: `${USERS}/${id}/password` });
  say(who, { id, email }, `${nameOf(user)} has no password any more, and all sessions have ended. ${BOUND}`);
}

/** @param {Given} who */
export async function listSessions(who) {
  const user = await find(who);
  const { id } = user;
  /** @type {Session[]} */
  const sessions = [];
  /** @type {string | null} */
  let cursor = "";
  while (cursor !== null) {
    const query = `limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`;
    const page = /** @type {{ sessions: Session[], cursor: string | null }} */ (
      await ask({ method: "GET", path: `${USERS}/${id}/sessions?${query}`, gives: "sessions" })
    );
    sessions.push(...page.sessions);
    ({ cursor } = page);
  }
  sessions.sort((one, other) => other.opened_at - one.opened_at);
  const rows = sessions.map((session) => [session.id, session.site, timeOf(session.opened_at), timeOf(session.ends_at), session.browser]);
  say(who, { sessions }, sessions.length === 0 ? `${nameOf(user)} has no session.` : table(["session", "site", "since", "until", "browser"], rows));
}

/** @param {Given} who */
export async function endSession(who) {
  const user = await find(who);
  const { id, email } = user;
  const path = `${USERS}/${id}/sessions?session=${encodeURIComponent(who.second ?? "")}`;
  await ask({ method: "DELETE", path }).catch((error) => {
    if (error instanceof Refused && error.code === "not_found")
      throw new StepFailed(`${nameOf(user)} has no session ${who.second}; \`user sessions ${id}\` lists them`);
    throw error;
  });
  say(who, { id, email, session: who.second }, `The session of ${nameOf(user)} has ended. ${BOUND}`);
}
