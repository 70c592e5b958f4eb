// What the commands about one user share.
import { ask, deployment, Misuse, Refused } from "./ask.mjs";
import { StepFailed } from "./step.mjs";

export const USERS = "/api/sso/users";
export const BOUND = "This takes effect everywhere within 90 seconds.";

/** @typedef {{ issuer: string, sub: string }} Subject */
/** @typedef {{ id: string, email: string | null, active: boolean, tenant?: string, subject?: Subject, username?: string, first_name?: string, last_name?: string, roles?: string[], staff?: boolean, superuser?: boolean }} User */
/** @typedef {Parameters<typeof ask>[0]} Call */

/**
 * What a command gets: its options, and its argument if it takes one.
 * @typedef {object} Given
 * @property {string} word
 * @property {boolean} [json]
 * @property {string} [tenant]
 * @property {string} [issuer]
 * @property {string} [email]
 * @property {string} [username]
 * @property {string} [first-name]
 * @property {string} [last-name]
 * @property {string[]} [role]
 * @property {boolean} [staff]
 * @property {boolean} [superuser]
 * @property {boolean} [no-staff]
 * @property {boolean} [no-superuser]
 * @property {string[]} [add-role]
 * @property {string[]} [remove-role]
 * @property {boolean} [no-roles]
 * @property {string} [rest]
 * @property {string} [search]
 * @property {string} [from]
 * @property {boolean} [must-change]
 * @property {string[]} [send]
 * @property {string} [second]
 */

/**
 * What people call a user: the subject, or the address.
 * @param {Pick<User, "id" | "email" | "subject">} user
 */
export const nameOf = ({ id, email, subject }) => (subject ? `${subject.sub} of ${subject.issuer}` : (email ?? id));

/**
 * The user with this id or address, or with this subject if an issuer is given.
 * @param {Given} who
 * @returns {Promise<User>}
 */
export async function find({ word, tenant, issuer }) {
  const inTenant = tenant === undefined ? "" : `&tenant=${encodeURIComponent(tenant)}`;
  if (issuer !== undefined) {
    const path = `${USERS}?issuer=${encodeURIComponent(issuer)}&subject=${encodeURIComponent(word)}${inTenant}`;
    return (await first(path)) ?? nobody(`${word} of ${issuer}`);
  }
  if (/^usr_[\w-]{22}$/.test(word)) {
    if (tenant !== undefined) throw new Misuse("--tenant needs an address; an id is unique across tenants");
    return change({ word }, { method: "GET", path: `${USERS}/${word}`, gives: "id" });
  }
  if (!word.includes("@")) throw new Misuse(`${word} is neither an id nor an address; a subject needs --issuer`);
  return (await first(`${USERS}?email=${encodeURIComponent(word)}${inTenant}`)) ?? nobody(word);
}

/**
 * @param {string} path
 * @returns {Promise<User | undefined>}
 */
async function first(path) {
  const { users } = /** @type {{ users: User[] }} */ (await ask({ method: "GET", path, gives: "users" }));
  return users[0];
}

/**
 * Makes a call about one user, who may have been deleted.
 * @param {Pick<Given, "word">} who
 * @param {Call} call
 * @returns {Promise<User>}
 */
export async function change({ word }, call) {
  const answer = await ask(call).catch((error) => {
    if (error instanceof Refused && error.code === "not_found") nobody(word);
    throw error;
  });
  return /** @type {User} */ (answer);
}

/**
 * @param {string} word
 * @returns {never}
 */
function nobody(word) {
  throw new StepFailed(`there is no user ${word} at ${deployment()}`);
}
