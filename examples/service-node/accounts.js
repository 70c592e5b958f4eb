// EXAMPLE ONLY: the accounts that the gateway told this service about, in memory. Keep yours in the database of your
// application. Nobody signs in here; the gateway's events create, change and close accounts.

/** @typedef {{ identity: string, isActive: boolean, isStaff: boolean, isSuperuser: boolean, epoch: number }} Account */
/** @typedef {{ type?: unknown, data?: Record<string, unknown> }} Event */

/** @type {Map<string, Account>} */
const accounts = new Map();

/**
 * The account of somebody who may enter.
 * @param {string | undefined} identity
 */
export function activeAccount(identity) {
  const account = identity === undefined ? undefined : accounts.get(identity);
  return account?.isActive ? account : undefined;
}

/**
 * Applies an event whose signature has been verified. Each one says what holds from now on, so an event that is
 * delivered twice does no harm. Kinds that this service does not know are none of its business.
 * @param {Event} event
 */
export function applyEvent({ type, data = {} }) {
  const identity = text(data.user_identy);
  switch (type) {
    case "update_account":
      if (identity) update(identity, data);
      break;
    case "deauthenticate":
      if (identity) endSessions(accounts.get(identity));
      break;
    case "delete_user":
      if (identity) accounts.delete(identity);
      break;
    case "change_user_identy":
      rename(text(data.old), text(data.new));
      break;
  }
}

/**
 * @param {string} identity
 * @param {Record<string, unknown>} data
 */
function update(identity, data) {
  const account = accounts.get(identity) ?? newAccount(identity);
  if (typeof data.is_active === "boolean") account.isActive = data.is_active;
  if (!account.isActive) endSessions(account);
  if (typeof data.is_staff === "boolean") account.isStaff = data.is_staff;
  if (typeof data.is_superuser === "boolean") account.isSuperuser = data.is_superuser;
  accounts.set(identity, account);
}

/**
 * @param {string | undefined} from
 * @param {string | undefined} to
 */
function rename(from, to) {
  const account = from === undefined ? undefined : accounts.get(from);
  if (!account || !to || from === undefined) return;
  accounts.delete(from);
  account.identity = to;
  endSessions(account);
  accounts.set(to, account);
}

/**
 * A session remembers the account's epoch and ends when it changes.
 * @param {Account | undefined} account
 */
function endSessions(account) {
  if (account) account.epoch = nextEpoch++;
}

// Never reused, so that a session cannot come back to life with a new account of the same name.
let nextEpoch = 1;

/**
 * @param {string} identity
 * @returns {Account}
 */
function newAccount(identity) {
  return { identity, isActive: true, isStaff: false, isSuperuser: false, epoch: nextEpoch++ };
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "string" && value !== "" ? value : undefined;
}
