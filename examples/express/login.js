// EXAMPLE ONLY: a stand-in for the sign-in that your application already has. It asks for no
// password and forgets everybody when the process ends.

import { randomUUID } from "node:crypto";

export const USERS = [
  { username: "ada", email: "ada@example.com", firstName: "Ada", lastName: "Lovelace" },
  { username: "zoe", email: "zoe@example.com", firstName: "Zoë", lastName: "Ångström" },
];

const COOKIE = "example_express_session";
const signedIn = new Map();

/** Puts the signed-in user, if any, on `req.user`. */
export function loadUser(req, _res, next) {
  req.user = signedIn.get(sessionId(req));
  next();
}

/** Signs `username` in; false if there is no such user. */
export function signIn(req, res, username) {
  const user = USERS.find((candidate) => candidate.username === username);
  if (!user) return false;
  signedIn.delete(sessionId(req));
  const id = randomUUID();
  signedIn.set(id, user);
  res.cookie(COOKIE, id, { httpOnly: true, sameSite: "lax", secure: req.secure });
  req.user = user;
  return true;
}

export function signOut(req, res) {
  signedIn.delete(sessionId(req));
  res.clearCookie(COOKIE, { httpOnly: true, sameSite: "lax", secure: req.secure });
}

function sessionId(req) {
  for (const pair of (req.headers.cookie ?? "").split("; ")) {
    if (pair.startsWith(`${COOKIE}=`)) return pair.slice(COOKIE.length + 1);
  }
  return undefined;
}
