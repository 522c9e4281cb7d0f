// The store of the tab, in memory: one storage, at most one open vault, and its pure parts.
import {agreementHash, payoutHash, signingDigest} from "../../../../static/wallet/agreement.js";
import * as backup from "../../../../static/wallet/backup.js";
import {argon2id, blake2b, keccak256} from "../../../../static/wallet/hashing.js";
import {addressOf, eip191Digest, signDigest} from "../../../../static/wallet/identity.js";
import * as journal from "../../../../static/wallet/journal.js";
import {newRawKey, normalRecoveryCode} from "../../../../static/wallet/keyfile.js";
import {queueOpening} from "../../../../static/wallet/outbox.js";
import {checkProfile, problems} from "../../../../static/wallet/requirement.js";
import {memoryStorage} from "./memory.mjs";
import {Vault, changeSlot, slotsOf} from "../../../../static/wallet/vault.js";
import {bytes, hex, serve} from "./serve.mjs";

const COST = {memory_kib: 64, passes: 1};
let storage = memoryStorage();
let vault = null;
let clock = 0;

await serve({
  hashes: async ({message, key, salt, memory, passes}) => ({
    blake2b: blake2b(bytes(message)),
    keyed: blake2b(bytes(message), {size: 32, key: bytes(key), person: new TextEncoder().encode("cssi/v1/backup")}),
    keccak: keccak256(bytes(message)),
    argon2id: argon2id(bytes(message), bytes(salt), memory, passes),
  }),
  raw_key: async ({draw}) => newRawKey(() => bytes(draw)),
  typed: async ({text}) => normalRecoveryCode(text),
  identity: async ({secret, digest, message}) => ({
    address: addressOf(bytes(secret)), signature: await signDigest(bytes(secret), bytes(digest)), personal: eip191Digest(bytes(message)),
  }),
  agreement: async ({message, chain_id: chain, registry, address, salt}) => ({
    hash: agreementHash(message), digest: signingDigest(message, chain, registry), payout: payoutHash(bytes(address), bytes(salt)),
  }),
  profile: async ({requirement}) => { checkProfile(requirement); return "fine"; },
  problems: async ({requirement, record}) => problems(requirement, record),

  fresh: async () => { storage = memoryStorage(); vault = null; },
  create: async ({passphrase}) => {
    const made = await Vault.create(storage, {passphrase, cost: COST});
    vault = made.vault;
    await vault.transaction((records) => journal.append(records, 5, "created"));
    return made.code;
  },
  open: async ({kind, secret, now}) => { vault = await Vault.open(storage, kind, secret, now); },
  lock: async () => vault.lock(),
  locked: async () => vault.locked,
  lock_after: async ({seconds}) => { vault.lockAfter(seconds, () => {}, () => clock); },
  tick: async ({seconds, touch}) => { clock += seconds; if (touch) vault.touch(); },
  get: async ({category, name}) => vault.get(category, name),
  list: async ({category}) => vault.list(category),
  put: async ({category, name, value}) => vault.put(category, name, value),
  remove: async ({category, name}) => vault.remove(category, name),
  erase: async () => vault.erase(),
  everything: async () => vault.everything(),
  half: async ({category, name, value}) => vault.transaction(async (records) => {
    await records.put(category, name, value);
    if ((await records.get(category, name)) === null || !(name in await records.list(category))) throw new Error("a write is not read back");
    throw Object.assign(new Error("stopped on purpose"), {code: "stopped"});
  }),
  dump: async () => storage.dump().map(hex),
  names: async () => [...(await storage.scan("")).keys()],
  strip: async ({slot}) => storage.strip.read(slot),
  spoil: async ({name, at}) => {
    const sealed = (await storage.read(name)).slice();
    sealed[at] ^= 1;
    await storage.write(new Map([[name, sealed]]));
  },
  slots: async () => slotsOf(storage),
  change: async (how) => changeSlot(storage, {...how, cost: COST}),

  journal: async ({at, kind, entry}) => vault.transaction((records) => journal.append(records, at, kind, entry)),
  entries: async () => journal.entries(vault),
  blank: async ({seq}) => journal.remove(vault, seq),
  verify: async () => journal.verify(vault),

  backup: async ({kind, secret, now}) => backup.make(vault, {kind, secret, now}),
  confirm: async ({body, kind, secret, now}) => backup.confirm(vault, bytes(body), kind, secret, now),
  restore: async ({body, kind, secret, now}) => { vault = await backup.restore(bytes(body), storage, {kind, secret, now}); },
  opening: async ({keys, agreement}) => vault.transaction((records) => queueOpening(records, keys, agreement)),
});
