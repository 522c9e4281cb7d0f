// One holder's agent: ties the vault, the machine and the sessions together. Python twin: wallets/agent/agent.py.
// It touches no page: questions go out through `ask`, events through `observe`, and whoever hosts it (a worker, a test) decides what to show.

import {fromHex, hex, random} from "./bytes.js";
import {publicKey} from "./crypto.js";
import {RULE} from "./consent.js";
import {Unreachable, notFound} from "./failures.js";
import {Gate} from "./gate.js";
import {pseudonym} from "./identity.js";
import * as journal from "./journal.js";
import {Mailbox} from "./mailbox.js";
import {POLICY} from "./machine.js";
import {flush, waiting} from "./outbox.js";
import {jittered} from "./patience.js";
import {REFUSALS} from "./refusals.js";
import {RoundSession} from "./rounds.js";
import {PINNED, parseServer} from "./server.js";
import {Session} from "./session.js";
import {permitOf} from "./terms.js";

const SHORTEST_FLUSH = 2, LONGEST_FLUSH = 60;

export class Agent {
  /**
   * `train` computes the raw update of a payload (in a worker of its own, where there is one). `spy` is for tests of exactness only.
   * @param {{vault: import("./vault.js").Vault, transport: import("./transport.js").Transport, train: Function, now?: () => number,
   *   rng?: (n: number) => Uint8Array, policy?: object, ask?: any, observe?: any, spy?: any}} parts
   */
  constructor({ vault, transport, train, now = () => Math.floor(Date.now() / 1000), rng = random, policy = {}, ask = null,
    observe = () => {}, spy = () => {} }) {
    this.vault = vault;
    this.transport = transport;
    this.train = train;
    this.now = now;
    this.rng = rng;
    /** @type {((question: any) => Promise<string>) | null} */
    this.ask = ask;
    this.spy = spy;
    this.observe = observe;
    this.policy = {...POLICY, ...policy};
    this.gate = new Gate();
    this.session = new Session(this);
    this.mailbox = new Mailbox(this);
    /** @type {Awaited<ReturnType<typeof parseServer>> | null} */
    this.server = null;
    this.mailboxKey = "";
    /** @type {Map<string, string>} subscription key → collective, also of ended subscriptions */
    this.routes = new Map();
    /** @type {Map<string, Set<RoundSession>>} */
    this.visits = new Map();
    this.subscribing = Promise.resolve();
    /** @type {Promise<any[]>} */
    this.flushing = Promise.resolve([]);
    this.running = false;
    this.retrying = false;
  }

  /** Read what is kept in memory between inputs: the pinned server and which key belongs to which collective. */
  async load() {
    const document = await this.vault.get(...PINNED), mailbox = await this.vault.get("key", "mailbox");
    this.server = document ? await parseServer(document) : null;
    this.mailboxKey = mailbox ? hex(await publicKey(fromHex(mailbox.private))) : "";
    for (const [id, keys] of Object.entries(await this.vault.list("keys"))) this.routes.set(await pseudonym(keys), id);
  }

  /** The pinned server; WalletError `not_paired` before pairing. */
  known() {
    if (!this.server) throw notFound("This wallet knows no server yet. Pair it first.", "not_paired");
    return this.server;
  }

  /** Stay connected and answer, until stopped. */
  async run() {
    this.running = true;
    this.spawn(this.flushOutgoing()); // also of a wallet that is nobody any more: its last letters still go out
    await this.session.run();
  }

  /** Cancel running visits and hang up. Locking the vault does the same by itself at the next step. */
  async stop() {
    this.running = false;
    this.session.drop();
    await Promise.all([...this.visits.keys()].map((id) => this.cancelVisits(id)));
  }

  /** Tell the observer; in fixed words, never a value of the holder's data. @param {string} name */
  event(name, what = {}) { this.observe(name, what); }

  /** Work in the background; what a server did not answer comes again, a bug is told. @param {Promise<any>} work */
  spawn(work) {
    work.catch((error) => { if (!(error instanceof Unreachable)) this.event("failed", {code: error.code ?? String(error)}); });
  }

  rule() { return this.vault.get(...RULE).then((kept) => kept?.rule ?? "ask"); }

  /** One journal entry now. @param {string} kind @param {any} what */
  record(kind, what) { return this.vault.transaction((records) => journal.append(records, this.now(), kind, what)); }

  /** A refusal in the journal, by name. Of a flood of the same only some are kept, with the count of the others. @param {string} code @param {any} [how] */
  async noteRefusal(code, {sentence = REFUSALS[code], records = null, ...what} = {}) {
    const who = `${code}:${what.collective_id ?? ""}`;
    if (!this.gate.admits("journal", who, this.now())) {
      this.event("refused", {code});
      return;
    }
    const others = this.gate.suppressed("journal", who), more = others ? ` (${others} more like this were not written down.)` : "";
    const entry = { code, sentence: journal.cut(`${sentence}${more}`, 300), ...what };
    await (records ? journal.append(records, this.now(), "refused", entry) : this.record("refused", entry));
    this.event("refused", {code});
  }

  /** Keys this wallet may be reached by: kind and private key. @returns {Promise<[string, Uint8Array][]>} */
  async wireKeys() {
    const mailbox = await this.vault.get("key", "mailbox"), held = Object.values(await this.vault.list("keys"));
    const keys = held.map((one) => /** @type {[string, Uint8Array]} */ (["subscription", fromHex(one.subscription)]));
    return mailbox ? [["mailbox", fromHex(mailbox.private)], ...keys] : keys;
  }

  /** The permit as it stands in the vault at this moment, or null. @param {string} id */
  permit(id) { return this.vault.get("permit", id).then(permitOf); }

  /** A tab is walled in by the browser, not by every layer of the agent's sandbox. @param {string} wanted "any" or "full" */
  sandboxFits(wanted) { return wanted !== "full"; }

  waiting() { return waiting(this.vault); }

  /** Send what could not be sent before; what still waits is tried again later while the agent runs. */
  async flushOutgoing() {
    // One at a time, or two would send the same letter.
    this.flushing = this.flushing.catch(() => []).then(() => flush(this.vault, this.transport, this.server));
    for (const refusal of await this.flushing) await this.record("refused", {code: refusal.code, sentence: refusal.message});
    if (!this.retrying && await this.waiting()) this.spawn(this.#flushUntilEmpty());
  }

  async #flushUntilEmpty() {
    this.retrying = true;
    try {
      for (let wait = SHORTEST_FLUSH; this.running && await this.waiting(); wait = Math.min(LONGEST_FLUSH, wait * 2)) {
        await jittered(wait);
        if (this.running) await this.flushOutgoing();
      }
    } finally {
      this.retrying = false;
    }
  }

  /** A permit was stored: route the key and announce it on the open socket. @param {string} id @param {string} key hex */
  async subscribed(id, key) {
    this.routes.set(key, id);
    this.event("subscribed", {collective_id: id});
    await this.session.bind();
  }

  /** Start the visit of an accepted task. @param {any} visit @param {{path: string, token: string, ticket: Uint8Array}} delivery */
  start(visit, delivery) {
    const session = new RoundSession(this, visit, delivery), running = this.visits.get(visit.collective_id) ?? new Set();
    this.visits.set(visit.collective_id, running.add(session));
    this.spawn(session.run().finally(() => running.delete(session)));
  }

  /** Stop running visits of a collective at once. @param {string} id @returns {Promise<number>} */
  async cancelVisits(id) {
    const running = [...this.visits.get(id) ?? []];
    this.mailbox.forget(id);
    await Promise.all(running.map((session) => session.cancel()));
    return running.length;
  }

  /** Durably note that this wallet answers the unmasking of a round; false when it already did. @param {any} visit @returns {Promise<boolean>} */
  noteRevealed(visit) {
    const name = `${visit.job.job_id}:${visit.task.round}`;
    return this.vault.transaction(async (records) => {
      if (await records.get("revealed", name)) return false;
      await records.put("revealed", name, {at: this.now(), collective_id: visit.collective_id});
      return true;
    });
  }
}
