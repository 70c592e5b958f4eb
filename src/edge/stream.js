// Reads a stream of bytes as a whole.

/**
 * What `reader` has left, or `long` if that is more than `limit` bytes: no more are ever held. Leaves it to the caller to
 * cancel the rest.
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader
 * @param {number} limit
 * @returns {Promise<Uint8Array | "long">}
 */
export async function readWhole(reader, limit) {
  const chunks = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.byteLength;
    if (length > limit) return "long";
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}
