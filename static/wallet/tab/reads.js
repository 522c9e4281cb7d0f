// What the pages show, read from an open wallet: money as decimal text, times as unix seconds. Python twin: wallets/agent/local_reads.py.
// The pages are the agent's own; what they ask for and get has one form in both hosts.

import {WireError, TermsError} from "../errors.js";
import {fault} from "../failures.js";
import * as journal from "../journal.js";
import {LEDGER, epsilon, spent, words} from "../ledger.js";
import {memoryOf} from "../machine.js";
import {RECORD, lacking, offerOf} from "../membership.js";
import {every} from "../notices.js";
import {PINNED, knowServer, parseLink} from "../server.js";
import {openEnvelope, parseTerms, permitOf, termsHash, tokens, wordsForAgreement} from "../terms.js";
import {shown} from "../standing.js";
import {settingsOf} from "./settings.js";

const MICRO = 1e6, VISITS_SHOWN = 20;

/** @typedef {import("./holder.js").Holder} Holder */

/** A collective named by its link or its id; its server is pinned if none is yet. @param {Holder} holder @param {string} text */
export async function named(holder, text) {
  const wanted = text.trim(), link = wanted.includes("://") ? parseLink("subscribe", wanted) : null, {agent} = holder;
  if (link) await knowServer(agent, link.url, link.pin);
  else if (!agent.server) await knowServer(agent, holder.origin);
  return link ? /** @type {any} */ (link).collective : wanted.toLowerCase();
}

/** The offer and its terms as the collective signed them; what a page says about them is never asked. @param {Holder} holder @param {string} id */
export async function signedTerms(holder, id) {
  const offer = await offerOf(holder.agent, id);
  let terms;
  try {
    terms = await parseTerms(await openEnvelope(offer.terms, "terms"));
  } catch (error) {
    if (!(error instanceof TermsError || error instanceof WireError)) throw error;
    throw fault(`The server's terms are not valid: ${error.message}`, "wrong_terms");
  }
  if (offer.terms.key !== terms.collective_key || terms.collective_id !== id) {
    throw fault("The server gave terms that this collective did not sign.", "wrong_terms");
  }
  return {offer, terms};
}

async function state(holder) {
  const now = await holder.state();
  return {
    state: now, name: "My wallet in this browser", locked_until: await holder.lockedUntil(),
    ...(now === "open" ? {backed_up: await holder.backedUp()} : {}),
  };
}

async function overview(holder) {
  const {vault} = holder.agent, known = await every(vault);
  return {
    questions: await Promise.all([...holder.pending].map(asked)),
    open_notices: known.filter((one) => !one.seen.choice).length, permits: Object.keys(await vault.list("permit")).length,
    health: await health(holder),
  };
}

/** A question as the page may see it; of terms also every field that would be read, and what exactly would be signed. */
async function asked([id, {question: {kind, title, sentences, answers, terms}}]) {
  const fields = Object.entries(terms?.requirement.properties ?? {});
  return {
    id, kind, title, sentences, answers, terms_hash: terms ? await termsHash(terms) : "",
    reads: fields.map(([name, spec]) => ({name, title: spec.title || name, description: spec.description ?? ""})),
  };
}

/** What the wallet does now and did last: every visit that was paid for, newest first. */
async function live(holder) {
  const {agent} = holder, entries = await journal.entries(agent.vault), names = await namesOf(agent.vault);
  const visits = entries.filter(({kind}) => kind === "visit"), shown = visits.slice(-VISITS_SHOWN).reverse();
  return {
    connected: agent.session.connected, trouble: holder.trouble, permits: Object.keys(names).length,
    running: [...agent.visits.values()].reduce((sum, sessions) => sum + sessions.size, 0),
    visits: visits.length, earned: total(visits),
    recent: shown.map(({at, round, amount, collective_id: id}) => ({at, round, name: names[id] ?? "a collective you left", earned: tokens(BigInt(amount))})),
  };
}

/** The record, and for every collective in question what it still lacks. */
async function data(holder, {collective = ""}) {
  const {vault} = holder.agent, record = await vault.get(...RECORD) ?? {}, collectives = [];
  const add = (id, name, requirement) => collectives.push({collective: id, name, requirement, missing: lacking(record, requirement)});
  for (const [id, {terms: {document}}] of Object.entries(await vault.list("permit"))) add(id, document.name, document.requirement);
  if (collective) {
    const id = await named(holder, collective);
    if (!collectives.some((one) => one.collective === id)) {
      const {terms} = await signedTerms(holder, id);
      add(id, terms.name, terms.requirement);
    }
  }
  return {record, collectives};
}

async function permits(holder) {
  const {vault} = holder.agent, visits = (await journal.entries(vault)).filter(({kind}) => kind === "visit");
  return Promise.all(Object.entries(await vault.list("permit")).map(async ([id, stored]) => {
    const permit = permitOf(stored), memory = memoryOf(await vault.get("memory", id));
    const used = visits.filter((entry) => entry.collective_id === id).map(({at}) => at);
    return {
      collective: id, name: permit.name, rate: tokens(permit.rate), visits: used.length, last_use: Math.max(0, ...used), expires: permit.expires,
      paused: memory.paused, limits: memory.limits, sentences: limitWords(memory), terms: wordsForAgreement(await parseTerms(stored.terms.document)),
      standing: await shown(vault, id),
    };
  }));
}

/** A collective's limits and what was used of them, in words. Twin: `sentences` of wallets/agent/commands_limits.py. */
function limitWords({limits, visited, spent_micro: micro}) {
  const bound = (value) => (value ? `of at most ${value}` : "without a limit of yours");
  return [
    `Visits accepted: ${visited}, ${bound(limits.visits_total)}.`,
    `Visits per day: at most ${limits.visits_per_day || "what you set for the whole wallet"}.`,
    `Privacy spent at most: ρ = ${micro / MICRO} (ε = ${epsilon(micro).toFixed(1)} at δ = 10⁻⁶), ${bound(limits.privacy_micro / MICRO)}.`,
    `Smallest sum: ${limits.bucket_min || "as agreed"}; smallest release: ${limits.release_min || "as agreed"}.`,
  ];
}

const notices = async (holder) => (await every(holder.agent.vault)).map(({collective_id: collective, name, seen, runs_from, sentences}) =>
  ({ collective, name, ...seen, runs_from, sentences }));

async function readJournal(holder, {kind = "", collective = ""}) {
  const {vault} = holder.agent, entries = await journal.entries(vault), names = await namesOf(vault);
  const fits = (entry) => (!kind || entry.kind === kind) && (!collective || entry.collective_id === collective);
  const seen = [...new Set(entries.map((entry) => entry.collective_id).filter(Boolean))].sort();
  return {
    entries: entries.filter(fits).reverse().map((entry) => ({ ...entry, name: names[entry.collective_id] ?? "", tokens: tokens(BigInt(entry.amount)) })),
    broken_at: await journal.verify(vault), kinds: [...new Set(entries.map((entry) => entry.kind))].sort(),
    collectives: seen.map((id) => ({id, name: names[id] ?? `${id.slice(0, 8)}… (left)`})),
  };
}

/** What was spent at most: of everything in a year, and per collective. */
async function privacy(holder) {
  const {vault} = holder.agent, ledger = await vault.get(...LEDGER) ?? {charges: []}, kept = await settingsOf(vault);
  const line = (name, visits, micro, limit) => ({
    name, visits, rho: micro / MICRO, epsilon: Math.round(epsilon(micro) * 100) / 100, limit_rho: limit / MICRO,
    share: limit ? Math.min(1, micro / limit) : null,
  });
  const year = spent(ledger, holder.now());
  const each = await Promise.all(Object.entries(await namesOf(vault)).map(async ([id, name]) => {
    const {limits, visited, spent_micro: micro} = memoryOf(await vault.get("memory", id));
    return line(name, visited, micro, limits.privacy_micro);
  }));
  const together = line("Everything together, in 365 days", year.visits, year.operator_micro, kept.privacy_micro_year);
  return [{...together, words: words(year)}, ...each];
}

/** By the wallet's own journal, and what the market said last about each payout address. Asks nobody. */
async function earnings(holder) {
  const {vault} = holder.agent, visits = (await journal.entries(vault)).filter(({kind}) => kind === "visit"), told = await vault.list("payout-told");
  const addresses = Object.entries(await vault.list("payout")).map(([key, {name, address}]) => ({
    name, address, pending: told[key] ? tokens(BigInt(told[key].pending)) : "", paid: told[key] ? tokens(BigInt(told[key].paid)) : "",
    asked: told[key]?.asked ?? 0,
  }));
  const newest = Object.values(told).sort((a, b) => b.asked - a.asked)[0];
  return {
    own: {visits: visits.length, tokens: total(visits)}, addresses: addresses.sort((a, b) => (a.name < b.name ? -1 : 1)),
    next_epoch: newest?.next_epoch ?? null, note: newest?.note ?? "",
  };
}

async function receipts(holder) {
  const kept = Object.values(await holder.agent.vault.list("consent"));
  return {
    receipts: await Promise.all(kept.map(async (envelope) => ({genuine: await genuine(envelope), document: envelope.document}))),
    export: JSON.stringify(kept, null, 1),
  };
}

async function genuine(envelope) {
  try {
    return (await openEnvelope(envelope, "consent", envelope.key)).pii_principal_id === envelope.key;
  } catch (error) {
    if (error instanceof TermsError || error instanceof WireError) return false;
    throw error;
  }
}

async function health(holder) {
  const {agent} = holder, {vault} = agent;
  return {
    sandbox: "reduced", layers: ["the browser's own"], missing: ["the walls of an always-on agent"], connected: agent.session.connected,
    paired: await vault.get("key", "mailbox") !== null, knows_server: await vault.get(...PINNED) !== null, waiting_letters: await agent.waiting(),
    journal_intact: await journal.verify(vault) === null, settings: await settingsOf(vault), versions: {},
  };
}

async function namesOf(vault) {
  const stored = Object.entries(await vault.list("permit"));
  return Object.fromEntries(stored.map(([id, {permit}]) => [id, permit.document.name]));
}

const total = (visits) => tokens(visits.reduce((sum, {amount}) => sum + BigInt(amount), 0n));

/** @type {Record<string, (holder: Holder, asked: any) => Promise<any>>} */
export const READS = {state, overview, live, data, permits, notices, journal: readJournal, privacy, earnings, receipts, health};
