// npm @simplewebauthn/server as a peer: it judges mutated ceremonies as the built Worker does, but for what is explained.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { ALGORITHMS, assertedBy, createdBy, fieldsOf, newPasskey, optionsOf, sha256, signedBy } from "../edge/lib/authenticator.mjs";
import { Browser, newPerson, withGateway } from "../edge/lib/gateway.mjs";
import { startWorld } from "../edge/lib/world.mjs";
import { installNpm } from "./lib/peers.mjs";

/** @import { TestContext } from "node:test" */
/** @import { Passkey, Place } from "../edge/lib/authenticator.mjs" */
/** @import { Site } from "../edge/lib/site.mjs" */
/** @typedef {typeof import("@simplewebauthn/server")} Peer */
/** @typedef {(below: number) => number} Random */
/** @typedef {{ what: string, clientData: Buffer, id: Buffer }} Mutated */

/** How many times 2,500 ceremonies are judged. */
const TIMES = Number(process.env.EDGEWARD_TOKENS ?? 1) / 4;
/** How many browsers do it at a time, and how many ceremonies each of them has: of each algorithm's sign-ins, and registrations. */
const SIGN_INS = { lanes: 2, each: 1_000 * TIMES };
const REGISTRATIONS = { lanes: 4, each: 500 * TIMES };

/** Reasons of ours, as the log has them, for what the peer does not look at, and why we do. */
const STRICTER = {
  backup_eligibility: "it never does (§7.2, 17)",
  user_handle: "the peer leaves it to its caller",
  credential_id: "the peer takes the attested one",
  credential_unknown: "the peer leaves it to its caller",
  cross_origin: "the peer does not look at crossOrigin",
  top_origin: "the peer does not look at topOrigin",
  client_data: "a member is named twice, or has another type",
  cbor: "CTAP2 asks for the canonical form",
  attestation: "there are three members",
  key: "§5.8.5 asks for exactly these parameters",
  curve: "§5.8.5 gives each algorithm its curve",
  weak_key: "RSA keys have the same rules as those of issuers",
  extensions: "CTAP2 asks for the canonical form",
  attested_data: "an assertion has none (§6.1)",
};

/** @typedef {Awaited<ReturnType<typeof startGateway>>} Gateway */

/** A gateway in a runtime of its own: two of them keep two cores busy. */
async function startGateway() {
  const world = await startWorld(withGateway({}, { passkeys: {} }));
  const gateway = world.site("GATEWAY");
  let settling = Promise.resolve();
  return {
    world,
    gateway,
    /** @type {Place} */
    place: { rpId: gateway.host, origin: `http://${gateway.host}` },
    /** The reasons of all refusals that the log has, by the ids of the requests. */
    async reasons() {
      // One after the other: each takes the others' marks away.
      settling = settling.then(() => world.settled());
      await settling;
      return new Map(world.events("denied").map(({ request_id, reason }) => [request_id, String(reason).replace("passkey: ", "")]));
    },
  };
}

/** @type {Gateway} */
let signIns;
/** @type {Gateway} */
let registrations;
/** @type {Peer} */
let peer;
before(async () => {
  await installNpm();
  peer = await import("@simplewebauthn/server");
  [signIns, registrations] = [await startGateway(), await startGateway()];
});
after(async () => {
  await signIns?.world.stop();
  await registrations?.world.stop();
});

/**
 * A new challenge, with the page that is open already.
 * @param {Browser} browser
 * @param {Site} gateway
 * @param {"register" | "sign_in"} ceremony
 * @param {string} csrf
 * @returns {ReturnType<typeof optionsOf>}
 */
async function nextOptions(browser, gateway, ceremony, csrf) {
  const answer = await browser.submit(gateway, "/passkey/", { csrf, for: ceremony });
  assert.equal(answer.status, 200, String(answer));
  return { ...answer.json, csrf };
}

/**
 * Does the same in several browsers at a time; answers what all of them have to tell.
 * @template T
 * @param {number} lanes
 * @param {(lane: number) => Promise<T[]>} run
 */
const inLanes = async (lanes, run) => (await Promise.all(Array.from({ length: lanes }, (_, lane) => run(lane)))).flat();

/**
 * Numbers that are the same in each run.
 * @param {number} seed
 * @returns {Random}
 */
function generator(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/**
 * @template T
 * @param {Random} random
 * @param {T[]} all
 */
const pick = (random, all) => all[random(all.length)];

/**
 * Bytes with a bit, a byte or a piece changed.
 * @param {Random} random
 * @param {Buffer} bytes
 */
function damaged(random, bytes) {
  const copy = Buffer.from(bytes);
  const at = random(copy.length);
  switch (random(5)) {
    case 0:
      return copy.subarray(0, at);
    case 1:
      return Buffer.concat([copy, Buffer.from([random(256)])]);
    case 2:
      return Buffer.concat([copy.subarray(0, at), Buffer.from([random(256)]), copy.subarray(at)]);
    case 3:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(at + 1)]);
    default:
      copy[at] ^= 1 << random(8);
      return copy;
  }
}

/**
 * Client data with a member changed.
 * @param {Random} random
 * @param {Buffer} bytes
 */
function otherClientData(random, bytes) {
  const members = JSON.parse(bytes.toString());
  const { challenge, origin } = members;
  const change = pick(random, [
    { type: pick(random, ["webauthn.create", "webauthn.get", "payment.get", ""]) },
    { challenge: pick(random, [randomBytes(32).toString("base64url"), challenge.slice(1), `${challenge}=`, ""]) },
    { origin: pick(random, [`${origin}/`, origin.replace("http:", "https:"), `${origin}:81`, "null", "http://evil.example", origin.toUpperCase()]) },
    { crossOrigin: pick(random, [true, undefined, "false", 0]) },
    { topOrigin: pick(random, ["http://evil.example", undefined]) },
    { other: { any: [1, null] } },
    {},
  ]);
  const text = JSON.stringify({ ...members, ...change });
  return Buffer.from(random(8) === 0 ? `${text.slice(0, -1)},"type":"${members.type}"}` : text);
}

const MUTATIONS = ["client data", "rp id", "flags", "counter", "data", "extensions", "signature", "unsigned", "key", "whose"];

/**
 * @param {Random} random
 * @param {Passkey} passkey
 * @param {Passkey} other Of the same algorithm.
 * @param {Awaited<ReturnType<typeof optionsOf>>} options
 * @param {Place} place
 */
function mutatedAssertion(random, passkey, other, options, place) {
  const mine = { ...passkey, counter: passkey.counter === 0 ? 0 : passkey.counter + 1 };
  let { clientData, data, signature } = assertedBy(mine, options, place);
  let { id, handle } = passkey;
  const what = random(25) === 0 ? "nothing" : pick(random, MUTATIONS);
  const copy = Buffer.from(data);
  switch (what) {
    case "client data":
      clientData = random(3) === 0 ? damaged(random, clientData) : otherClientData(random, clientData);
      break;
    case "rp id":
      sha256(pick(random, ["evil.example", `www.${place.rpId}`, place.rpId.toUpperCase(), place.rpId])).copy(copy);
      break;
    case "flags":
      copy[32] = random(256);
      break;
    case "counter":
      copy.writeUInt32BE(pick(random, [0, 1, passkey.counter, passkey.counter + 1, 2 ** 32 - 1 - random(2)]), 33);
      if (copy.readUInt32BE(33) > 2 ** 31) copy.writeUInt32BE(0, 33);
      break;
    case "extensions":
      copy[32] |= 128;
      break;
    default:
  }
  data = copy;
  if (what === "data") data = damaged(random, data);
  if (what === "extensions") {
    const all = ["a0", "a16b6372656450726f7465637402", "a1", "a2616200616100", "a10000", "80", "a16161f5", "a0a0", "a1617879"];
    data = Buffer.concat([data, Buffer.from(pick(random, all), "hex")]);
  }
  if (what !== "nothing") signature = signedBy(what === "key" ? other : passkey, data, clientData);
  if (what === "signature") signature = damaged(random, signature);
  if (what === "unsigned") {
    if (random(2) === 0) data = damaged(random, data);
    else clientData = damaged(random, clientData);
  }
  if (what === "whose") {
    if (random(2) === 0) id = damaged(random, id);
    else handle = randomBytes(32).toString("base64url");
  }
  return { what, clientData, data, signature, id, handle };
}

/**
 * Whether we refuse what the peer need not: also signatures in another form than DER's one.
 * @param {string} what
 * @param {string | undefined} reason
 */
const isStricter = (what, reason) => reason !== undefined && (reason in STRICTER || (what === "signature" && reason === "signature"));

/**
 * What of both verdicts is not the same, and not explained.
 * @param {{ what: string, ours: boolean, theirs: boolean, reason: string | undefined }[]} verdicts
 * @param {TestContext} t
 * @param {(what: string) => boolean} isLaxer
 */
function assertAlike(verdicts, t, isLaxer = () => false) {
  const counts = { both: 0, neither: 0 };
  /** @type {Record<string, number>} */
  const explained = {};
  const unexplained = [];
  for (const { what, ours, theirs, reason } of verdicts) {
    if (ours === theirs) counts[ours ? "both" : "neither"]++;
    else if ((!ours && isStricter(what, reason)) || (ours && isLaxer(what))) {
      const why = reason ?? what;
      explained[why] = (explained[why] ?? 0) + 1;
    } else unexplained.push(`${what}: ${ours ? "we take it" : `the peer takes it: ${reason}`}`);
  }
  t.diagnostic(JSON.stringify({ ...counts, explained }));
  assert.deepEqual([...new Set(unexplained)], []);
  assert.ok(counts.both > verdicts.length / 12 && counts.neither > verdicts.length / 5, JSON.stringify(counts));
}

/**
 * The verdicts with the reasons of ours from the log, which has one line for each refusal and none for what was taken.
 * @param {Gateway} at
 * @param {{ id: string, what: string, ours: boolean, theirs: boolean }[]} verdicts
 */
async function explained(at, verdicts) {
  const logged = await at.reasons();
  for (const { id, ours } of verdicts) assert.equal(logged.has(id), !ours, id);
  return verdicts.map((one) => ({ ...one, reason: logged.get(one.id) }));
}

const SUPPORTED = Object.values(ALGORITHMS);

describe("mutated ceremonies", { concurrency: true }, () => {
  for (const [name, number] of Object.entries({ ES256: -7, EdDSA: -8, RS256: -257, ES384: -35 })) {
    test(`mutated sign-ins by ${name} are judged as @simplewebauthn/server judges them`, async (t) => {
      const verdicts = await inLanes(SIGN_INS.lanes, (lane) => signInOften(number, lane));
      assert.equal(verdicts.length, SIGN_INS.lanes * SIGN_INS.each);
      assertAlike(await explained(signIns, verdicts), t);
    });
  }

  test("mutated registrations are judged as @simplewebauthn/server judges them", async (t) => {
    const verdicts = await inLanes(REGISTRATIONS.lanes, registerOften);
    assert.equal(verdicts.length, REGISTRATIONS.lanes * REGISTRATIONS.each);
    // No statement is believed, so its format does not matter.
    assertAlike(await explained(registrations, verdicts), t, (what) => what === "format");
  });
});

/**
 * One passkey, with which somebody signs in again and again.
 * @param {number} number
 * @param {number} lane
 */
async function signInOften(number, lane) {
  const { world, gateway, place } = signIns;
  const random = generator(20_260_200 + number + 1_000_000 * lane);
  const [passkey, other] = [newPasskey(number), newPasskey(number)];
  const browser = new Browser(world);
  await browser.signIn(gateway, await newPerson(gateway));
  const toAdd = await optionsOf(browser, gateway, "register");
  const { clientData, attestation } = createdBy(passkey, toAdd, place);
  const fields = fieldsOf({ challenge: toAdd.challenge, id: passkey.id, client_data: clientData, attestation });
  assert.equal((await browser.submit(gateway, "/account/", { csrf: toAdd.csrf, action: "add_passkey", ...fields })).status, 303);
  const visitor = new Browser(world);
  let options = await optionsOf(visitor, gateway, "sign_in");
  const verdicts = [];
  const known = { id: passkey.id.toString("base64url"), publicKey: new Uint8Array(passkey.cose), counter: 0 };
  for (let round = 0; round < SIGN_INS.each; round++) {
    const mutated = mutatedAssertion(random, passkey, other, options, place);
    const { what, id, handle } = mutated;
    const form = { client_data: mutated.clientData, data: mutated.data, signature: mutated.signature, id, handle };
    const request = `sign-in${number}-${lane}-${round}`;
    visitor.headers = [["CF-Ray", request]];
    const answer = await visitor.submit(gateway, "/login/", { csrf: options.csrf, challenge: options.challenge, ...fieldsOf(form) });
    assert.ok([303, 400].includes(answer.status), `${what}: ${answer}`);
    const theirs = await peer
      .verifyAuthenticationResponse({
        response: {
          id: id.toString("base64url"),
          rawId: id.toString("base64url"),
          type: "public-key",
          clientExtensionResults: {},
          response: {
            clientDataJSON: mutated.clientData.toString("base64url"),
            authenticatorData: mutated.data.toString("base64url"),
            signature: mutated.signature.toString("base64url"),
            userHandle: handle,
          },
        },
        expectedChallenge: options.publicKey.challenge,
        expectedOrigin: place.origin,
        expectedRPID: place.rpId,
        credential: known,
        requireUserVerification: true,
      })
      .then(
        ({ verified }) => verified,
        () => false,
      );
    const ours = answer.status === 303;
    verdicts.push({ id: request, what, ours, theirs });
    if (!ours) continue;
    known.counter = passkey.counter = mutated.data.readUInt32BE(33);
    visitor.headers = [];
    options = await nextOptions(visitor, gateway, "sign_in", options.csrf);
  }
  return verdicts;
}

/**
 * People one after the other who add passkeys, at most 20 each; each is new, so that the sign-in is fresh.
 * @param {number} lane
 */
async function registerOften(lane) {
  const { world, gateway, place } = registrations;
  const random = generator(20_260_300 + 1_000_000 * lane);
  const verdicts = [];
  while (verdicts.length < REGISTRATIONS.each) {
    const browser = new Browser(world);
    await browser.signIn(gateway, await newPerson(gateway));
    let options = await optionsOf(browser, gateway, "register");
    const base = newPasskey(pick(random, [ALGORITHMS.ES256, ALGORITHMS.EdDSA, ALGORITHMS.ES384]));
    let added = 0;
    for (let attempt = 0; attempt < 100 && added < 20 && verdicts.length < REGISTRATIONS.each; attempt++) {
      const passkey = { ...base, id: randomBytes(32) };
      const flags = random(6) === 0 ? random(256) : passkey.flags;
      const made = createdBy({ ...passkey, flags }, options, place);
      let what =
        flags === passkey.flags ? pick(random, ["nothing", "client data", "client data", "attestation", "attestation", "attestation", "attestation"]) : "flags";
      let { clientData, attestation } = made;
      if (what === "client data") clientData = random(3) === 0 ? damaged(random, clientData) : otherClientData(random, clientData);
      if (what === "attestation") attestation = damaged(random, attestation);
      if (what === "attestation" && !attestation.includes("cfmtdnone")) what = "format";
      const form = { id: passkey.id, client_data: clientData, attestation };
      const fields = { csrf: options.csrf, challenge: options.challenge, action: "add_passkey", ...fieldsOf(form) };
      /** @type {string} */
      const request = `registration-${lane}-${verdicts.length}`;
      browser.headers = [["CF-Ray", request]];
      const answer = await browser.submit(gateway, "/account/", fields);
      assert.ok([303, 400].includes(answer.status), `${what}: ${answer}`);
      const ours = answer.status === 303;
      const theirs = await peer
        .verifyRegistrationResponse({
          response: {
            id: passkey.id.toString("base64url"),
            rawId: passkey.id.toString("base64url"),
            type: "public-key",
            clientExtensionResults: {},
            response: { clientDataJSON: clientData.toString("base64url"), attestationObject: attestation.toString("base64url") },
          },
          expectedChallenge: options.publicKey.challenge,
          expectedOrigin: place.origin,
          expectedRPID: place.rpId,
          requireUserVerification: true,
          supportedAlgorithmIDs: SUPPORTED,
        })
        .then(
          ({ verified }) => verified,
          () => false,
        );
      verdicts.push({ id: request, what, ours, theirs });
      if (!ours) continue;
      added++;
      browser.headers = [];
      options = await nextOptions(browser, gateway, "register", options.csrf);
    }
  }
  return verdicts;
}
