// Passkeys on the pages of the gateway. Without this script their buttons stay hidden, and everything else works.
const api = globalThis.PublicKeyCredential;
const button = document.querySelector("[data-passkey]");
const failed = document.querySelector("[data-passkey-failed]");
const list = document.querySelector("[data-accepted]");

if (button instanceof HTMLButtonElement && button.form && failed instanceof HTMLElement && typeof api?.parseRequestOptionsFromJSON === "function") {
  const form = button.form;
  const ceremony = button.dataset.passkey ?? "";
  /** @type {AbortController | undefined} */
  let waiting;

  const ask = async (/** @type {CredentialMediationRequirement} */ mediation) => {
    waiting?.abort();
    waiting = new AbortController();
    const { signal } = waiting;
    const body = new URLSearchParams({ csrf: String(new FormData(form).get("csrf")), for: ceremony });
    const { publicKey, challenge } = await (await fetch("/passkey/", { method: "POST", body, signal })).json();
    const credential =
      ceremony === "register"
        ? await navigator.credentials.create({ publicKey: api.parseCreationOptionsFromJSON(publicKey), signal })
        : await navigator.credentials.get({ publicKey: api.parseRequestOptionsFromJSON(publicKey), mediation, signal });
    if (!(credential instanceof api)) return;
    const { id, response } = /** @type {{ id: string, response: Record<string, unknown> }} */ (/** @type {unknown} */ (credential.toJSON()));
    // A form of the page's own, so that redirects and error pages work as for any other.
    const own = document.createElement("form");
    own.method = "post";
    own.action = form.getAttribute("action") ?? "";
    own.hidden = true;
    own.append(...[...form.querySelectorAll("input[type=hidden]")].map((input) => input.cloneNode()));
    const { clientDataJSON: client_data, attestationObject: attestation, authenticatorData: data, signature, userHandle: handle } = response;
    for (const [name, value] of Object.entries({ challenge, id, client_data, attestation, data, signature, handle })) {
      if (value !== undefined) own.append(Object.assign(document.createElement("input"), { name, value }));
    }
    document.body.append(own);
    own.submit();
  };

  // Passkeys where the name is typed, with another challenge before the last one is over.
  const offer = async () => {
    if (ceremony === "register" || !(await api.isConditionalMediationAvailable?.())) return;
    const timer = setTimeout(offer, 240_000);
    await ask("conditional").catch(() => {});
    clearTimeout(timer);
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    failed.hidden = true;
    ask("optional").catch((error) => {
      if (error.name === "AbortError") return;
      failed.hidden = false;
      offer();
    });
  });
  offer();
}

// What is not listed here any more, password managers forget.
if (list instanceof HTMLElement && list.dataset.user) {
  const { rp = "", user, accepted = "" } = list.dataset;
  const all = { rpId: rp, userId: user, allAcceptedCredentialIds: accepted.split(" ").filter(Boolean) };
  api?.signalAllAcceptedCredentials?.(all)?.catch(() => {});
}
