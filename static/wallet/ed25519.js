// Which Ed25519 keys are usable. Twin: the key checks of aggregation/wire/signing.py (libsodium's `is_valid_point`).
//
// WebCrypto has no point arithmetic, and engines disagree on keys that are not canonical, have small order or lie outside the
// main subgroup (RFC 8032 leaves it open). So a key is decoded here (RFC 8032 section 5.1.3) and multiplied by the group's order.
// Everything in this file is public; nothing in it needs to take constant time.

import {hex} from "./bytes.js";
import {BadKey} from "./errors.js";

const P = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const D = mod(-121665n * power(121666n, P - 2n));
const SQRT_MINUS_1 = power(2n, (P - 1n) / 4n);
const SIGN = 1n << 255n;

/** @typedef {[bigint, bigint, bigint, bigint]} Point extended coordinates X, Y, Z, T with T = XY / Z (RFC 8032 section 5.1.4) */

/** @param {bigint} a */
function mod(a) {
  const rest = a % P;
  return rest < 0n ? rest + P : rest;
}

/** @param {bigint} base @param {bigint} exponent */
function power(base, exponent) {
  let result = 1n;
  for (let square = base, rest = exponent; rest > 0n; rest >>= 1n, square = mod(square * square)) {
    if (rest & 1n) result = mod(result * square);
  }
  return result;
}

/** The point of a canonical encoding, or null. @param {Uint8Array} encoded @returns {Point | null} */
function decode(encoded) {
  const number = BigInt(`0x${hex(Uint8Array.from(encoded).reverse())}`);
  const y = number & (SIGN - 1n);
  if (y >= P) return null;
  const u = mod(y * y - 1n);
  const v = mod(D * y * y + 1n);
  let x = mod(u * power(v, 3n) * power(u * power(v, 7n), (P - 5n) / 8n)); // the candidate root of u / v
  if (mod(v * x * x - u) !== 0n) x = mod(x * SQRT_MINUS_1);
  if (mod(v * x * x - u) !== 0n) return null;
  const odd = number >= SIGN;
  if (x === 0n && odd) return null;
  if (odd !== ((x & 1n) === 1n)) x = P - x;
  return [x, y, 1n, mod(x * y)];
}

/** @param {Point} p @param {Point} q @returns {Point} */
function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = mod((y1 - x1) * (y2 - x2));
  const b = mod((y1 + x1) * (y2 + x2));
  const c = mod(2n * D * mod(t1 * t2));
  const d = mod(2n * z1 * z2);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

/** @param {Point} p @returns {Point} */
function double([x1, y1, z1]) {
  const a = mod(x1 * x1);
  const b = mod(y1 * y1);
  const h = a + b;
  const e = h - mod((x1 + y1) * (x1 + y1));
  const g = a - b;
  const f = mod(2n * z1 * z1) + g;
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

/** @param {Point} point */
const isIdentity = ([x, y, z]) => x === 0n && y === z;

/** @param {Point} point @param {bigint} scalar @returns {Point} */
function multiply(point, scalar) {
  /** @type {Point} */
  let result = [0n, 1n, 1n, 0n];
  for (const bit of scalar.toString(2)) {
    result = double(result);
    if (bit === "1") result = add(result, point);
  }
  return result;
}

/** @type {Map<string, boolean>} */
const known = new Map();

/**
 * Throws BadKey: not 32 bytes, not a canonical point of the main subgroup, or of small order.
 * Remembered, because a job key is seen in several messages of its wallet.
 * @param {Uint8Array} key
 */
export function checkPublicKey(key) {
  const name = hex(key);
  let usable = known.get(name);
  if (usable === undefined) {
    const point = key.length === 32 ? decode(key) : null;
    usable = point !== null && !isIdentity(point) && isIdentity(multiply(point, ORDER));
    if (known.size >= 4096) known.clear();
    known.set(name, usable);
  }
  if (!usable) throw new BadKey("this is not a usable Ed25519 public key");
}

/** The canonical encodings of the eight points of order 1, 2, 4 and 8: y is 1, −1, 0 (±x) or one of two values (±x). */
const Y8 = ["26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03"];
const SMALL_ORDER = new Set([
  `01${"00".repeat(31)}`, `ec${"ff".repeat(30)}7f`, "00".repeat(32), `${"00".repeat(31)}80`,
  `${Y8[0]}05`, `${Y8[0]}85`, `${Y8[1]}7a`, `${Y8[1]}fa`,
]);

/** Whether these are 32 canonical bytes of a point of order 1, 2, 4 or 8. @param {Uint8Array} encoded */
export const isSmallOrder = (encoded) => SMALL_ORDER.has(hex(encoded));
