// Passkeys on the pages of the gateway. Without this script, or in a browser without passkeys, their buttons stay hidden and
// everything else works.

const api = globalThis.PublicKeyCredential;
const button = document.querySelector("[data-passkey]");
/** Well before a challenge is over. */
const RENEW_AFTER = 240_000;

/** @type {AbortController | undefined} */
let waiting;

/**
 * What to ask an authenticator, with a new challenge.
 * @param {HTMLFormElement} form
 * @param {string} ceremony
 */
async function options(form, ceremony) {
  const csrf = /** @type {HTMLInputElement} */ (form.elements.namedItem("csrf")).value;
  const response = await fetch("/passkey/", { method: "POST", body: new URLSearchParams({ csrf, for: ceremony }) });
  if (!response.ok) throw new Error("no challenge");
  return response.json();
}

/**
 * Sends what an authenticator has said as a form of the page's own, so that redirects and error pages work as for any other.
 * @param {HTMLFormElement} form
 * @param {Record<string, string | undefined>} fields
 */
function send(form, fields) {
  const own = document.createElement("form");
  own.method = "post";
  own.action = form.getAttribute("action") ?? "";
  own.hidden = true;
  for (const input of form.querySelectorAll("input[type=hidden]")) own.append(input.cloneNode());
  for (const [name, value = ""] of Object.entries(fields)) {
    const input = document.createElement("input");
    Object.assign(input, { name, value });
    own.append(input);
  }
  document.body.append(own);
  own.submit();
}

/**
 * @param {HTMLFormElement} form
 * @param {CredentialMediationRequirement} [mediation]
 * @param {AbortSignal} [signal]
 */
async function signIn(form, mediation, signal) {
  const { publicKey, challenge } = await options(form, "sign_in");
  const credential = await navigator.credentials.get({ publicKey: api.parseRequestOptionsFromJSON(publicKey), mediation, signal });
  if (!(credential instanceof api)) return;
  const { id, response } = /** @type {AuthenticationResponseJSON} */ (credential.toJSON());
  const { clientDataJSON: client_data, authenticatorData: data, signature, userHandle: handle } = response;
  send(form, { challenge, id, client_data, data, signature, handle });
}

/** @param {HTMLFormElement} form */
async function register(form) {
  const { publicKey, challenge } = await options(form, "register");
  const credential = await navigator.credentials.create({ publicKey: api.parseCreationOptionsFromJSON(publicKey) });
  if (!(credential instanceof api)) return;
  const { id, response } = /** @type {RegistrationResponseJSON} */ (credential.toJSON());
  send(form, { challenge, id, client_data: response.clientDataJSON, attestation: response.attestationObject });
}

/**
 * Offers passkeys where the name is typed, each time with a challenge that is not over.
 * @param {HTMLFormElement} form
 */
async function offer(form) {
  if (!(await api.isConditionalMediationAvailable?.())) return;
  for (;;) {
    const mine = new AbortController();
    waiting = mine;
    const timer = setTimeout(() => mine.abort(), RENEW_AFTER);
    try {
      await signIn(form, "conditional", mine.signal);
      return;
    } catch {
      if (waiting !== mine || !mine.signal.aborted) return;
    } finally {
      clearTimeout(timer);
    }
  }
}

if (button instanceof HTMLButtonElement && button.form && typeof api?.parseRequestOptionsFromJSON === "function") {
  const form = button.form;
  const isNew = button.dataset.passkey === "register";
  const failed = document.querySelector("[data-passkey-failed]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    const offered = waiting;
    waiting = undefined;
    offered?.abort();
    if (failed instanceof HTMLElement) failed.hidden = true;
    try {
      await (isNew ? register(form) : signIn(form));
    } catch {
      if (failed instanceof HTMLElement) failed.hidden = false;
      if (!isNew) offer(form);
    }
  });
  if (!isNew) offer(form);
}

// Whatever is not listed here any more, password managers forget.
const list = document.querySelector("[data-accepted]");
if (list instanceof HTMLElement && list.dataset.user) {
  const { rp = "", user, accepted = "" } = list.dataset;
  const all = { rpId: rp, userId: user, allAcceptedCredentialIds: accepted.split(" ").filter(Boolean) };
  api?.signalAllAcceptedCredentials?.(all)?.catch(() => {});
}
