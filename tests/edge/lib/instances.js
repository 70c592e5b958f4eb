// Keeps the instances of the core as they are made, so that a test can weigh their memory. Imported before the core.

/** @type {WebAssembly.Instance[]} */
export const instances = [];

const { Instance } = WebAssembly;
WebAssembly.Instance = class extends Instance {
  /** @param {ConstructorParameters<typeof Instance>} args */
  constructor(...args) {
    super(...args);
    instances.push(this);
  }
};
