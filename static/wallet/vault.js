// The wallet's encrypted store: sealed records only, names included. Python twin: wallets/agent/vault.py (and keeping.py).
//
// Every record is AES-256-GCM under a key of its compartment, at a name that is an HMAC. What belongs to one subscription (permit,
// keys, memory, jobs) is a compartment with a key of its own, wrapped in a fixed place of the strip. Leaving removes the records and
// overwrites that place where it lies: what a database keeps of removed records opens for nobody, not even with the passphrase.

import {concat, equal, fromUtf8, hex, random, utf8} from "./bytes.js";
import {hkdf} from "./crypto.js";
import {WalletError, badData} from "./failures.js";
import * as keyfile from "./keyfile.js";
import {STRIP_BYTES} from "./storage.js";

const OF_COLLECTIVE = new Set(["permit", "keys", "memory", "draft"]); // named by the collective's id
const OF_JOB = new Set(["jobkey", "revealed", "notice"]); // these name the collective inside
const INDEX = "compartment";
const PADDED = 256, WRAPPED_BYTES = 60; // nonce 12, key 32, tag 16
/** @type {[string, string]} */
export const BACKED_UP = ["meta", "backed-up"];

/** @typedef {import("./storage.js").Storage} Storage */

const compartmentOf = (category, name, value) =>
  (OF_COLLECTIVE.has(category) ? name : OF_JOB.has(category) ? value.collective_id : "");

async function seal(key, plain, bound) {
  const iv = random(12);
  return concat(iv, new Uint8Array(await crypto.subtle.encrypt({name: "AES-GCM", iv, additionalData: utf8(bound)}, key, plain)));
}

async function unseal(key, sealed, bound) {
  const how = {name: "AES-GCM", iv: sealed.subarray(0, 12), additionalData: utf8(bound)};
  return new Uint8Array(await crypto.subtle.decrypt(how, key, sealed.subarray(12)));
}

/** Reads and staged writes of one transaction; what was written is read back at once. */
class Records {
  /** @param {Vault} vault */
  constructor(vault) {
    this.vault = vault;
    /** @type {Map<string, {category: string, name: string, value: any}>} */
    this.staged = new Map();
  }

  async get(category, name) {
    const staged = this.staged.get(`${category}\0${name}`);
    return staged ? structuredClone(staged.value) : this.vault.get(category, name);
  }

  async list(category) {
    const found = await this.vault.list(category);
    for (const one of this.staged.values()) {
      if (one.category === category) one.value === null ? delete found[one.name] : found[one.name] = structuredClone(one.value);
    }
    return found;
  }

  async put(category, name, value) {
    if (category === "record" && await this.get(...BACKED_UP) === null) {
      throw badData("Keep a backup first: without one, what you enter here is gone when this browser forgets it.", "backup_first");
    }
    this.staged.set(`${category}\0${name}`, {category, name, value: structuredClone(value)});
  }

  async remove(category, name) {
    const there = await this.get(category, name) !== null;
    if (there) this.staged.set(`${category}\0${name}`, {category, name, value: null});
    return there;
  }
}

export class Vault {
  /** @type {{data: CryptoKey, names: CryptoKey} | null} */ #keys;
  /** @type {Map<string, number>} compartment → place in the strip */ #slots = new Map();
  /** @type {Map<number, CryptoKey>} */ #placed = new Map();
  /** @type {Promise<any>} */ #turn = Promise.resolve();
  /** @type {{seconds: number, last: number, clock: () => number, locked: () => void, timer: any} | null} */ #idle = null;

  /** @param {Storage} storage */
  constructor(storage, keys) {
    this.storage = storage;
    this.#keys = keys;
  }

  /**
   * A new, empty wallet and the recovery code to write down. Throws WalletError `store_exists`.
   * @param {Storage} storage @param {{passphrase: string, cost?: typeof keyfile.COST, rng?: (n: number) => Uint8Array}} how
   */
  static async create(storage, {passphrase, cost = keyfile.COST, rng = random}) {
    const raw = keyfile.newRawKey(rng), code = keyfile.newRecoveryCode(rng);
    const slots = [
      await keyfile.makeSlot("passphrase", passphrase, raw, cost, rng), await keyfile.makeSlot("recovery", code, raw, cost, rng),
    ];
    return {vault: await Vault.adopt(storage, raw, slots), code};
  }

  /**
   * A new wallet around a raw key that has slots already. `also` writes what a restored one needs besides.
   * @param {Storage} storage @param {Uint8Array} raw @param {keyfile.Slot[]} slots @param {(records: Records) => Promise<void>} also
   */
  static async adopt(storage, raw, slots, fill = {}, also = async () => {}) {
    if (await storage.keys.read()) throw new WalletError("store_exists", "There is already a wallet in this browser.");
    const left = [...(await storage.scan("r")).keys()]; // of one that was interrupted
    if (left.length) await storage.write(new Map(left.map((name) => [name, null])));
    const vault = new Vault(storage, await derive(raw));
    await vault.#run(async (records) => {
      for (const [category, named] of Object.entries(fill)) {
        for (const [name, value] of Object.entries(named)) records.staged.set(`${category}\0${name}`, {category, name, value});
      }
      await also(records);
    });
    // The key file comes last: storage without it is not yet a wallet, so a crash before this line loses nothing.
    await writeKeys(storage, {version: 1, failures: 0, locked_until: 0, slots});
    return vault;
  }

  /** Throws WalletError `store_missing`, `locked_out` (with retryAfter), `wrong_passphrase`. @param {"passphrase" | "recovery"} kind */
  static async open(storage, kind, secret, now) {
    const vault = new Vault(storage, await derive(await openGuarded(storage, kind, secret, now)));
    for (const [id, {slot}] of Object.entries(await vault.list(INDEX))) vault.#slots.set(id, slot);
    await vault.erase(); // what a crash left half-erased
    return vault;
  }

  get locked() {
    this.#checkIdle();
    return this.#keys === null;
  }

  /** Forget every key. Only the passphrase or the recovery code leads back. */
  lock() {
    const idle = this.#idle;
    this.#keys = this.#idle = null;
    this.#slots.clear();
    this.#placed.clear();
    if (idle) { clearTimeout(idle.timer); idle.locked(); }
  }

  /** Lock after so many seconds without `touch`. `locked` is told once. @param {() => number} clock unix seconds */
  lockAfter(seconds, locked, clock = () => Date.now() / 1000) {
    if (this.#idle) clearTimeout(this.#idle.timer);
    this.#idle = {seconds, last: clock(), clock, locked, timer: null};
    this.#watch();
  }

  /** The holder did something. */
  touch() {
    this.#checkIdle();
    if (this.#idle) this.#idle.last = this.#idle.clock();
  }

  #checkIdle() {
    const idle = this.#idle;
    // Asked at every use as well: timers of a hidden or frozen tab come late, and a laptop sleeps through them.
    if (idle && idle.clock() - idle.last >= idle.seconds) this.lock();
  }

  #watch() {
    const idle = this.#idle;
    if (!idle) return;
    const left = idle.last + idle.seconds - idle.clock();
    idle.timer = setTimeout(() => { this.#checkIdle(); this.#watch(); }, Math.max(50, left * 1000));
    idle.timer.unref?.();
  }

  #open() {
    if (this.locked) throw new WalletError("store_closed", "This wallet is locked. Unlock it again.");
    return /** @type {{data: CryptoKey, names: CryptoKey}} */ (this.#keys);
  }

  /** The record, or null. @param {string} category @param {string} name @returns {Promise<any>} */
  async get(category, name) {
    const id = await this.#id(category, name), sealed = await this.storage.read(id);
    return sealed ? (await this.#read(id, sealed)).value : null;
  }

  /** All records of a category by name. @returns {Promise<Record<string, any>>} */
  async list(category) {
    const found = {};
    for (const [id, sealed] of await this.storage.scan(await this.#prefix(category))) {
      const {name, value} = await this.#read(id, sealed);
      found[name] = value;
    }
    return found;
  }

  put(category, name, value) { return this.transaction((records) => records.put(category, name, value)); }

  remove(category, name) { return this.transaction((records) => records.remove(category, name)); }

  /** Several reads and writes as one durable step; an exception inside leaves nothing changed. @template T @param {(records: Records) => Promise<T>} work @returns {Promise<T>} */
  transaction(work) { return this.#run(work); }

  /** Overwrite, where they lie, the keys of compartments nothing is left in. @returns {Promise<number>} how many */
  async erase() {
    return this.#run(async (records) => {
      this.#open();
      const sealed = [...(await this.storage.scan("r")).values()];
      const used = new Set(sealed.filter((bytes) => bytes[0] === 1).map((bytes) => bytes[1]));
      const empty = [...this.#slots].filter(([, slot]) => !used.has(slot));
      for (const [id, slot] of empty) {
        await this.storage.strip.write(slot, random(STRIP_BYTES));
        this.#slots.delete(id);
        this.#placed.delete(slot);
        records.staged.set(`${INDEX}\0${id}`, {category: INDEX, name: id, value: null});
      }
      return empty.length;
    });
  }

  /** Every record by category and name, for a backup. @returns {Promise<Record<string, Record<string, any>>>} */
  async everything() {
    /** @type {Record<string, Record<string, any>>} */
    const found = {};
    for (const [id, sealed] of await this.storage.scan("r")) {
      const {category, name, value} = await this.#read(id, sealed);
      if (category !== INDEX) (found[category] ??= {})[name] = value;
    }
    return found;
  }

  /** Whether a raw key (overwritten here) is this wallet's. @param {Uint8Array} raw */
  async owns(raw) {
    const other = await derive(raw), mark = utf8("cssi/v1/owner");
    const [mine, theirs] = await Promise.all([this.#open().names, other.names].map((key) => crypto.subtle.sign("HMAC", key, mark)));
    return equal(new Uint8Array(mine), new Uint8Array(theirs));
  }

  #run(work) {
    const mine = this.#turn.then(async () => {
      const records = new Records(this), result = await work(records);
      await this.#commit(records.staged);
      return result;
    });
    this.#turn = mine.catch(() => {});
    return mine;
  }

  async #commit(staged) {
    const changes = new Map();
    for (const {category, name, value} of staged.values()) {
      const id = await this.#id(category, name);
      changes.set(id, value === null ? null : await this.#sealed(id, category, name, value, changes));
    }
    this.#open(); // locked meanwhile: nothing is written
    if (changes.size) await this.storage.write(changes);
  }

  /** Two plain bytes say which key: 0 0 the store's own, 1 and a place of the strip. The rest is sealed and padded. */
  async #sealed(id, category, name, value, changes) {
    const {data} = this.#open(), compartment = compartmentOf(category, name, value);
    const slot = compartment ? this.#slots.get(compartment) ?? await this.#newSlot(compartment, changes) : 0;
    const key = compartment ? await this.#place(slot) : data;
    const text = JSON.stringify({category, name, value});
    const plain = utf8(text.padEnd(Math.ceil(text.length / PADDED) * PADDED));
    return concat(Uint8Array.of(compartment ? 1 : 0, slot), await seal(key, plain, id));
  }

  async #read(id, sealed) {
    const {data} = this.#open();
    try {
      const key = sealed[0] ? await this.#place(sealed[1]) : data;
      return JSON.parse(fromUtf8(await unseal(key, sealed.subarray(2), id)));
    } catch {
      throw new WalletError("store_damaged", "A record of this wallet does not open. Restore it from your backup.");
    }
  }

  /** The first free place gets a fresh key, on the disk before anything is sealed with it. */
  async #newSlot(compartment, changes) {
    const {data} = this.#open(), taken = new Set(this.#slots.values()), raw = random(32);
    let slot = 0;
    while (taken.has(slot)) slot += 1;
    if (slot > 255) throw badData("This wallet holds as many subscriptions as it can.", "too_many");
    await this.storage.strip.write(slot, await seal(data, raw, `strip|${slot}`));
    raw.fill(0);
    this.#placed.delete(slot);
    this.#slots.set(compartment, slot);
    const id = await this.#id(INDEX, compartment);
    changes.set(id, await this.#sealed(id, INDEX, compartment, {slot}, changes));
    return slot;
  }

  async #place(slot) {
    const {data} = this.#open(), known = this.#placed.get(slot);
    if (known) return known;
    const raw = await unseal(data, (await this.storage.strip.read(slot)).subarray(0, WRAPPED_BYTES), `strip|${slot}`);
    const key = await aesKey(raw);
    raw.fill(0);
    this.#placed.set(slot, key);
    return key;
  }

  /** "r" ‖ 8 bytes of the category's name ‖ 16 bytes of the record's, both as HMACs in hex. */
  async #id(category, name) {
    return `${await this.#prefix(category)}${hex((await this.#mac(`${category}\0${name}`)).subarray(0, 16))}`;
  }

  async #prefix(category) { return `r${hex((await this.#mac(category)).subarray(0, 8))}`; }

  async #mac(text) { return new Uint8Array(await crypto.subtle.sign("HMAC", this.#open().names, utf8(text))); }
}

const aesKey = (raw) => crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);

async function derive(raw) {
  const made = await hkdf(raw, 64, new Uint8Array(32), utf8("cssi/v1/vault"));
  raw.fill(0);
  const hmac = {name: "HMAC", hash: "SHA-256"};
  const names = await crypto.subtle.importKey("raw", made.subarray(32), hmac, false, ["sign"]);
  const keys = {data: await aesKey(made.subarray(0, 32)), names};
  made.fill(0);
  return keys;
}

async function readKeys(storage) {
  const bytes = await storage.keys.read();
  if (!bytes) throw new WalletError("store_missing", "There is no wallet in this browser. Create one, or restore your backup.");
  return JSON.parse(fromUtf8(bytes));
}

const writeKeys = (storage, file) => storage.keys.write(utf8(JSON.stringify(file)));

/** The raw key through one slot, with a lock-out that grows. @param {Storage} storage @returns {Promise<Uint8Array>} */
export async function openGuarded(storage, kind, secret, now) {
  const file = await readKeys(storage), wait = file.locked_until - now;
  if (wait > 0) throw new WalletError("locked_out", `Too many wrong attempts. Wait ${wait} seconds and try again.`, {retryAfter: wait});
  try {
    const raw = await keyfile.unwrap(file.slots, kind, secret);
    if (file.failures) await writeKeys(storage, {...file, failures: 0, locked_until: 0});
    return raw;
  } catch (error) {
    if (error.code === "wrong_passphrase") await writeKeys(storage, keyfile.afterFailure(file, now));
    throw error;
  }
}

/** The slots as they are, for a backup's head. @param {Storage} storage @returns {Promise<keyfile.Slot[]>} */
export const slotsOf = async (storage) => (await readKeys(storage)).slots;

/** Whether a wallet lives here. @param {Storage} storage */
export const exists = async (storage) => (await storage.keys.read()) !== null;

/**
 * Re-wrap one slot after opening another (or the old) one; the records are not touched. For `recovery` the new code is returned.
 * @param {Storage} storage @param {{kind: string, secret: string, changed: "passphrase" | "recovery", next?: string, now: number, cost?: any, rng?: any}} how
 */
export async function changeSlot(storage, {kind, secret, changed, next, now, cost = keyfile.COST, rng = random}) {
  const raw = await openGuarded(storage, kind, secret, now), file = await readKeys(storage);
  const spoken = next ?? keyfile.newRecoveryCode(rng), slot = await keyfile.makeSlot(changed, spoken, raw, cost, rng);
  raw.fill(0);
  await writeKeys(storage, {...file, slots: [...file.slots.filter((old) => old.kind !== changed), slot]});
  return spoken;
}
