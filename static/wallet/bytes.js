// Byte strings: joining, comparing, hex, UTF-8, randomness. The twin of what Python's `bytes` does by itself.

const DECODER = new TextDecoder("utf-8", {fatal: true, ignoreBOM: true});
const ENCODER = new TextEncoder();

/** @param {...Uint8Array} parts @returns {Uint8Array} */
export function concat(...parts) {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/**
 * Whether two public byte strings are the same. Not for secrets: it stops at the first difference.
 * @param {Uint8Array} a @param {Uint8Array} b
 */
export function equal(a, b) {
  return a.length === b.length && compare(a, b) === 0;
}

/** The order of bytes, as for sorting. @param {Uint8Array} a @param {Uint8Array} b @returns {number} */
export function compare(a, b) {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i += 1) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

/** @param {Uint8Array} bytes */
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Lower-case hex, of exactly `length` bytes where given; throws RangeError. @param {string} text @param {number} [length] */
export function fromHex(text, length = text.length / 2) {
  if (!/^(?:[0-9a-f]{2})*$/.test(text) || text.length !== 2 * length) throw new RangeError("not hex of that length");
  return Uint8Array.from({length}, (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

/** UTF-8 of well-formed text; throws RangeError for an unpaired surrogate. @param {string} text */
export function utf8(text) {
  if (/\p{Surrogate}/u.test(text)) throw new RangeError("text must be encodable as UTF-8");
  return ENCODER.encode(text);
}

/** Throws TypeError for bytes that are not UTF-8. @param {Uint8Array} bytes */
export const fromUtf8 = (bytes) => DECODER.decode(bytes);

/** @param {number} length at most 65,536 @returns {Uint8Array} from the system's generator */
export const random = (length) => crypto.getRandomValues(new Uint8Array(length));
