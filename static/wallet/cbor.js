// Deterministic CBOR: the subset of RFC 8949 section 4.2.1 that every signed byte string uses. Twin: aggregation/wire/cbor.py.
//
// Integers within ±(2^53 − 1), byte strings, text, arrays, maps with text keys sorted by their encoded bytes, true, false, null;
// every length in its shortest form; nothing else. The decoder is strict by itself: it reads the one allowed form only.

import {compare, concat, fromUtf8, utf8} from "./bytes.js";
import {CodecError} from "./errors.js";

const MAX_DEPTH = 16;
const [UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, , SIMPLE] = [0, 1, 2, 3, 4, 5, 6, 7];
const CONSTANTS = new Map([[0xf4, false], [0xf5, true], [0xf6, null]]);

/** @typedef {any} Value safe integer, Uint8Array, string, boolean, null, array of values, plain object of values */

/** The one encoding of a value; throws CodecError. @param {Value} value @returns {Uint8Array} */
export function encode(value) {
  /** @type {Uint8Array[]} */
  const parts = [];
  append(value, parts, MAX_DEPTH);
  return concat(...parts);
}

/** @param {any} value @param {Uint8Array[]} parts @param {number} depth containers that may still be opened */
function append(value, parts, depth) {
  if (value instanceof Uint8Array) parts.push(head(BYTES, value.length), value);
  else if (typeof value === "number") parts.push(integer(value));
  else if (typeof value === "string") parts.push(textOf(value));
  else if (value === null || typeof value === "boolean") parts.push(Uint8Array.of(value === null ? 0xf6 : 0xf4 + Number(value)));
  else if (depth <= 0) throw new CodecError("the value is nested too deeply");
  else if (Array.isArray(value)) {
    parts.push(head(ARRAY, value.length));
    for (const item of value) append(item, parts, depth - 1);
  } else if (isPlain(value)) {
    const entries = Object.keys(value).map((name) => ({key: textOf(name), item: value[name]}));
    entries.sort((a, b) => compare(a.key, b.key));
    parts.push(head(MAP, entries.length));
    for (const {key, item} of entries) {
      parts.push(key);
      append(item, parts, depth - 1);
    }
  } else throw new CodecError("a value of this type has no place in this format");
}

/** @param {any} value */
const isPlain = (value) => typeof value === "object" && [Object.prototype, null].includes(Object.getPrototypeOf(value));

/** @param {number} value */
function integer(value) {
  if (!Number.isSafeInteger(value)) throw new CodecError("integers must lie within ±(2^53 − 1); money travels as text");
  return value >= 0 ? head(UNSIGNED, value) : head(NEGATIVE, -1 - value);
}

/** @param {string} text */
function textOf(text) {
  try {
    const data = utf8(text);
    return concat(head(TEXT, data.length), data);
  } catch {
    throw new CodecError("text must be encodable as UTF-8");
  }
}

/** Major type and argument in the shortest form (RFC 8949 section 3). @param {number} major @param {number} argument */
function head(major, argument) {
  const first = major << 5;
  if (argument < 24) return Uint8Array.of(first | argument);
  const power = [8, 16, 32].filter((bits) => argument >= 2 ** bits).length;
  const size = 2 ** power;
  const bytes = new Uint8Array(1 + size);
  bytes[0] = first | (24 + power);
  for (let i = size, rest = argument; i > 0; i -= 1, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
  return bytes;
}

/** The value of an encoding in exactly the allowed form; throws CodecError. @param {Uint8Array} data @returns {any} */
export function decode(data) {
  const reader = new Reader(data);
  const value = reader.value(MAX_DEPTH);
  if (reader.at !== data.length) throw new CodecError("there are bytes after the end of the CBOR");
  return value;
}

class Reader {
  /** @param {Uint8Array} data */
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  /** @param {number} depth @returns {any} */
  value(depth) {
    const first = this.take(1)[0];
    const major = first >> 5;
    if (major === SIMPLE) {
      if (!CONSTANTS.has(first)) throw new CodecError("floats and other simple values have no place in this format");
      return CONSTANTS.get(first);
    }
    const argument = this.argument(first & 31);
    switch (major) {
      case UNSIGNED: return argument;
      case NEGATIVE:
        if (argument === Number.MAX_SAFE_INTEGER) throw new CodecError("integers must lie within ±(2^53 − 1)");
        return -1 - argument;
      case BYTES: return this.take(argument).slice();
      case TEXT: return this.text(argument);
      case ARRAY: return this.array(argument, depth);
      case MAP: return this.map(argument, depth);
      default: throw new CodecError("tags have no place in this format");
    }
  }

  /** The argument of an initial byte, refused unless it is in its shortest form. @param {number} info */
  argument(info) {
    if (info < 24) return info;
    if (info > 27) throw new CodecError("indefinite lengths have no place in this format");
    const size = 2 ** (info - 24);
    const value = this.take(size).reduce((sum, byte) => sum * 256 + byte, 0);
    const least = size === 1 ? 24 : 2 ** (4 * size);
    if (value < least) throw new CodecError("a length or integer is not in its shortest form");
    if (value > Number.MAX_SAFE_INTEGER) throw new CodecError("integers must lie within ±(2^53 − 1)");
    return value;
  }

  /** @param {number} length */
  take(length) {
    if (length > this.data.length - this.at) throw new CodecError("the CBOR ends too early");
    this.at += length;
    return this.data.subarray(this.at - length, this.at);
  }

  /** @param {number} length */
  text(length) {
    try {
      return fromUtf8(this.take(length));
    } catch {
      throw new CodecError("text must be UTF-8");
    }
  }

  /** @param {number} length @param {number} depth */
  array(length, depth) {
    this.open(length, depth);
    return Array.from({length}, () => this.value(depth - 1));
  }

  /** @param {number} length @param {number} depth */
  map(length, depth) {
    this.open(length, depth);
    const found = Object.create(null); // "__proto__" is a key like any other
    let before = new Uint8Array(0);
    for (let i = 0; i < length; i += 1) {
      const start = this.at;
      if (this.data[start] >> 5 !== TEXT) throw new CodecError("map keys must be text");
      const key = this.value(0);
      const encoded = this.data.subarray(start, this.at);
      if (compare(before, encoded) >= 0) throw new CodecError("map keys must be sorted and different");
      before = encoded;
      found[key] = this.value(depth - 1);
    }
    return found;
  }

  /** @param {number} length of items, each of at least one byte @param {number} depth */
  open(length, depth) {
    if (depth <= 0) throw new CodecError("the value is nested too deeply");
    if (length > this.data.length - this.at) throw new CodecError("the CBOR ends too early");
  }
}
