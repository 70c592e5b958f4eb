// Requests of our own to other servers: with an end in time and in length, and without following redirects.

/**
 * `head`: method, URL, then name and value of each header, a line each. Promises the status, the headers as one text
 * of lines, and the body; fails when the answer is not whole after `timeout` milliseconds or has more than `limit` bytes.
 */
export async function call(head, body, limit, timeout) {
  const [method, url, ...lines] = head.split("\n");
  const headers = new Headers();
  for (let at = 0; at + 1 < lines.length; at += 2) headers.append(lines[at], lines[at + 1]);
  const response = await fetch(url, { method, headers, body, redirect: "manual", signal: AbortSignal.timeout(timeout) });
  return [String(response.status), headerLines(response.headers), await wholeBody(response, limit)];
}

function headerLines(headers) {
  const lines = [];
  for (const [name, value] of headers) if (name !== "set-cookie") lines.push(name, value);
  for (const cookie of headers.getSetCookie()) lines.push("set-cookie", cookie);
  return lines.join("\n");
}

async function wholeBody(response, limit) {
  const chunks = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    if (length > limit) throw new RangeError("the answer is too long");
    chunks.push(chunk);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}
