// The vault of a tab on the browser's own storage.
import * as backup from "/wallet/backup.js";
import * as journal from "/wallet/journal.js";
import {alone, browserStorage} from "/wallet/storage.js";
import {Vault, changeSlot, slotsOf} from "/wallet/vault.js";
import {answers} from "./answers.js";

const COST = {memory_kib: 64, passes: 1};
let storage = null;
let vault = null;
let giveBack = null;

answers({
  alone: async () => {
    giveBack = await alone();
    return giveBack !== null;
  },
  give_back: async () => { giveBack(); },
  storage: async () => { storage = await browserStorage(); },
  create: async ({passphrase, now}) => {
    const made = await Vault.create(storage, {passphrase, cost: COST});
    vault = made.vault;
    await vault.transaction((records) => journal.append(records, now, "created"));
    const secret = {kind: "passphrase", secret: passphrase, now};
    await backup.confirm(vault, await backup.make(vault, secret), "passphrase", passphrase, now);
    return made.code;
  },
  open: async ({kind, secret, now}) => { vault = await Vault.open(storage, kind, secret, now); },
  lock: async () => vault.lock(),
  put: async ({category, name, value}) => vault.put(category, name, value),
  get: async ({category, name}) => vault.get(category, name),
  remove: async ({category, name}) => vault.remove(category, name),
  erase: async () => vault.erase(),
  verify: async () => journal.verify(vault),
  slots: async () => slotsOf(storage),
  change: async (how) => changeSlot(storage, {...how, cost: COST}),
  strip: async ({slot}) => (await storage.strip.read(slot)).subarray(0, 60),
  destroy: async () => storage.destroy(),
});
