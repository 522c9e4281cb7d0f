// Storage of a wallet in memory, with the interface of static/wallet/storage.js. `dump` is everything that a disk would hold.

import {STRIP_BYTES} from "../../../../static/wallet/storage.js";

/** @returns {import("../../../../static/wallet/storage.js").Storage & {dump: () => Uint8Array[]}} */
export function memoryStorage() {
  const records = new Map(), strip = new Map();
  /** @type {Uint8Array | null} */
  let keys = null;
  return {
    read: async (name) => records.get(name),
    scan: async (prefix) => new Map([...records].filter(([name]) => name.startsWith(prefix))),
    write: async (changes) => {
      for (const [name, bytes] of changes) bytes === null ? records.delete(name) : records.set(name, bytes);
    },
    strip: {
      read: async (slot) => (strip.get(slot) ?? new Uint8Array(STRIP_BYTES)).slice(),
      write: async (slot, bytes) => { strip.set(slot, bytes.slice()); },
    },
    whenLost: () => {},
    close: async () => {},
    keys: {read: async () => keys, write: async (bytes) => { keys = bytes.slice(); }},
    destroy: async () => { records.clear(); strip.clear(); keys = null; },
    dump: () => [...records.values(), ...strip.values(), ...(keys ? [keys] : [])],
  };
}
