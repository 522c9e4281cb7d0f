// A holder behind the pages of a tab, in Node: the same two verbs as in the worker, storage in memory.
import {memoryStorage} from "./memory.mjs";
import {fromText, fromWords} from "../../../../static/wallet/tab/entering.js";
import {ACTS} from "../../../../static/wallet/tab/acts.js";
import {Holder} from "../../../../static/wallet/tab/holder.js";
import {exportCsv} from "../../../../static/wallet/journal.js";
import {READS} from "../../../../static/wallet/tab/reads.js";
import {train} from "../../../../static/wallet/payload.js";
import {bytes, serve} from "./serve.mjs";

const storage = memoryStorage(), events = [];
let holder = null;

await serve({
  begin: async ({url}) => {
    holder = new Holder({
      origin: url, development: true, train, tell: (name, what = {}) => events.push({...what, event: name}), claim: async () => storage,
      cost: {memory_kib: 8, passes: 1},
    });
  },
  read: ({name, given = {}}) => READS[name](holder, given),
  act: ({name, given = {}}) => ACTS[name](holder, name === "confirm-backup" || name === "restore" ? {...given, file: bytes(given.file)} : given),
  events: async () => events,
  until: async ({event}) => {
    for (let tries = 0; tries < 1000; tries += 1) {
      const found = events.find((one) => one.event === event);
      if (found) return found;
      await new Promise((resolve) => { setTimeout(resolve, 10); });
    }
    return null;
  },
  csv: async ({entries}) => exportCsv(entries),
  words: async ({words, requirement}) => fromWords(words, requirement),
  file: async ({name, text, requirement}) => fromText(name, text, requirement),
});
