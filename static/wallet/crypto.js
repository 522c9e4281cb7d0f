// Hashing, key derivation, signing and sealing, by WebCrypto alone. Twins: aggregation/wire/signing.py and sealing.py.
//
// Signatures: Ed25519 (RFC 8032) over `label ‖ 0x00 ‖ cbor(body)`; keys are checked before (ed25519.js).
// Sealing: ephemeral X25519 (RFC 7748), HKDF-SHA256 (RFC 5869) with salt = ephemeral key ‖ recipient key and info = label, giving key (32)
// and nonce (12) of AES-256-GCM; sealed = ephemeral key (32) ‖ ciphertext ‖ tag (16).

import * as cbor from "./cbor.js";
import {concat, fromHex, random, utf8} from "./bytes.js";
import {checkPublicKey, isSmallOrder} from "./ed25519.js";
import {BadKey, BadSignature, SealError} from "./errors.js";

const {subtle} = crypto;
// PKCS#8 of a raw private key (RFC 8410 section 7): the prefix, then the 32 bytes.
const PKCS8 = {Ed25519: fromHex("302e020100300506032b657004220420"), X25519: fromHex("302e020100300506032b656e04220420")};

/** SHA-256 of the joined parts. @param {...Uint8Array} parts */
export const sha256 = async (...parts) => new Uint8Array(await subtle.digest("SHA-256", concat(...parts)));

/** HKDF-SHA256 (RFC 5869). @param {Uint8Array} secret @param {number} length bytes @param {Uint8Array} salt @param {Uint8Array} info */
export async function hkdf(secret, length, salt, info) {
  const key = await subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  return new Uint8Array(await subtle.deriveBits({name: "HKDF", hash: "SHA-256", salt, info}, key, 8 * length));
}

/** AES-256-GCM; the answer ends with the 16-byte tag. @param {Uint8Array} key @param {Uint8Array} nonce @param {Uint8Array} data */
export async function encrypt(key, nonce, data, associated = new Uint8Array(0)) {
  const cipher = await subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  return new Uint8Array(await subtle.encrypt({name: "AES-GCM", iv: nonce, additionalData: associated}, cipher, data));
}

/**
 * Throws SealError when key, nonce, associated data or ciphertext are others.
 * @param {Uint8Array} key @param {Uint8Array} nonce @param {Uint8Array} data
 */
export async function decrypt(key, nonce, data, associated = new Uint8Array(0)) {
  const cipher = await subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  try {
    return new Uint8Array(await subtle.decrypt({name: "AES-GCM", iv: nonce, additionalData: associated}, cipher, data));
  } catch {
    throw new SealError("the ciphertext does not open with this key");
  }
}

/**
 * A private key from its 32 bytes; the copy made for the import is overwritten.
 * @param {"Ed25519" | "X25519"} name @param {Uint8Array} raw
 */
async function privateKey(name, raw, extractable = false) {
  const wrapped = concat(PKCS8[name], raw);
  const usage = name === "Ed25519" ? "sign" : "deriveBits";
  try {
    return await subtle.importKey("pkcs8", wrapped, name, extractable, [/** @type {KeyUsage} */ (usage)]);
  } finally {
    wrapped.fill(0);
  }
}

/** The public half, which WebCrypto shows only inside a JWK. @param {"Ed25519" | "X25519"} name @param {Uint8Array} raw */
async function publicHalf(name, raw) {
  const {x} = await subtle.exportKey("jwk", await privateKey(name, raw, true));
  return Uint8Array.from(atob(String(x).replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

// --- Ed25519 --------------------------------------------------------------------------------------------------------

/** The public key of a 32-byte seed. @param {Uint8Array} seed */
export const publicKey = (seed) => publicHalf("Ed25519", seed);

/** What a signature covers. @param {string} label @param {cbor.Value} body */
export const signedBytes = (label, body) => concat(utf8(`${label}\0`), cbor.encode(body));

/** The 64-byte signature over a labelled CBOR value. @param {Uint8Array} seed @param {string} label @param {cbor.Value} body */
export async function sign(seed, label, body) {
  const key = await privateKey("Ed25519", seed);
  return new Uint8Array(await subtle.sign("Ed25519", key, signedBytes(label, body)));
}

/**
 * Throws BadKey or BadSignature. A signature whose R has small order is refused, as libsodium does.
 * @param {Uint8Array} publicKey @param {string} label @param {cbor.Value} body @param {Uint8Array} signature
 */
export async function verify(publicKey, label, body, signature) {
  checkPublicKey(publicKey);
  if (signature.length !== 64) throw new BadSignature("a signature has 64 bytes");
  const key = await subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
  const fits = await subtle.verify("Ed25519", key, signature, signedBytes(label, body));
  if (!fits || isSmallOrder(signature.subarray(0, 32))) throw new BadSignature("the signature does not fit its key and content");
}

// --- X25519 ---------------------------------------------------------------------------------------------------------

/** The public key of 32 private bytes. @param {Uint8Array} raw */
export const sealingKey = (raw) => publicHalf("X25519", raw);

/** A private key that many agreements use. @param {Uint8Array} raw */
export const agreementKey = (raw) => privateKey("X25519", raw);

/**
 * X25519; throws BadKey for a key of small order, whose shared secret is all zero.
 * @param {Uint8Array | CryptoKey} own 32 bytes, or the key `agreementKey` made of them @param {Uint8Array} publicKey
 */
export async function sharedSecret(own, publicKey) {
  if (publicKey.length !== 32) throw new BadKey("an X25519 public key has 32 bytes");
  const key = own instanceof Uint8Array ? await agreementKey(own) : own;
  const peer = await subtle.importKey("raw", publicKey, "X25519", false, []);
  /** @type {Uint8Array} */
  let shared;
  try {
    shared = new Uint8Array(await subtle.deriveBits({name: "X25519", public: peer}, key, 256));
  } catch {
    throw new BadKey("this is not a usable X25519 public key");
  }
  if (shared.every((byte) => byte === 0)) throw new BadKey("this is not a usable X25519 public key");
  return shared;
}

/** @param {Uint8Array} shared @param {Uint8Array} ephemeral @param {Uint8Array} recipient @param {string} label */
async function keyAndNonce(shared, ephemeral, recipient, label) {
  const material = await hkdf(shared, 44, concat(ephemeral, recipient), utf8(label));
  return [material.subarray(0, 32), material.subarray(32)];
}

/** Throws BadKey for an unusable recipient. @param {Uint8Array} recipient @param {string} label @param {Uint8Array} plaintext */
export async function seal(recipient, label, plaintext, rng = random) {
  const own = rng(32);
  const ephemeral = await sealingKey(own);
  const shared = await sharedSecret(own, recipient);
  own.fill(0);
  const [key, nonce] = await keyAndNonce(shared, ephemeral, recipient, label);
  return concat(ephemeral, await encrypt(key, nonce, plaintext));
}

/**
 * Throws SealError: cut, changed, or sealed to another key or under another label.
 * @param {Uint8Array} raw @param {string} label @param {Uint8Array} sealed
 */
export async function unseal(raw, label, sealed) {
  const ephemeral = sealed.subarray(0, 32);
  try {
    const shared = await sharedSecret(raw, ephemeral);
    const [key, nonce] = await keyAndNonce(shared, ephemeral, await sealingKey(raw), label);
    return await decrypt(key, nonce, sealed.subarray(32));
  } catch (error) {
    if (error instanceof BadKey || error instanceof SealError) throw new SealError("the sealed body does not open with this key and label");
    throw error;
  }
}
