// Where sealed bytes lie: IndexedDB for records, an OPFS file for wrapped keys, which must be overwritten in place.
// Python twin: the SQLite file behind wallets/agent/vault.py and the lock of in_use.py. Nothing here knows a key or a value.

import {equal} from "./bytes.js";
import {sha256} from "./crypto.js";
import {fault} from "./failures.js";
import {pause} from "./patience.js";

/**
 * @typedef {object} Storage
 * @property {(name: string) => Promise<Uint8Array | undefined>} read
 * @property {(prefix: string) => Promise<Map<string, Uint8Array>>} scan names that start with the prefix
 * @property {(changes: Map<string, Uint8Array | null>) => Promise<void>} write all or nothing, on the disk when it returns
 * @property {{read: (slot: number) => Promise<Uint8Array>, write: (slot: number, bytes: Uint8Array) => Promise<void>}} strip
 *   fixed places that are overwritten where they lie
 * @property {{read: () => Promise<Uint8Array | null>, write: (bytes: Uint8Array) => Promise<void>}} keys the key file, overwritten likewise
 * @property {(work: () => void) => void} whenLost what to do when the browser takes all this away while it is in use
 * @property {() => Promise<void>} close
 * @property {() => Promise<void>} destroy everything, for good
 */

export const STRIP_BYTES = 64;
const ATTEMPTS = 12;
const STRIP_PLACES = 256, COPY_BYTES = 8192, COPIES = [0, 1].map((copy) => STRIP_PLACES * STRIP_BYTES + copy * COPY_BYTES);

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
  if ("oncomplete" in request) {
    request.oncomplete = () => resolve(undefined);
    request.onabort = () => reject(request.error);
  }
});

async function openDatabase(name) {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore("sealed");
  return done(request);
}

/** Overwriting in place is possible in workers only. Throws WalletError `store_busy` while another tab has it. @returns {Promise<Storage>} */
export async function browserStorage(name = "wallet") {
  const root = await navigator.storage.getDirectory();
  const file = await root.getFileHandle(`${name}.keys`, {create: true});
  /** @type {any} a FileSystemSyncAccessHandle, which workers alone have */
  let handle = null;
  for (let tried = 1; handle === null; tried += 1) {
    try {
      handle = await /** @type {any} */ (file).createSyncAccessHandle();
    } catch (error) {
      if (error.name !== "NoModificationAllowedError") throw error;
      // The worker of a page that was reloaded a moment ago may still hold it.
      if (tried === ATTEMPTS) throw fault("This wallet is open in another tab. Close it there, or go on there.", "store_busy");
      await pause(0.1);
    }
  }
  const db = await openDatabase(name);
  const store = (mode) => db.transaction("sealed", mode, {durability: "strict"}).objectStore("sealed");
  const close = async () => { handle.close(); db.close(); };
  return {
    read: (key) => done(store("readonly").get(key)),
    scan: async (prefix) => {
      const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`), from = store("readonly");
      const [names, values] = await Promise.all([done(from.getAllKeys(range)), done(from.getAll(range))]);
      return new Map(names.map((key, i) => [key, values[i]]));
    },
    write: (changes) => {
      const to = store("readwrite");
      for (const [key, bytes] of changes) bytes === null ? to.delete(key) : to.put(bytes, key);
      return done(to.transaction);
    },
    strip: {
      read: async (slot) => {
        const bytes = new Uint8Array(STRIP_BYTES);
        handle.read(bytes, {at: slot * STRIP_BYTES});
        return bytes;
      },
      write: async (slot, bytes) => {
        handle.write(bytes, {at: slot * STRIP_BYTES});
        handle.flush();
      },
    },
    keys: keysIn(handle),
    whenLost: (work) => { db.onclose = work; },
    close,
    destroy: async () => {
      const size = handle.getSize();
      for (let at = 0; at < size; at += 65_536) {
        handle.write(crypto.getRandomValues(new Uint8Array(Math.min(65_536, size - at))), {at});
      }
      handle.flush();
      await close();
      await done(indexedDB.deleteDatabase(name));
      await root.removeEntry(`${name}.keys`);
    },
  };
}

/** Two copies, each with its length and SHA-256: one is whole whenever the other is being overwritten. @param {any} handle */
const keysIn = (handle) => ({
  read: async () => {
    for (const at of COPIES) {
      const copy = new Uint8Array(COPY_BYTES);
      handle.read(copy, {at});
      const size = new DataView(copy.buffer).getUint32(0), bytes = copy.slice(36, 36 + size);
      if (size > 0 && size <= COPY_BYTES - 36 && equal(await sha256(bytes), copy.subarray(4, 36))) return bytes;
    }
    return null;
  },
  write: async (/** @type {Uint8Array} */ bytes) => {
    const copy = new Uint8Array(COPY_BYTES);
    new DataView(copy.buffer).setUint32(0, bytes.length);
    copy.set(await sha256(bytes), 4);
    copy.set(bytes, 36);
    for (const at of COPIES) {
      handle.write(copy, {at});
      handle.flush();
    }
  },
});

/** Have the wallet for this tab alone: a function that gives it back, or null while another tab has it. @param {LockManager} [locks] */
export function alone(name = "wallet", locks = navigator.locks) {
  return new Promise((resolve, reject) => {
    const held = (lock) => (lock ? new Promise((giveBack) => { resolve(giveBack); }) : void resolve(null));
    locks.request(`cssi-${name}`, {ifAvailable: true}, held).catch(reject);
  });
}
