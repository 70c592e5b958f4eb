// What a load sends: kinds of requests, callers, and an order in which both take turns. Pure, so that whoever checks what
// an origin received works out from a request's number alone what was sent.

/** @import { Header, Order } from "./types.js" */

/** Stands in a request for a number that no other request of the plan has, with as many digits. */
export const NUMBER = "#NUMBER#";
/** Stands in a request for the caller's credential. */
export const CREDENTIAL = "#CREDENTIAL#";

/** @typedef {(n: number, kinds: number, callers: number) => { kind: number, caller: number }} Take */

/**
 * The orders:
 * - `turns`: each caller sends one request of a kind, then each one of the next kind;
 * - `visits`: a caller sends one request of each kind, then the next caller does;
 * - `together`: all callers visit at once, each at another place of the visit.
 * @satisfies {Record<string, Take>}
 */
export const ORDERS = {
  turns: (n, kinds, callers) => ({ kind: Math.floor(n / callers) % kinds, caller: n % callers }),
  visits: (n, kinds, callers) => ({ kind: n % kinds, caller: Math.floor(n / kinds) % callers }),
  together: (n, kinds, callers) => {
    const caller = n % callers;
    return { kind: (Math.floor(n / callers) + Math.floor((caller * kinds) / callers)) % kinds, caller };
  },
};

/**
 * Which kind and which caller the request with this number has.
 * @param {{ kinds: { length: number }, callers: { length: number }, order: Order }} plan
 * @param {number} n
 */
export function positionOf({ kinds, callers, order }, n) {
  return ORDERS[order](n, kinds.length, callers.length);
}

/**
 * The number as it stands in a request.
 * @param {number} n
 */
export function digits(n) {
  return String(n).padStart(NUMBER.length, "0");
}

/**
 * `text` with the number and the credential in it.
 * @param {string} text
 * @param {number} n
 * @param {string} credential
 */
export function fill(text, n, credential) {
  return text.replaceAll(NUMBER, digits(n)).replaceAll(CREDENTIAL, () => credential);
}

/**
 * The head of a request (HTTP/1.1); `body` bytes follow it.
 * @param {{ method: string, path: string, headers: Header[], body?: number }} request
 */
export function headOf({ method, path, headers, body = 0 }) {
  const length = body > 0 || method === "POST" || method === "PUT" ? [["Content-Length", String(body)]] : [];
  return `${method} ${path} HTTP/1.1\r\n${[...headers, ...length].map((header) => `${header.join(": ")}\r\n`).join("")}\r\n`;
}
