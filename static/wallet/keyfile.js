// Slots that each wrap the one raw key of the store: a passphrase, a recovery code. Python twin: wallets/agent/keyfile.py,
// with the same JSON, the same Argon2id and the same associated data, so that either program opens what the other wrote.

import {concat, fromHex, hex, random, utf8} from "./bytes.js";
import {WalletError} from "./failures.js";
import {argon2id} from "./hashing.js";

/** OWASP's least cost for Argon2id: about a second in a tab. A slot carries its cost, so the agent's higher one opens too. */
export const COST = Object.freeze({memory_kib: 19_456, passes: 2});
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; // Crockford base 32: no I, L, O, U
const SYMBOLS = 26; // 130 bits
const FREE_ATTEMPTS = 5, LONGEST_LOCK_SECONDS = 3600;
const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const WORDS = {passphrase: "passphrase", recovery: "recovery code"};

/** @typedef {{kind: string, salt: string, nonce: string, wrapped: string, memory_kib: number, passes: number}} Slot */
/** @typedef {{version: 1, failures: number, locked_until: number, slots: Slot[]}} KeyFile */

/** A raw key as the agent's store takes it: 32 random bytes in base 58. @param {(n: number) => Uint8Array} rng */
export function newRawKey(rng = random) {
  const bytes = rng(32);
  let text = "";
  for (let value = BigInt(`0x${hex(bytes)}`); value > 0n; value /= 58n) text = BASE58[Number(value % 58n)] + text;
  return utf8("1".repeat(bytes.findIndex((byte) => byte !== 0)) + text);
}

/** @param {(n: number) => Uint8Array} rng */
export function newRecoveryCode(rng = random) {
  const text = Array.from(rng(SYMBOLS), (byte) => ALPHABET[byte & 31]).join("");
  return text.replace(/.{5}(?!$)/g, "$&-");
}

/** The code as typed, without separators and with the usual misreadings mended. @param {string} text */
export const normalRecoveryCode = (text) =>
  text.toUpperCase().replace(/[^\p{L}\p{N}]/gu, "").replaceAll("O", "0").replace(/[IL]/g, "1");

async function wrappingKey(slot, secret) {
  const typed = slot.kind === "recovery" ? normalRecoveryCode(secret) : secret;
  const raw = argon2id(utf8(typed), fromHex(slot.salt), slot.memory_kib, slot.passes);
  const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
  raw.fill(0);
  const bound = concat(utf8(`cssi/v1/slot|${slot.kind}|${slot.memory_kib}|${slot.passes}`), fromHex(slot.salt));
  return { key, how: {name: "AES-GCM", iv: fromHex(slot.nonce), additionalData: bound} };
}

/** @param {string} kind @param {string} secret @param {Uint8Array} raw @param {typeof COST} [cost] @returns {Promise<Slot>} */
export async function makeSlot(kind, secret, raw, cost = COST, rng = random) {
  const slot = {kind, salt: hex(rng(16)), nonce: hex(rng(12)), wrapped: "", memory_kib: cost.memory_kib, passes: cost.passes};
  const {key, how} = await wrappingKey(slot, secret);
  return {...slot, wrapped: hex(new Uint8Array(await crypto.subtle.encrypt(how, key, raw)))};
}

/** The raw key; WalletError `wrong_passphrase`. @param {Slot[]} slots @param {string} kind @param {string} secret */
export async function unwrap(slots, kind, secret) {
  for (const slot of slots.filter((one) => one.kind === kind)) {
    const {key, how} = await wrappingKey(slot, secret);
    try {
      return new Uint8Array(await crypto.subtle.decrypt(how, key, fromHex(slot.wrapped)));
    } catch {/* another slot of that kind may open */}
  }
  throw new WalletError("wrong_passphrase", `This ${WORDS[kind] ?? kind} does not open the wallet. Check it and try again.`);
}

/** A slot out of JSON from outside; throws RangeError. @param {any} item @returns {Slot} */
export function slotFrom(item) {
  const {kind, salt, nonce, wrapped, memory_kib: memory, passes} = item;
  for (const text of [salt, nonce, wrapped]) fromHex(text);
  // A planted file must not be able to make this machine spend an hour or all its memory on one attempt.
  const fits = Number.isInteger(memory) && Number.isInteger(passes) && memory >= 0 && memory <= 1_048_576 && passes <= 64;
  if (!fits || passes < 0 || !["passphrase", "recovery", "host"].includes(kind)) throw new RangeError("not a slot");
  return {kind, salt, nonce, wrapped, memory_kib: memory, passes};
}

/** Five free attempts, then 2, 4, 8 … seconds, at most an hour. @param {KeyFile} file @param {number} now */
export function afterFailure(file, now) {
  const failures = file.failures + 1, excess = failures - FREE_ATTEMPTS;
  const wait = excess > 0 ? Math.min(2 ** excess, LONGEST_LOCK_SECONDS) : 0;
  return {...file, failures, locked_until: wait ? now + wait : 0};
}
