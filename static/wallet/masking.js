// Keys of an edge, sealed shares, the escrow box, Shamir's sharing, masks. Twins: aggregation/secagg/masking.py, shamir.py, vectors.py.
//
// Bonawitz et al. (CCS 2017) with the escrow box of docs/protocol/secagg.md section 5 in place of a second key pair. Every AES key
// here encrypts one thing once, so nonces and counters start at zero.

import {concat, utf8} from "./bytes.js";
import {decrypt, encrypt, hkdf, sha256, sharedSecret} from "./crypto.js";
import {BadKey, LocalProtocolError, RemoteProtocolError, SealError} from "./errors.js";
import {SECRET_BYTES, headerHash, paddedD, wordCount} from "./messages.js";
import {openStream} from "./stream.js";

const ZERO_NONCE = new Uint8Array(12);
const BLOCK = 256 * 1024; // bytes of a mask at a time: WebCrypto is fastest with pieces of 64k words

/** @typedef {{seed: Uint8Array, outgoing: Uint8Array, incoming: Uint8Array}} Edge what two neighbours have in common, seen from one */
/** @typedef {Uint32Array | Uint16Array} Words */

/**
 * HKDF(X25519, round id, label ‖ key of the lower position ‖ of the higher) = mask seed (16) ‖ key upwards (32) ‖ key downwards (32).
 * Throws RemoteProtocolError for an unusable key.
 * @param {CryptoKey} own @param {Uint8Array} ownPublic @param {Uint8Array} peer @param {boolean} ownIsLower @param {Uint8Array} salt
 * @returns {Promise<Edge>}
 */
export async function agree(own, ownPublic, peer, ownIsLower, salt) {
  /** @type {Uint8Array} */
  let shared;
  try {
    shared = await sharedSecret(own, peer);
  } catch (error) {
    throw error instanceof BadKey ? new RemoteProtocolError("bad_key", error.message) : error;
  }
  const [lower, higher] = ownIsLower ? [ownPublic, peer] : [peer, ownPublic];
  const material = await hkdf(shared, 80, salt, concat(utf8("cssi/v1/edge\0"), lower, higher));
  shared.fill(0);
  const [up, down] = [material.subarray(16, 48), material.subarray(48)];
  return {seed: material.subarray(0, 16), outgoing: ownIsLower ? up : down, incoming: ownIsLower ? down : up};
}

/**
 * AES-256-GCM under a key of one direction and round; the round id is associated data.
 * @param {Uint8Array} key @param {Uint8Array} share @param {Uint8Array} salt
 */
export const sealShare = (key, share, salt) => encrypt(key, ZERO_NONCE, share, salt);

/**
 * The share, or null: one bad share must not stop this wallet.
 * @param {Uint8Array} key @param {Uint8Array} ciphertext @param {Uint8Array} salt
 */
export async function openShare(key, ciphertext, salt) {
  try {
    return await decrypt(key, ZERO_NONCE, ciphertext, salt);
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}

/**
 * All mask seeds by ascending neighbour, under a key from κ.
 * @param {Uint8Array} kappa @param {Uint8Array[]} seeds @param {Uint8Array} owner @param {Uint8Array} salt
 */
export async function sealEscrow(kappa, seeds, owner, salt) {
  const key = await hkdf(kappa, 32, salt, concat(utf8("cssi/v1/escrow\0"), owner));
  return encrypt(key, ZERO_NONCE, concat(...seeds), salt);
}

/**
 * It hides because b is uniform over 2^128 and used nowhere else.
 * @param {Uint8Array} seed @param {Uint8Array} owner @param {Uint8Array} salt
 */
export const commit = (seed, owner, salt) => sha256(utf8("cssi/v1/self-seed\0"), salt, owner, seed);

// --- Shamir's sharing over GF(2^8) mod x^8 + x^4 + x^3 + x + 1, byte by byte -----------------------------------------

const EXP = new Uint8Array(510);
const LOG = new Uint8Array(256);
for (let power = 0, value = 1; power < 255; power += 1) {
  EXP[power] = EXP[power + 255] = value;
  LOG[value] = power;
  value ^= (value << 1) ^ (value & 0x80 ? 0x11b : 0); // times the generator x + 1
}

/**
 * Shares for x = 1 … `count`; any `t` of them rebuild the secret.
 * @param {Uint8Array} secret @param {number} count @param {number} t @param {(n: number) => Uint8Array} rng
 */
export function split(secret, count, t, rng) {
  if (!(t >= 1 && t <= count && count <= 255)) throw new RangeError("a threshold lies within 1 and the number of shares, at most 255");
  const size = secret.length;
  const coefficients = concat(secret, rng((t - 1) * size)); // ascending degree, a row of `size` bytes each
  const shares = Array.from({length: count}, (_, i) => evaluate(coefficients, size, i + 1));
  coefficients.fill(0);
  return shares;
}

/** Horner at one x. @param {Uint8Array} coefficients @param {number} size @param {number} x */
function evaluate(coefficients, size, x) {
  const value = coefficients.slice(coefficients.length - size);
  for (let row = coefficients.length - 2 * size; row >= 0; row -= size) {
    for (let i = 0; i < size; i += 1) value[i] = (value[i] ? EXP[LOG[value[i]] + LOG[x]] : 0) ^ coefficients[row + i];
  }
  return value;
}

// --- vectors modulo 2^R ---------------------------------------------------------------------------------------------

/**
 * An update as words: two's complement ‖ count = 1 ‖ checksum.
 * @param {import("./messages.js").Message} header @param {ArrayLike<number>} update @returns {Promise<Words>}
 */
export async function encodeUpdate(header, update) {
  if (update.length !== paddedD(header)) throw new LocalProtocolError("wrong_update", `expected ${paddedD(header)} integers`);
  const bound = 2 ** (header.q - 1);
  const words = new (header.ring_bits === 32 ? Uint32Array : Uint16Array)(wordCount(header));
  for (let i = 0; i < update.length; i += 1) {
    const fits = Number.isInteger(update[i]) && update[i] >= -bound && update[i] < bound;
    if (!fits) throw new LocalProtocolError("wrong_update", `a value does not fit into ${header.q} bits`);
    words[i] = update[i];
  }
  words[words.length - 2] = 1;
  words[words.length - 1] = await checksum(header, words.subarray(0, -1));
  return words;
}

/**
 * Σ (a_i ∨ 1) · w_i mod 2^R with a public stream a: linear, so the checksum of the sum is the sum of the checksums.
 * @param {import("./messages.js").Message} header @param {Words} words
 */
async function checksum(header, words) {
  const seed = (await sha256(utf8("cssi/v1/checksum\0"), await headerHash(header))).subarray(0, SECRET_BYTES);
  let total = 0;
  await withStream(words, seed, (part, factors) => {
    for (let i = 0; i < part.length; i += 1) total = (total + Math.imul(factors[i] | 1, part[i])) | 0;
  });
  return total; // a typed array keeps its lowest R bits
}

/** Add (+1) or take off (−1) the mask of each seed, in place. @param {Words} words @param {[Uint8Array, number][]} masks */
export async function addMasks(words, masks) {
  for (const [seed, direction] of masks) {
    await withStream(words, seed, (part, mask) => {
      if (direction > 0) for (let i = 0; i < part.length; i += 1) part[i] += mask[i];
      else for (let i = 0; i < part.length; i += 1) part[i] -= mask[i];
    });
  }
}

/**
 * Pieces of the words beside the same pieces of a seed's stream.
 * @param {Words} words @param {Uint8Array} seed @param {(part: Words, stream: Words) => void} use
 */
async function withStream(words, seed, use) {
  const piece = await openStream(seed);
  for (let start = 0; start < words.byteLength; start += BLOCK) {
    const size = words.BYTES_PER_ELEMENT;
    const part = words.subarray(start / size, (start + BLOCK) / size);
    const bytes = await piece(start, part.byteLength);
    use(part, new /** @type {any} */ (words.constructor)(bytes.buffer));
    bytes.fill(0);
  }
}
