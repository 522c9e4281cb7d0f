// One wallet behind the pages of a tab: whether it is here, open or locked, its agent, and the questions that wait for an answer.
// Python twin: wallets/agent/holder.py (and consent.py's asking). It lives in the worker: no key ever reaches the page.

import {Agent} from "../agent.js";
import {fromUtf8, hex, random} from "../bytes.js";
import * as backup from "../backup.js";
import {WalletError, badData, fault, notFound} from "../failures.js";
import * as journal from "../journal.js";
import {COST} from "../keyfile.js";
import {alone, browserStorage} from "../storage.js";
import {Transport} from "../transport.js";
import {BACKED_UP, Vault, exists} from "../vault.js";
import {settingsOf} from "./settings.js";
import {troubleOf} from "./troubles.js";

const SHORTEST_PASSPHRASE = 10;
const LARGEST_UPDATE = 2 ** 17; // numbers of one visit; beyond, a tab would keep its round waiting
const EVICTED = "This browser has deleted what your wallet kept here: its room ran out, or the data of this site was cleared. "
  + "Bring your wallet back from your backup.";
const LONGEST_IDLE = 24 * 86_400; // what "never" is: no timer of a browser reaches further than 2^31 ms

/** Throws WalletError `bad_data` when it is too short to stand against guessing. @param {string} text */
export function checkNewPassphrase(text) {
  const size = [...text].length;
  if (size < SHORTEST_PASSPHRASE) throw badData(`The passphrase has ${size} characters; take at least ${SHORTEST_PASSPHRASE}.`);
}

/** The browser's storage for this tab alone; the lock is kept as long as the worker lives. */
async function claimed() {
  giveBack ??= await alone();
  if (!giveBack) return null;
  try {
    return await browserStorage();
  } catch (error) {
    if (error.code !== "store_busy") throw error;
    return null; // the page that was just left has not let go yet
  }
}

/** @type {Function | null} */
let giveBack = null;

export class Holder {
  /** @type {Map<string, {question: any, resolve: (answer: string) => void, reject: (error: Error) => void}>} */ pending = new Map();
  /** @type {Agent | null} */ #agent = null;
  /** @type {import("../storage.js").Storage | null} */ #storage = null;
  /** @type {Promise<void> | null} */ #claiming = null;
  /** @type {string} why there is no line to the server, or nothing */ trouble = "";

  /**
   * `claim` gives the storage for this holder alone, or null while another one has it; `cost` is the passphrase's.
   * @param {{origin: string, development: boolean, train: Function, tell: (name: string, what?: object) => void,
   *   claim?: () => Promise<import("../storage.js").Storage | null>, cost?: typeof COST}} parts
   */
  constructor({origin, development, train, tell, claim = claimed, cost = COST}) {
    this.claim = claim;
    this.cost = cost;
    this.origin = origin;
    this.development = development;
    this.train = train;
    this.tell = tell;
  }

  now() { return Math.floor(Date.now() / 1000); }

  /** The open wallet's agent; WalletError `locked` otherwise. */
  get agent() {
    if (!this.#agent || this.#agent.vault.locked) throw new WalletError("locked", "The wallet is locked. Unlock it first.");
    return this.#agent;
  }

  /** `none`, `locked`, `open`, or `busy` while another tab has it. */
  async state() {
    if (!this.#storage) await (this.#claiming ??= this.#claim());
    if (!this.#storage) return "busy";
    if (this.#agent && !this.#agent.vault.locked) return "open";
    return await exists(this.storage) ? "locked" : "none";
  }

  async #claim() {
    try {
      const storage = this.#storage = await this.claim();
      storage?.whenLost(() => { if (storage === this.#storage) this.#lost(storage); });
    } finally {
      this.#claiming = null;
    }
  }

  /** The browser took the storage away under an open wallet. What it left is found, and destroyed, at the next unlocking. */
  async #lost(storage) {
    this.#storage = null;
    await storage.close(); // before anybody opens it anew, which would find it busy
    await this.lock();
    this.tell("evicted", {sentence: EVICTED});
  }

  /** This worker was stopped for so many seconds: whatever line there was is not to be trusted. @param {number} seconds */
  slept(seconds) {
    this.#agent?.session.drop();
    this.tell("slept", {seconds});
  }

  /** Until when attempts are refused, unix seconds; 0 when they are not. */
  async lockedUntil() {
    const file = this.#storage && await this.#storage.keys.read();
    const until = file ? JSON.parse(fromUtf8(file)).locked_until : 0;
    return until > this.now() ? until : 0;
  }

  /** Where the sealed bytes lie; WalletError `store_busy` while another tab has them. */
  get storage() {
    if (!this.#storage) throw new WalletError("store_busy", "This wallet is open in another tab. Close it there, or go on there.");
    return this.#storage;
  }

  /** Make the wallet and open it; the recovery code, which is not shown again. @param {string} passphrase */
  async create(passphrase) {
    checkNewPassphrase(passphrase);
    await this.state(); // claims the storage, if this is the first question
    const {vault, code} = await Vault.create(this.storage, {passphrase, cost: this.cost});
    await vault.transaction((records) => journal.append(records, this.now(), "created"));
    await this.#open(vault);
    return code;
  }

  /** @param {"passphrase" | "recovery"} kind @param {string} secret */
  async unlock(kind, secret) {
    if (await this.state() === "open") return;
    const vault = await Vault.open(this.storage, kind, secret, this.now());
    if (!(await journal.entries(vault)).length) { // the first entry is written when a wallet is made
      await this.destroy();
      this.tell("evicted", {sentence: EVICTED});
      throw fault(EVICTED, "store_evicted");
    }
    await this.#open(vault);
  }

  /** @param {Uint8Array} body @param {"passphrase" | "recovery"} kind @param {string} secret */
  async restore(body, kind, secret) {
    if (await this.state() !== "none") throw badData("There is a wallet in this browser already.", "store_exists");
    await this.#open(await backup.restore(body, this.storage, {kind, secret, now: this.now()}));
  }

  /** Stop the agent and forget every key. Doing it twice changes nothing. */
  async lock() {
    const agent = this.#agent;
    this.#agent = null;
    for (const {reject} of this.pending.values()) reject(new WalletError("store_closed", "The wallet was locked before you answered."));
    this.pending.clear();
    if (!agent) return;
    agent.vault.lock();
    await agent.stop();
  }

  /** Overwrite and remove everything. Only a backup leads back. */
  async destroy() {
    const {storage} = this;
    await this.lock();
    await storage.destroy();
    this.#storage = null;
  }

  async backedUp() { return await this.agent.vault.get(...BACKED_UP) !== null; }

  touch() { this.#agent?.vault.touch(); }

  /** Put a question on the page and wait. The same question twice is one. @param {any} question */
  ask = (question) => new Promise((resolve, reject) => {
    const id = hex(random(8));
    this.pending.set(id, {question, resolve, reject});
    this.tell("question", {title: question.title});
  });

  /** The holder answered. Throws WalletError for a question that is gone or an answer that was not offered. @param {string} id @param {string} answer */
  answer(id, answer) {
    const waiting = this.pending.get(id);
    if (!waiting) throw notFound("This question has been answered already.");
    if (!waiting.question.answers.includes(answer)) throw badData(`Choose one of: ${waiting.question.answers.join(", ")}.`);
    this.pending.delete(id);
    waiting.resolve(answer);
  }

  /** Take changed settings into use at once. */
  async useSettings() {
    const kept = await settingsOf(this.agent.vault);
    this.agent.policy = {...this.agent.policy, visits_per_day: kept.visits_per_day};
    this.#lockAfter(this.agent.vault, kept);
  }

  #lockAfter(vault, {lock_after_minutes: minutes}) {
    vault.lockAfter(minutes ? minutes * 60 : LONGEST_IDLE, () => { this.lock().finally(() => this.tell("locked")); });
  }

  #observe(name, what) {
    if (name === "connected") this.trouble = "";
    if (name === "disconnected") this.trouble = troubleOf(what.code);
    this.tell(name, what);
  }

  async #open(vault) {
    const kept = await settingsOf(vault);
    const agent = new Agent({
      vault, transport: new Transport(), train: this.train, ask: this.ask, observe: (name, what) => this.#observe(name, what),
      policy: {allow_development: this.development, visits_per_day: kept.visits_per_day, largest_update: LARGEST_UPDATE},
    });
    await agent.load();
    this.#agent = agent;
    this.#lockAfter(vault, kept);
    agent.spawn(agent.run().catch((error) => { if (error.code !== "store_closed") throw error; }));
  }
}
