// A recorded page load: a compact JSON with nothing personal in it. Pure.
//
// Headers of requests and of answers, and cookies, are kept as sets that many requests share. `{host}` stands for the host.

/** @typedef {{ headers: Header[][], cookies: string[][], answers: Header[][] }} Sets */

/** @typedef {Omit<RecordedRequest, "cookies">} Exchange */

/** @import { Header, RecordedRequest } from "./types.js" */

export const HOST_MARK = "{host}";

// They are of the connection or of the client, or the replay writes them.
const NOT_OF_THE_REQUEST = ["host", "connection", "content-length", "transfer-encoding", "cookie", "authorization", "proxy-connection", "keep-alive", "te"];
const NOT_OF_THE_ANSWER = ["connection", "content-length", "content-encoding", "transfer-encoding", "date", "keep-alive", "server", "set-cookie"];
// Their values name versions of files; any of the same kind weighs as much.
/** @type {Record<string, string>} */
const VALIDATORS = { etag: 'W/"0-000000000000000000000000000"', "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT" };
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/**
 * The text of a recording. `exchanges` are `{ method, path, headers, body, status, answerHeaders, length }` with raw headers as pairs, `host` is the host that was recorded.
 * @param {{ application: string, recorded: string, host: string, exchanges: Exchange[] }} what
 */
export function writeRecording({ application, recorded, host, exchanges }) {
  /** @type {Sets} */
  const sets = { headers: [], cookies: [], answers: [] };
  /**
   * The place of `set` among those in `list`, at whose end it is put if it is not there.
   * @template {Header[] | string[]} Set
   * @param {Set[]} list
   * @param {Set} set
   */
  const indexIn = (list, set) => {
    const found = list.findIndex((one) => JSON.stringify(one) === JSON.stringify(set));
    return found >= 0 ? found : list.push(set) - 1;
  };
  /** @param {string} value */
  const general = (value) => value.replaceAll(host, HOST_MARK);
  /** @type {Map<string, [status: number, length: number, answer: number]>} */
  const first = new Map();
  const requests = exchanges
    .filter(({ method }) => METHODS.includes(method))
    .map(({ method, path, headers, body, status, answerHeaders, length }) => {
      /** @type {Header[]} */
      const sent = headers.filter(([name]) => !NOT_OF_THE_REQUEST.includes(name.toLowerCase())).map(([name, value]) => [name, general(value)]);
      const cookies = headers.filter(([name]) => name.toLowerCase() === "cookie").flatMap(([, value]) => value.split(/; */).map(withoutValue));
      /** @type {Header[]} */
      const answered = answerHeaders
        .map(([name, value]) => [name.toLowerCase(), general(value)])
        .filter(([name]) => !NOT_OF_THE_ANSWER.includes(name))
        .map(([name, value]) => [name, VALIDATORS[name] ?? value]);
      // One path has one answer in a replay: the first.
      const key = `${method} ${path}`;
      const answer = first.get(key) ?? [status, length, indexIn(sets.answers, answered)];
      first.set(key, answer);
      return [method, path, body, indexIn(sets.headers, sent), indexIn(sets.cookies, cookies), ...answer];
    });
  /** @param {unknown[]} list */
  const lines = (list) => `[\n${list.map((item) => JSON.stringify(item)).join(",\n")}\n]`;
  return `{
"application": ${JSON.stringify(application)},
"recorded": ${JSON.stringify(recorded)},
"headers": ${lines(sets.headers)},
"cookies": ${lines(sets.cookies)},
"answers": ${lines(sets.answers)},
"requests": ${lines(requests)}
}
`;
}

/**
 * A cookie with as long a value that says nothing.
 * @param {string} pair
 */
function withoutValue(pair) {
  const [name, ...value] = pair.split("=");
  return `${name}=${"x".repeat(value.join("=").length)}`;
}

/**
 * Reads a recording for a replay at `host`: `{ application, requests: [{ method, path, body, headers, cookies, status, length, answerHeaders }] }`.
 * @param {string} text
 * @param {string} host
 * @returns {{ application: string, requests: RecordedRequest[] }}
 */
export function readRecording(text, host) {
  const { application, headers, cookies, answers, requests } = JSON.parse(text);
  if (typeof application !== "string" || !Array.isArray(requests) || requests.length === 0) throw new Error("this is no recording of a page load");
  /**
   * @param {Header[]} set
   * @returns {Header[]}
   */
  const here = (set) => set.map(([name, value]) => [name, value.replaceAll(HOST_MARK, host)]);
  return {
    application,
    requests: requests.map(([method, path, body, sent, cookie, status, length, answered], index) => {
      const whole = [headers[sent], cookies[cookie], answers[answered]].every(Array.isArray) && METHODS.includes(method) && /^\/[\x21-\x7e]*$/.test(path);
      if (!whole || ![body, status, length].every(Number.isInteger)) throw new Error(`request ${index + 1} of the recording is not complete`);
      return { method, path, body, headers: here(headers[sent]), cookies: cookies[cookie], status, length, answerHeaders: here(answers[answered]) };
    }),
  };
}
