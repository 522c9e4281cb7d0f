// A wallet in one encrypted file, and a wallet again out of it. Python twin: wallets/agent/backup.py, byte for byte the same format,
// so a file from a tab moves to an always-on agent and back. What does not come back: running jobs (see the twin).

import {concat, equal, fromHex, fromUtf8, hex, random, utf8} from "./bytes.js";
import {decrypt, encrypt} from "./crypto.js";
import {badData} from "./failures.js";
import {blake2b} from "./hashing.js";
import * as journal from "./journal.js";
import {slotFrom, unwrap} from "./keyfile.js";
import {queueMove} from "./outbox.js";
import {whole} from "./reading.js";
import {BACKED_UP, Vault, openGuarded, slotsOf} from "./vault.js";

const MAGIC = utf8("CSSI-WALLET-BACKUP-1\n");
const LARGEST_HEAD = 64 * 1024, LARGEST_BODY = 256 * 1024 * 1024, LARGEST_RECORDS = 1024 * 1024 * 1024;
const LEFT_OUT = ["jobkey", "revealed"];

const contentKey = (raw, salt) =>
  blake2b(salt, {size: 32, key: blake2b(raw), person: utf8("cssi/v1/backup")});

/** Zlib's form both ways. @param {Uint8Array} bytes @param {CompressionStream | DecompressionStream} stream */
const through = (bytes, stream, most = Infinity) =>
  whole(new Blob([bytes]).stream().pipeThrough(stream), most, () => badData("This backup is larger than any wallet."));

/** The whole wallet as one file's bytes. @param {Vault} vault @param {{kind: string, secret: string, now: number, rng?: any}} how @returns {Promise<Uint8Array>} */
export async function make(vault, {kind, secret, now, rng = random}) {
  const raw = await openGuarded(vault.storage, kind, secret, now), slots = await slotsOf(vault.storage);
  const salt = rng(16), nonce = rng(12);
  const head = utf8(JSON.stringify({version: 1, made: now, slots, salt: hex(salt), nonce: hex(nonce)}));
  const bound = concat(MAGIC, Uint8Array.of(0, 0, head.length >> 8, head.length), head);
  const records = utf8(JSON.stringify(await vault.everything()));
  const sealed = await encrypt(contentKey(raw, salt), nonce, await through(records, new CompressionStream("deflate")), bound);
  raw.fill(0);
  return concat(bound, sealed);
}

/** The head of a backup; nothing secret is needed for this. Throws WalletError `bad_data`. @param {Uint8Array} body */
export function read(body) {
  const start = MAGIC.length + 4;
  if (body.length > LARGEST_BODY) throw badData("This file is larger than any backup of a wallet.");
  const size = body.length < start ? Infinity : new DataView(body.buffer, body.byteOffset).getUint32(MAGIC.length);
  if (!equal(body.subarray(0, MAGIC.length), MAGIC) || size > LARGEST_HEAD || body.length < start + size + 16) {
    throw badData("This file is not a backup of a wallet, or it was cut short.");
  }
  let head;
  try {
    head = JSON.parse(fromUtf8(body.subarray(start, start + size)));
    head = {...head, slots: head.slots.map(slotFrom), salt: fromHex(head.salt), nonce: fromHex(head.nonce)};
  } catch {
    throw badData("The head of this backup is damaged.");
  }
  if (head.version !== 1) throw badData("This backup was made by a newer version. Use that version to restore it.");
  return {...head, bound: body.subarray(0, start + size), sealed: body.subarray(start + size)};
}

/** The raw key and every record. Throws WalletError `wrong_passphrase` or `bad_data`. @param {Uint8Array} body */
export async function openRecords(body, kind, secret) {
  const {slots, salt, nonce, sealed, bound} = read(body), raw = await unwrap(slots, kind, secret);
  let plain;
  try {
    plain = await decrypt(contentKey(raw, salt), nonce, sealed, bound);
  } catch {
    throw badData("This backup was changed or damaged. Use another copy of it.");
  }
  return {raw, slots, records: JSON.parse(fromUtf8(await through(plain, new DecompressionStream("deflate"), LARGEST_RECORDS)))};
}

/** From here on data may be entered: the holder showed us the file that was kept, and it opens. @param {Vault} vault @param {Uint8Array} body */
export async function confirm(vault, body, kind, secret, now) {
  const {raw} = await openRecords(body, kind, secret);
  if (!await vault.owns(raw)) throw badData("This is the backup of another wallet.");
  await vault.transaction(async (store) => {
    await store.put(...BACKED_UP, {at: now});
    await journal.append(store, now, "security", {sentence: "A backup was kept and opens."});
  });
}

/** A new wallet in this browser out of a backup. Throws WalletError `store_exists`, `wrong_passphrase`, `bad_data`. @returns {Promise<Vault>} */
export async function restore(body, storage, {kind, secret, now, rng = random}) {
  const {raw, slots, records} = await openRecords(body, kind, secret);
  return Vault.adopt(storage, raw, slots, withoutRunningJobs(records), async (store) => {
    await store.put(...BACKED_UP, {at: now});
    await queueMove(store, rng, now);
    await journal.append(store, now, "restored", { sentence: "Restored from a backup; running jobs were left out." });
  });
}

/** Everything but job keys, revealed rounds, and the jobs in each collective's memory. @param {Record<string, Record<string, any>>} records */
export function withoutRunningJobs(records) {
  const kept = Object.fromEntries(Object.entries(records).filter(([category]) => !LEFT_OUT.includes(category)));
  const memories = Object.entries(kept.memory ?? {}).map(([name, memory]) => [name, {...memory, jobs: []}]);
  return { ...kept, ...(kept.memory ? {memory: Object.fromEntries(memories)} : {}) };
}
