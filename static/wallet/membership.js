// Pairing, subscribing, stating changed data anew, and leaving. Python twins: wallets/agent/membership.py, presentation.py, material.py,
// restating.py and leaving.py. A tab proves at the declared level; what asks for an issuer's word is for the agent.

import {agreementHash, collectiveBytes, payoutHash, signingDigest} from "./agreement.js";
import {concat, fromHex, hex, utf8} from "./bytes.js";
import {toTerms, given, withdraw} from "./consent.js";
import {publicKey, sign} from "./crypto.js";
import {TermsError} from "./errors.js";
import {ServerRefused, WalletError, badData, fault, notFound, notTrusted} from "./failures.js";
import {addressOf, eip191Digest, newSubscriptionKeys, pseudonym, signDigest} from "./identity.js";
import * as journal from "./journal.js";
import {canonical} from "./json.js";
import {decide} from "./machine.js";
import {root} from "./merkle.js";
import {queue, queueLink, queueOpening} from "./outbox.js";
import {patiently} from "./patience.js";
import {problems, project} from "./requirement.js";
import {PINNED, fetchServer, parseServer, pinOf} from "./server.js";
import {openEnvelope, parsePermit, permitOf, signEnvelope, termsHash} from "./terms.js";

/** @type {[string, string]} */
export const RECORD = ["record", "main"];
const SHORTEST = 3600; // seconds, as terms have it
const FRESH_SECONDS = 300; // half of what a collective allows between a statement and its own clock

// --- the person's data ------------------------------------------------------------------------------------------

/** Root of the salted Merkle tree over one record, hex. @param {any} record @param {string} seed hex */
export async function commitment(record, seed) {
  const key = await crypto.subtle.importKey("raw", fromHex(seed), {name: "HMAC", hash: "SHA-256"}, false, ["sign"]);
  const salt = new Uint8Array(await crypto.subtle.sign("HMAC", key, concat(utf8("cssi/v1/record"), new Uint8Array(4))));
  return hex(await root([concat(salt, canonical(record))]));
}

/** What a record lacks before a subscription can be signed, in words. @param {any} record @param {any} requirement @returns {string[]} */
export function lacking(record, requirement) {
  const others = Object.entries(requirement.properties).filter(([, spec]) => (spec["x-assurance"] ?? "declared") !== "declared");
  return [
    ...problems(requirement, project(record, requirement)),
    ...others.map(([name]) => `${name}: needs an issuer's word, which this wallet cannot show; move it to an always-on agent`),
  ];
}

/** What a record lacks for a stored permit: by the requirement, and by the commitment made at subscription. @param {any} stored @param {any} record */
export async function missingFor(stored, record) {
  const {requirement} = stored.terms.document, found = problems(requirement, project(record, requirement));
  if (found.length) return found;
  const same = await commitment(project(record, requirement), stored.commitment_seed) === stored.commitment;
  return same ? [] : ["your data changed since you subscribed; `restate` proves the new data to this collective"];
}

/** Merge fields into the stored record. Throws WalletError `backup_first`. @param {any} agent @param {any} changes */
export const saveRecord = (agent, changes) => agent.vault.transaction(async (records) => {
  await records.put(...RECORD, {...await records.get(...RECORD), ...changes});
  await journal.append(records, agent.now(), "data", {sentence: "Your data was changed."});
});

// --- pairing ----------------------------------------------------------------------------------------------------

/** Pair with a server and an account; the account's label. The server's keys are pinned from here on. @param {any} agent @param {{url: string, code: string, pin: string}} link */
export async function pair(agent, link) {
  const document = await fetchServer(agent.transport, link.url, link.pin), server = await parseServer(document);
  const known = await agent.vault.get(...PINNED);
  if (known && await pinOf(known) !== server.pin) {
    throw notTrusted("This wallet is already paired with another server. Create a second wallet for the other one.");
  }
  // After a lost answer the same key comes again.
  const stored = await agent.vault.get("key", "mailbox") ?? await agent.vault.get("key", "mailbox-next") ?? {private: hex(agent.rng(32))};
  await agent.vault.put("key", "mailbox-next", stored);
  const secret = fromHex(stored.private), mailbox = await publicKey(secret), created = agent.now();
  const signature = hex(await sign(secret, "cssi/v1/pair", {code: link.code, mailbox, created}));
  const body = {code: link.code, mailbox_key: hex(mailbox), created, signature};
  const answer = await agent.transport.call("POST", server.apiUrl("wallets/pair"), body);
  if (await pinOf(answer.server ?? document) !== server.pin) {
    throw notTrusted("The server changed its description while pairing. Get a new link and try again.");
  }
  await agent.vault.transaction(async (records) => {
    await records.put(...PINNED, document);
    await records.put("key", "mailbox", stored);
    await records.remove("key", "mailbox-next");
    await journal.append(records, agent.now(), "paired", {sentence: "Paired with an account."});
  });
  await agent.load();
  await agent.session.bind();
  agent.event("paired");
  return String(answer.account_label ?? "");
}

// --- subscribing ------------------------------------------------------------------------------------------------

/** A collective's signed terms from the pinned server, as an offer document. @param {any} agent @param {string} collectiveId */
export const offerOf = async (agent, collectiveId) =>
  ({ collective_id: collectiveId, terms: await agent.transport.call("GET", agent.known().apiUrl(`collectives/${collectiveId}/terms`)), offer_ref: "" });

/** Subscribe on an offer document; the parsed permit once it is in the vault. Throws WalletError. @param {any} agent @param {any} offer */
export function subscribe(agent, offer, {throughPairing, attempts = 1}) {
  const mine = agent.subscribing.then(() => subscribeNow(agent, offer, throughPairing, attempts));
  agent.subscribing = mine.catch(() => {}); // one at a time: two at once would make two sets of keys
  return mine;
}

async function subscribeNow(agent, offer, throughPairing, attempts) {
  const id = String(offer.collective_id), permit = permitOf(await agent.vault.get("permit", id));
  const decision = await decide({kind: "OfferArrived", collective_id: id, envelope: offer.terms, permit, now: agent.now()}, agent.policy);
  const refuse = async (code, sentence, error) => {
    await agent.record("refused", {collective_id: id, code, sentence: journal.cut(sentence, 300)});
    throw error;
  };
  if (decision.kind === "Refused") {
    await refuse(decision.refusal, decision.sentence, new ServerRefused(decision.sentence, decision.refusal, 400));
  }
  const {terms} = decision, lacks = lacking(await agent.vault.get(...RECORD) ?? {}, terms.requirement);
  if (lacks.length) {
    const sentence = `Your data does not meet the requirement yet: ${lacks.slice(0, 6).join("; ")}.`;
    await refuse("data_missing", "Your data does not meet the requirement.", badData(sentence, "data_missing"));
  }
  if (terms.sandbox === "full") {
    const sentence = "A browser lacks layers of the sandbox that this collective asks for.";
    await refuse("sandbox_too_low", sentence, new WalletError("sandbox_too_low", sentence));
  }
  const {agreed, how} = await toTerms(await agent.rule(), agent.ask, terms, throughPairing);
  if (!agreed) {
    await declined(agent, id, offer);
    throw new WalletError("declined", `Not subscribed to ${terms.name}.`);
  }
  try {
    const {draft, answer} = await sent(agent, terms, lasting(offer, terms), attempts);
    return await keep(agent, terms, await checkedPermit(answer, terms, draft), {draft, answer, offer, how});
  } catch (error) {
    if (!(error instanceof WalletError)) throw error;
    const sentence = journal.cut(`Not subscribed to ${terms.name}: ${error.message}`, 300);
    await agent.record("offer", {collective_id: id, code: error.code, sentence});
    throw error;
  }
}

/** How long the permission is signed for, in seconds: what the holder wants where that is shorter than the terms. */
const lasting = ({valid_seconds: wanted}, terms) =>
  Number.isSafeInteger(wanted) && wanted >= SHORTEST ? Math.min(wanted, terms.valid_seconds) : terms.valid_seconds;

/** The draft that was sent and the answer. Refused, the draft is dropped; was it an old one, a fresh one is made and sent. */
async function sent(agent, terms, lasts, attempts) {
  const url = agent.known().apiUrl(`collectives/${terms.collective_id}/subscriptions`);
  for (;;) {
    const draft = await draftOf(agent, terms, lasts), {created} = draft.subscription.document;
    try {
      return { draft, answer: await patiently(() => agent.transport.call("POST", url, draft.subscription), {longest: 60, attempts}) };
    } catch (error) {
      if (!(error instanceof ServerRefused && error.permanent)) throw error;
      await agent.vault.remove("draft", terms.collective_id);
      if (created > agent.now() - FRESH_SECONDS) throw error;
    }
  }
}

/** Keys and the signed subscription, kept before they are sent: a repeat after a lost answer sends the same bytes. */
async function draftOf(agent, terms, lasts) {
  const kept = await agent.vault.get("draft", terms.collective_id), digest = await termsHash(terms);
  if (kept?.terms_hash === digest && (kept.lasts ?? terms.valid_seconds) === lasts) return kept;
  const keys = newSubscriptionKeys(agent.rng), seed = hex(agent.rng(32)), created = agent.now();
  const record = project(await agent.vault.get(...RECORD) ?? {}, terms.requirement);
  const presence = {level: "declared", commitment: await commitment(record, seed), record_count: 1};
  const message = {
    collectiveId: collectiveBytes(terms.collective_id), termsHash: digest, requirementHash: terms.requirement_hash, rate: String(terms.rate),
    payoutHash: hex(payoutHash(addressOf(fromHex(keys.payout)), fromHex(keys.payout_salt))), validFrom: created,
    validUntil: created + lasts, nonce: String(BigInt(`0x${hex(agent.rng(8))}`)),
  };
  const secret = fromHex(keys.agreement), key = await pseudonym(keys);
  const {chain_id: chain, registry} = terms.agreement;
  const document = {
    version: 1, collective_id: terms.collective_id, terms_hash: digest, requirement_hash: terms.requirement_hash, subscription_key: key,
    agreement: message, agreement_signer: `0x${hex(addressOf(secret))}`,
    agreement_signature: hex(await signDigest(secret, signingDigest(message, chain, registry))),
    cross_signature: hex(await signDigest(secret, eip191Digest(fromHex(key)))), presence, created,
  };
  const draft = {
    terms_hash: digest, lasts, agreement_hash: agreementHash(message), keys, seed, commitment: presence.commitment,
    subscription: await signEnvelope("subscription", document, fromHex(keys.subscription)),
  };
  await agent.vault.put("draft", terms.collective_id, draft);
  return draft;
}

/** The permit must be signed by the key in the terms and say what was agreed. */
async function checkedPermit(answer, terms, {keys, terms_hash: digest, agreement_hash: agreement, subscription}) {
  let permit;
  try {
    permit = parsePermit(await openEnvelope(answer, "permit", terms.collective_key));
  } catch (error) {
    if (!(error instanceof TermsError)) throw error;
    throw fault(`The collective's permit is not valid: ${error.message}`, "bad_permit");
  }
  const same = permit.collective_id === terms.collective_id && permit.collective_key === terms.collective_key && permit.terms_hash === digest
    && permit.requirement_hash === terms.requirement_hash && permit.subscription_key === await pseudonym(keys)
    && permit.agreement_hash === agreement && permit.rate === terms.rate && permit.silence === terms.silence
    && permit.expires <= subscription.document.agreement.validUntil
    && hex(canonical(permit.algorithm_class)) === hex(canonical(terms.algorithm_class));
  const atLeast = ["bucket_min", "release_min", "notice_seconds"].every((name) => permit[name] >= terms[name]);
  if (same && atLeast && permit.manifests.every((hash) => terms.permitted_manifests.includes(hash))) return permit;
  throw fault("The collective's permit does not say what the terms say. Nothing was kept.", "bad_permit");
}

/** Everything of a subscription in one transaction, and what must be told of it queued. */
async function keep(agent, terms, permit, {draft, answer, offer, how}) {
  const id = terms.collective_id, {keys} = draft, now = agent.now(), offerRef = String(offer.offer_ref ?? "");
  await agent.vault.transaction(async (records) => {
    await records.put("permit", id, {
      permit: answer, terms: offer.terms, commitment: draft.commitment, commitment_seed: draft.seed, subscribed: now, offer_ref: offerRef,
    });
    await records.put("keys", id, keys);
    // Money already earned is still paid after the subscription has ended.
    const address = `0x${hex(addressOf(fromHex(keys.payout)))}`;
    await records.put("payout", permit.subscription_key, {private: keys.payout, address, name: terms.name});
    await records.remove("draft", id);
    const receipt = given({terms, permit, fields: Object.keys(terms.requirement.properties), how, now});
    await records.put("consent", permit.subscription_key, await signEnvelope("consent", receipt, fromHex(keys.subscription)));
    await queueOpening(records, keys, permit.agreement_hash);
    await queueLink(records, {collectiveId: id, subscriptionKey: permit.subscription_key, offerRef, state: "subscribed", now});
    await journal.append(records, now, "subscribed", { collective_id: id, sentence: `Subscribed to ${terms.name} (${how}).` });
  });
  await agent.subscribed(id, permit.subscription_key);
  agent.spawn(agent.flushOutgoing());
  return permit;
}

async function declined(agent, id, offer) {
  const now = agent.now();
  await agent.vault.transaction(async (records) => {
    await journal.append(records, now, "offer", {collective_id: id, code: "declined"});
    await queueLink(records, {collectiveId: id, subscriptionKey: "", offerRef: String(offer.offer_ref ?? ""), state: "declined", now});
  });
  agent.spawn(agent.flushOutgoing());
}

/** After the data changed: prove its presence to one collective anew; nothing is changed when it does not take the statement. @param {any} agent */
export async function restate(agent, id) {
  const stored = await agent.vault.get("permit", id), keys = await agent.vault.get("keys", id);
  if (!stored || !keys) throw notFound("This subscription has ended.", "no_permit");
  const {requirement, requirement_hash} = stored.terms.document, record = await agent.vault.get(...RECORD) ?? {};
  const lacks = lacking(record, requirement);
  if (lacks.length) throw badData(`Your data no longer meets the requirement: ${lacks.slice(0, 6).join("; ")}.`, "data_missing");
  const seed = hex(agent.rng(32)), made = await commitment(project(record, requirement), seed);
  const statement = {
    version: 1, collective_id: id, subscription_key: await pseudonym(keys), requirement_hash,
    presence: {level: "declared", commitment: made, record_count: 1}, created: agent.now(),
  };
  const envelope = await signEnvelope("presence", statement, fromHex(keys.subscription));
  await agent.transport.call("POST", agent.known().apiUrl(`collectives/${id}/presence`), envelope);
  await agent.vault.transaction(async (records) => {
    const current = await records.get("permit", id);
    if (!current) return;
    await records.put("permit", id, {...current, commitment: made, commitment_seed: seed});
    await journal.append(records, agent.now(), "data", {collective_id: id, sentence: "Presence of the changed data was proven."});
  });
}

/** Per payout address: what the market says is pending and paid. @param {any} agent */
export async function earnings(agent) {
  const lines = Object.values(await agent.vault.list("payout"));
  return Promise.all(lines.map(async ({name, address}) =>
    ({ name, address, ...await agent.transport.call("GET", agent.known().apiUrl(`payouts/${address}`)) })));
}

// --- leaving ----------------------------------------------------------------------------------------------------

/** Delete the permit now; nothing of this collective runs or leaves afterwards. Works with every server down. @param {any} agent */
export async function revoke(agent, id, {tell = true} = {}) {
  const name = await agent.vault.transaction((records) => removed(agent, records, id, tell));
  const stopped = await agent.cancelVisits(id), erased = await agent.vault.erase();
  agent.event("revoked", {collective_id: id});
  if (tell) await agent.flushOutgoing();
  return {name, stopped, erased: erased > 0, told: await agent.waiting() === 0};
}

async function removed(agent, records, id, tell) {
  const stored = await records.get("permit", id), keys = await records.get("keys", id), now = agent.now();
  if (!stored || !keys) throw notFound("There is no permit for this collective in this wallet, so it already gets nothing.");
  const permit = permitOf(stored), subscriptionKey = permit.subscription_key;
  if (tell) {
    const document = {version: 1, collective_id: id, subscription_key: subscriptionKey, agreement_hash: permit.agreement_hash, created: now};
    const json = await signEnvelope("revocation", document, fromHex(keys.subscription));
    await queue(records, { to: "api", method: "POST", path: `collectives/${id}/revocations`, json }, agent.rng);
  }
  await queueLink(records, {collectiveId: id, subscriptionKey, offerRef: stored.offer_ref, state: "revoked", now});
  await withdraw(records, subscriptionKey, keys, now, tell ? "revoked in the wallet" : "revoked on the web");
  for (const category of ["permit", "keys", "memory", "draft", "standing"]) await records.remove(category, id);
  for (const category of ["jobkey", "revealed", "notice"]) {
    for (const [key, value] of Object.entries(await records.list(category))) if (value.collective_id === id) await records.remove(category, key);
  }
  await journal.append(records, now, "revoked", { collective_id: id, sentence: `Left ${permit.name}; the permit is deleted.` });
  return permit.name;
}
