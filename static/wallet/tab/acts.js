// What the pages may do with a wallet. Python twin: the acts of wallets/agent/local_views.py, with the same names and bodies.

import * as backup from "../backup.js";
import {RULE} from "../consent.js";
import {WalletError, badData, fault, notFound} from "../failures.js";
import * as journal from "../journal.js";
import {RECORD, lacking, pair as pairWith, restate, revoke, saveRecord, subscribe as subscribeTo} from "../membership.js";
import {parseLink} from "../server.js";
import {appeal} from "../standing.js";
import {tokens, wordsForAgreement} from "../terms.js";
import {changeSlot} from "../vault.js";
import {fromText, fromWords} from "./entering.js";
import {checkNewPassphrase} from "./holder.js";
import {READS, named, signedTerms} from "./reads.js";
import {limit, pause, saveSettings} from "./settings.js";

const SHOWN_OF_PIN = 16;

function text(body, name) {
  if (typeof body[name] !== "string" || !body[name]) throw badData(`Something is missing: ${name.replaceAll("_", " ")}.`);
  return body[name];
}

/** The passphrase or the recovery code of a request. @returns {{kind: "passphrase" | "recovery", secret: string}} */
const secretOf = (body) => (body.recovery_code ? {kind: "recovery", secret: text(body, "recovery_code")} : {kind: "passphrase", secret: text(body, "passphrase")});

/** @param {string} [next] */
async function change(holder, body, changed, next) {
  return changeSlot(holder.storage, {...secretOf(body), changed, ...(next ? {next} : {}), now: holder.now()});
}

/** @type {Record<string, (holder: import("./holder.js").Holder, body: any) => Promise<any>>} */
export const ACTS = {
  create: async (holder, body) => ({recovery_code: await holder.create(text(body, "passphrase"))}),

  unlock: async (holder, body) => {
    const {kind, secret} = secretOf(body);
    await holder.unlock(kind, secret);
    return READS.state(holder, {});
  },

  lock: async (holder) => {
    await holder.lock();
    return READS.state(holder, {});
  },

  /** The passphrase is asked again, so that an open page alone cannot copy the wallet. */
  backup: async (holder, body) => ({
    name: "browser-wallet.cssi-backup", file: await backup.make(holder.agent.vault, {...secretOf(body), now: holder.now()}),
  }),

  /** The holder shows us the file that was kept; from here on data may be entered. */
  "confirm-backup": async (holder, body) => {
    const {kind, secret} = secretOf(body);
    await backup.confirm(holder.agent.vault, body.file, kind, secret, holder.now());
    return {};
  },

  restore: async (holder, body) => {
    const {kind, secret} = secretOf(body);
    await holder.restore(body.file, kind, secret);
    return READS.state(holder, {});
  },

  destroy: async (holder, body) => {
    const {kind, secret} = secretOf(body);
    await backup.make(holder.agent.vault, {kind, secret, now: holder.now()}); // nobody but who knows the secret may do this
    await holder.destroy();
    return {};
  },

  passphrase: async (holder, body) => {
    const next = text(body, "new_passphrase");
    checkNewPassphrase(next);
    await change(holder, body, "passphrase", next);
    await holder.agent.record("security", {sentence: "The passphrase was changed."});
    return {};
  },

  "recovery-code": async (holder, body) => {
    const made = await change(holder, body, "recovery");
    await holder.agent.record("security", {sentence: "The recovery code was replaced."});
    return {recovery_code: made};
  },

  answer: async (holder, body) => {
    holder.answer(text(body, "id"), text(body, "answer"));
    return {};
  },

  /** Check what was typed or imported against a requirement; store only with `confirm`, and say what changes. */
  "save-data": async (holder, body) => {
    const {agent} = holder, wanted = text(body, "collective"), {record, collectives} = await READS.data(holder, {collective: wanted});
    const found = collectives.find((one) => one.collective === wanted);
    if (!found) throw notFound("This collective is not known here.");
    const {requirement} = found, given = typeof body.file === "string" ? await fromText(text(body, "name"), body.file, requirement)
      : fromWords(body.words ?? {}, requirement);
    if (!Object.keys(given).length) throw badData("Enter your values first.");
    const added = Object.keys(given).filter((name) => !Object.hasOwn(record, name)).sort();
    const differs = (name) => Object.hasOwn(record, name) && JSON.stringify(record[name]) !== JSON.stringify(given[name]);
    const replaced = Object.keys(given).filter(differs).sort();
    if (body.confirm === true) await saveRecord(agent, given);
    return {added, replaced, missing: lacking({...record, ...given}, requirement), saved: body.confirm === true};
  },

  "forget-data": async (holder, {fields}) => {
    const {agent} = holder, names = Array.isArray(fields) ? [...new Set(fields.map(String))].sort() : [];
    await agent.vault.transaction(async (records) => {
      const record = await records.get(...RECORD) ?? {}, unknown = names.filter((name) => !Object.hasOwn(record, name));
      if (!names.length || unknown.length) throw notFound(`Your data has no field ${unknown.join(", ") || "of no name"}. Nothing was deleted.`);
      await records.put(...RECORD, Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name))));
      await journal.append(records, holder.now(), "data", {sentence: `${names.length} fields deleted.`});
    });
    return {deleted: names};
  },

  /** Pair by link, or by address and one-time code; a typed code names no key, so `compare` is what the holder compares with the page. */
  pair: async (holder, body) => {
    const {agent} = holder, pin = "", link = body.code ? {url: text(body, "url").trim(), code: text(body, "code").trim(), pin}
      : /** @type {any} */ (parseLink("pair", text(body, "link")));
    const label = await pairWith(agent, link);
    await agent.vault.put(...RULE, {rule: body.trust_web === true ? "confirmed-on-web" : "ask"});
    return {label, compare: link.pin ? "" : agent.known().pin.slice(0, SHOWN_OF_PIN)};
  },

  /** The signed terms of a collective in words. What is shown comes from the document and from nowhere else. */
  review: async (holder, body) => {
    const id = await named(holder, text(body, "collective")), {terms} = await signedTerms(holder, id);
    return {
      collective: id, name: terms.name, sentences: wordsForAgreement(terms), fields: Object.keys(terms.requirement.properties),
      missing: lacking(await holder.agent.vault.get(...RECORD) ?? {}, terms.requirement),
    };
  },

  /** Subscribe; the question appears among the open ones and is answered there, from the document that will be signed. */
  subscribe: async (holder, body) => {
    const {offer} = await signedTerms(holder, text(body, "collective"));
    subscribeTo(holder.agent, offer, {throughPairing: false, attempts: 5}).catch((error) => {
      if (!(error instanceof WalletError)) throw error;
      if (error.code !== "store_closed") holder.tell("not_subscribed", {code: error.code, sentence: error.message});
    });
    return {};
  },

  pause: async (holder, body) => {
    await pause(holder.agent.vault, text(body, "collective"), body.paused === true);
    return {};
  },

  limit: (holder, body) => limit(holder.agent.vault, text(body, "collective"), body),

  appeal: async (holder, body) => {
    await appeal(holder.agent, text(body, "collective"), text(body, "text"));
    return {};
  },

  "delete-permit": async (holder, body) => {
    const started = performance.now(), {name, stopped, erased, told} = await revoke(holder.agent, text(body, "collective"));
    return {name, visits_stopped: stopped, erased, servers_told: told, milliseconds: performance.now() - started};
  },

  choose: async (holder, body) => {
    const choice = text(body, "choice");
    if (!["with", "without", "leave"].includes(choice)) throw badData("Choose with, without or leave.");
    await holder.agent.mailbox.answerNotice(text(body, "collective"), text(body, "notice"), /** @type {any} */ (choice));
    return {};
  },

  restate: async (holder) => {
    const {agent} = holder, told = {};
    for (const [id, {permit}] of Object.entries(await agent.vault.list("permit"))) {
      told[permit.document.name] = await restate(agent, id).then(() => "was told", (error) => `was not told: ${error.message}`);
    }
    return {told};
  },

  /** Ask the market about one payout address alone, so that a reader of its log does not learn that they are one person's. */
  "ask-earnings": async (holder, body) => {
    const {agent} = holder, address = text(body, "address").toLowerCase();
    const found = Object.entries(await agent.vault.list("payout")).find(([, one]) => one.address.toLowerCase() === address);
    if (!found) throw notFound("This wallet has no such payout address.", "no_address");
    const said = await agent.transport.call("GET", agent.known().apiUrl(`payouts/${found[1].address}`));
    const amounts = [said.pending, said.paid].map(String);
    if (!amounts.every((one) => /^\d{1,38}$/.test(one)) || !(said.next_epoch === null || Number.isSafeInteger(said.next_epoch))) {
      throw fault("The market's answer about earnings is malformed.", "bad_answer");
    }
    const [pending, paid] = amounts, told = {pending, paid, next_epoch: said.next_epoch, note: String(said.note ?? "").slice(0, 600), asked: holder.now()};
    await agent.vault.transaction(async (records) => {
      const known = await records.get("payout-told", found[0]), more = BigInt(paid) - BigInt(known?.paid ?? 0);
      await records.put("payout-told", found[0], told);
      const sentence = `${tokens(more)} were paid for visits of ${found[1].name}, as the market says.`;
      if (more > 0n) await journal.append(records, holder.now(), "payout", {amount: String(more), sentence});
    });
    return READS.earnings(holder, {});
  },

  /** Every record read, the journal's chain and the receipts' signatures verified. */
  "check-store": async (holder) => {
    const {vault} = holder.agent, all = await vault.everything(), broken = await journal.verify(vault), {receipts} = await READS.receipts(holder, {});
    const problems = [
      ...(broken === null ? [] : [`The journal's chain does not hold at entry ${broken}.`]),
      ...(receipts.every(({genuine}) => genuine) ? [] : ["The signature of a consent receipt does not hold."]),
    ];
    return {problems, records: Object.values(all).reduce((sum, named) => sum + Object.keys(named).length, 0)};
  },

  "delete-entry": async (holder, {seq}) => {
    if (!Number.isSafeInteger(seq) || !await journal.remove(holder.agent.vault, seq)) throw notFound("There is no such entry.");
    return {};
  },

  "export-journal": async (holder, {format}) => {
    const entries = await journal.entries(holder.agent.vault);
    return format === "csv" ? {name: "journal.csv", text: journal.exportCsv(entries)} : {name: "journal.json", text: JSON.stringify(entries, null, 1)};
  },

  settings: async (holder, body) => {
    const kept = await saveSettings(holder.agent.vault, body);
    await holder.useSettings();
    return kept;
  },
};
