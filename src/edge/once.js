// Calls the Durable Object of a key. Its input gate lets no second claim begin before the first is stored.

function object(namespace, key) {
  return namespace.get(namespace.idFromName(key));
}

export async function claim(namespace, key, value, expires) {
  return String(await object(namespace, key).claim(value, expires));
}

export async function release(namespace, key) {
  await object(namespace, key).release();
}
