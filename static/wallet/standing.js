// What the aggregator says about this wallet: that it is not asked any more and why, and what a holder can say to that.
// Python twin: wallets/agent/standing.py.

import {fromHex, hex} from "./bytes.js";
import {verify} from "./crypto.js";
import {badData, notFound} from "./failures.js";
import * as journal from "./journal.js";
import {uuidBytes} from "./machine.js";
import {signed} from "./messages.js";
import {queue} from "./outbox.js";

const LABEL = "cssi/v1/standing", CATEGORY = "standing", LONGEST_REASON = 1000, LONGEST_APPEAL = 1000;
const WORDS = {version: "number", revision: "number", created: "number", state: "string", reason: "string", collective_id: "string", subscription_key: "string"};
/** @type {Record<string, string>} */
const SAID = {
  excluded: "This wallet is not asked any more.", upheld: "Your appeal was read and not granted.", reinstated: "This wallet is asked again.",
};

/** Length in characters, as Python counts them. @param {string} text */
const characters = (text) => [...text].length;

/** The letter when it is the aggregator's, to this subscription key; null otherwise. @param {any} document @returns {Promise<any>} */
export async function verified(document, {key, to, collectiveId}) {
  const {signature, ...body} = document ?? {};
  const names = Object.keys(WORDS);
  if (Object.keys(body).length !== names.length || !names.every((name) => typeof body[name] === WORDS[name])) return null;
  if (!["version", "revision", "created"].every((name) => Number.isSafeInteger(body[name]))) return null;
  if (body.version !== 1 || !Object.hasOwn(SAID, body.state) || characters(body.reason) > LONGEST_REASON) return null;
  if (body.collective_id !== collectiveId || body.subscription_key !== hex(to)) return null;
  try {
    await verify(key, LABEL, body, fromHex(String(signature ?? ""), 64));
  } catch {
    return null;
  }
  return body;
}

/** Keep a letter and tell the holder; "refused" when it is not the aggregator's word to this wallet. @returns {Promise<"done" | "refused">} */
export async function onLetter(agent, {to, collectiveId, document}) {
  const letter = await verified(document, {key: agent.known().aggregatorKey, to, collectiveId});
  if (!letter) return "refused";
  const outcome = await agent.vault.transaction(async (records) => {
    if (!await records.get("permit", collectiveId)) return "refused";
    const known = await records.get(CATEGORY, collectiveId);
    if (known && known.created >= letter.created && known.revision >= letter.revision) return "known";
    const {state, reason, revision, created} = letter;
    await records.put(CATEGORY, collectiveId, {state, reason, revision, created, appeal: known?.appeal ?? ""});
    await journal.append(records, agent.now(), "notice", {collective_id: collectiveId, code: state, sentence: journal.cut(`${SAID[state]} ${reason}`, 600)});
    return "new";
  });
  if (outcome === "new") agent.event("standing", {collective_id: collectiveId, state: letter.state});
  return outcome === "refused" ? "refused" : "done";
}

/** For the holder; null when nothing was said. @param {any} vault @param {string} id */
export async function shown(vault, id) {
  const said = await vault.get(CATEGORY, id);
  if (!said) return null;
  const sentences = [SAID[said.state], said.reason];
  if (said.appeal && said.state === "excluded") sentences.push(`You objected: “${said.appeal}”. An administrator will answer.`);
  return {state: said.state, sentences};
}

/** Say why the exclusion is wrong; it may be said anew until it is decided. @param {any} agent @param {string} id @param {string} words */
export async function appeal(agent, id, words) {
  const text = words.trim();
  if (!text || characters(text) > LONGEST_APPEAL) throw badData("Say in 1 to 1,000 characters why this wallet should be asked again.");
  await agent.vault.transaction(async (records) => {
    const said = await records.get(CATEGORY, id), keys = await records.get("keys", id), now = agent.now();
    if (!said || !keys || said.state !== "excluded") throw notFound("This wallet is not excluded there, or the appeal was decided already.", "not_excluded");
    const body = await signed("appeal", fromHex(keys.subscription), {collective: uuidBytes(id), text: new TextEncoder().encode(text), created: now});
    await queue(records, {to: "aggregator", method: "PUT", path: "/aggregator/appeals", body: hex(body), seal: "cssi/v1/appeal"}, agent.rng);
    await records.put(CATEGORY, id, {...said, appeal: text});
    await journal.append(records, now, "notice", {collective_id: id, code: "appeal", sentence: "You objected to the exclusion."});
  });
  await agent.flushOutgoing();
}
