// Secrets that are made on this machine.
import { randomBytes } from "node:crypto";

/** A new secret. */
export const newSecret = () => randomBytes(32).toString("base64url");

/** The text of a new .dev.vars, with a new value for every secret that the Worker needs. */
export function newSecrets() {
  const families = ["SESSION", "TOKEN", "KEY"];
  const lines = families.map((family) => `EDGEWARD_${family}_SECRET_1=${newSecret()}`);
  return `# Secrets of this machine alone. Never deploy them.\n${lines.join("\n")}\n`;
}
