// Outgoing things that must arrive some day: revocations, links, payout openings, answers to notices. Python twins:
// wallets/agent/outbox.py and letters.py. Written in the transaction of what they tell about, repeated until a server answers.

import {fromHex, hex, random} from "./bytes.js";
import {publicKey, seal, sign} from "./crypto.js";
import {ServerRefused, Unreachable} from "./failures.js";
import {addressOf, pseudonym} from "./identity.js";
import {signed} from "./messages.js";
import {signEnvelope} from "./terms.js";

const CATEGORY = "outgoing", OPENING = "cssi/v1/payout-opening", APPEAL = "cssi/v1/appeal";

/** @typedef {{to: "api" | "aggregator", method: string, path: string, json?: any, body?: string, seal?: string}} Letter body: hex, sealed under `seal` when sent */

/** Write a letter inside a transaction. @param {any} records @param {Letter} letter */
export async function queue(records, {to, method, path, json = null, body = "", seal: label = OPENING}, rng = random) {
  const {next} = await records.get("meta", "outgoing") ?? {next: 0};
  await records.put(CATEGORY, `${String(next).padStart(8, "0")}-${hex(rng(4))}`, {to, method, path, json, body, seal: label});
  await records.put("meta", "outgoing", {next: next + 1});
}

/** How many letters wait. @param {any} vault */
export const waiting = async (vault) => Object.keys(await vault.list(CATEGORY)).length;

/**
 * Send what waits, in the order it was written; stop at the first server that does not answer. Final refusals are returned: their
 * letters are dropped, because repeating cannot help.
 * @param {any} vault @param {import("./transport.js").Transport} transport @param {any} server @returns {Promise<ServerRefused[]>}
 */
export async function flush(vault, transport, server) {
  const refusals = [], letters = await vault.list(CATEGORY);
  for (const name of server ? Object.keys(letters).sort() : []) {
    try {
      await send(transport, server, letters[name]);
    } catch (error) {
      if (error instanceof Unreachable || !error.permanent) break;
      if (!(error instanceof ServerRefused)) throw error;
      refusals.push(error);
    }
    await vault.remove(CATEGORY, name);
  }
  return refusals;
}

/** A letter written before there were two kinds has no label: it is an opening. */
async function send(transport, server, {to, method, path, json, body, seal: label = OPENING}) {
  if (to === "api") { await transport.call(method, server.apiUrl(path), json); return; }
  const content = await seal(server.aggregatorSealKey, label, fromHex(body));
  const {status} = await transport.request(method, server.aggregatorHttp + path, {content});
  if (![200, 201, 204].includes(status)) {
    const [what, code] = label === APPEAL ? ["an appeal", "appeal_refused"] : ["a payout address", "opening_refused"];
    throw new ServerRefused(`The aggregator did not take ${what} (${status}).`, code, status);
  }
}

/** The signed answer to a notice. @param {any} records @param {any} keys the subscription's, as stored */
export async function queueNoticeAnswer(records, keys, {collectiveId, noticeRef, choice, now}) {
  const document = {
    version: 1, collective_id: collectiveId, notice_ref: noticeRef, subscription_key: await pseudonym(keys), choice, created: now,
  };
  const json = await signEnvelope("notice-answer", document, fromHex(keys.subscription));
  await queue(records, { to: "api", method: "POST", path: `collectives/${collectiveId}/notice-answers`, json });
}

/** Tell the market for the person's own page; only a wallet that was paired has something to tell. @param {any} records */
export async function queueLink(records, {collectiveId, subscriptionKey, offerRef, state, now}) {
  const mailbox = await records.get("key", "mailbox");
  if (!mailbox || !offerRef) return;
  const secret = fromHex(mailbox.private);
  const body = {
    offer_ref: offerRef, mailbox_key: hex(await publicKey(secret)), collective_id: collectiveId, subscription_key: subscriptionKey, state,
    created: now,
  };
  const signature = hex(await sign(secret, "cssi/v1/link", body));
  await queue(records, { to: "api", method: "POST", path: "wallets/links", json: {...body, signature} });
}

/** A mailbox key of this copy's own, and the letter that moves the mailbox to it; false for a wallet never paired. @param {any} records */
export async function queueMove(records, rng, now) {
  const mailbox = await records.get("key", "mailbox");
  if (!mailbox) return false;
  const old = fromHex(mailbox.private), fresh = rng(32);
  const [from, to] = [await publicKey(old), await publicKey(fresh)], body = {mailbox: from, new_mailbox: to, created: now};
  const json = {
    mailbox_key: hex(from), new_mailbox_key: hex(to), created: now,
    signature: hex(await sign(old, "cssi/v1/move", body)), new_signature: hex(await sign(fresh, "cssi/v1/move", body)),
  };
  await records.put("key", "mailbox", {private: hex(fresh)});
  await queue(records, {to: "api", method: "POST", path: "wallets/move", json});
  return true;
}

/** The payout address behind an agreement's hash, for the aggregator alone. @param {any} records @param {any} keys @param {string} agreementHash */
export async function queueOpening(records, keys, agreementHash) {
  const opening = await signed("payout-opening", fromHex(keys.subscription), {
    address: addressOf(fromHex(keys.payout)), salt: fromHex(keys.payout_salt), agreement_hash: fromHex(agreementHash),
  });
  await queue(records, {to: "aggregator", method: "PUT", path: "/aggregator/payout-openings", body: hex(opening)});
}
