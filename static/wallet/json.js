// The one byte form of a JSON document, RFC 8785, its hash, and reading its fields. Twins: collectives/terms/canonical.py and fields.py.

import {fromUtf8, utf8} from "./bytes.js";
import {sha256} from "./crypto.js";
import {TermsError} from "./errors.js";

const MAX_BYTES = 256 * 1024;
const MAX_DEPTH = 32;

/**
 * RFC 8785, as UTF-8; throws TermsError `not_json`, `too_large`. Numbers in JavaScript's own form are what section 3.2.2.3 asks for.
 * @param {any} document
 */
export function canonical(document) {
  const body = utf8(textOf(document));
  if (body.length > MAX_BYTES) throw new TermsError("too_large", `The document is larger than ${MAX_BYTES / 1024} KiB.`);
  return body;
}

/** @param {any} value @returns {string} */
function textOf(value) {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (typeof value === "string" && !/\p{Surrogate}/u.test(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(textOf).join(",")}]`;
  if (typeof value === "object") {
    return `{${Object.keys(value).sort().map((name) => `${textOf(name)}:${textOf(value[name])}`).join(",")}}`;
  }
  throw new TermsError("not_json", "The document holds a value that JSON cannot carry exactly.");
}

/** SHA-256 of the canonical form, 32 bytes. @param {any} document */
export const digest = async (document) => sha256(canonical(document));

/**
 * JSON with unique names and exact integers, at most 256 KiB and 32 deep; throws TermsError `not_json`, `too_large`, `too_deep`.
 * `floats: false` also refuses 1.0, which JavaScript cannot tell from 1 once it is parsed.
 * @param {string | Uint8Array} source
 */
export function parseJson(source, {floats = true} = {}) {
  if (source.length > MAX_BYTES) throw new TermsError("too_large", `The document is larger than ${MAX_BYTES / 1024} KiB.`);
  try {
    const text = typeof source === "string" ? source : fromUtf8(source);
    const document = JSON.parse(text); // first: on text that is JSON the scan below is linear
    checkTokens(text, floats);
    return document;
  } catch (error) {
    if (error instanceof TermsError) throw error;
    throw new TermsError("not_json", "The text is not valid JSON.");
  }
}

/**
 * What `JSON.parse` lets through: a name twice, an integer that a double cannot hold, bottomless nesting.
 * @param {string} text @param {boolean} floats
 */
function checkTokens(text, floats) {
  /** @type {(Set<string> | null)[]} */
  const open = []; // of an object the names so far, of a list null
  for (const [token, name] of text.matchAll(/"(?:[^"\\]|\\.)*"(?=(\s*:)?)|[[\]{}]|-?\d[\d.eE+-]*/gs)) {
    if (token === "{" || token === "[") open.push(token === "{" ? new Set() : null);
    else if (token === "}" || token === "]") open.pop();
    else if (name !== undefined) {
      const [names, word] = [open.at(-1), JSON.parse(token)];
      if (names?.has(word)) throw new SyntaxError("a name appears twice");
      names?.add(word);
    } else if (/^-?\d+$/.test(token) ? !Number.isSafeInteger(Number(token)) : !floats && token[0] !== '"') {
      throw new SyntaxError("a number is not exact");
    }
    if (open.length > MAX_DEPTH) throw new TermsError("too_deep", `The document is nested more than ${MAX_DEPTH} deep. Send a flatter one.`);
  }
}

// --- fields: exact names, exact types, bounded sizes; each throws TermsError `malformed` ---------------------------------

/** @param {boolean} fine @param {string} sentence */
function ensure(fine, sentence) {
  if (!fine) throw new TermsError("malformed", sentence);
}

/** The document, if it has these names and no others. @param {any} document @param {string[]} names @param {string} what */
export function exactly(document, names, what) {
  ensure(typeof document === "object" && document !== null && !Array.isArray(document), `${what} must be a JSON object.`);
  const lacking = names.filter((name) => !Object.hasOwn(document, name)).sort();
  const unknown = Object.keys(document).filter((name) => !names.includes(name)).sort();
  ensure(lacking.length === 0, `${what} lacks ${lacking.join(", ")}.`);
  ensure(unknown.length === 0, `${what} has the unknown field ${unknown.join(", ")}.`);
  return document;
}

/** Text of so many characters (code points). @param {any} document @param {string} name */
export function text(document, name, least = 0, most = 2000) {
  const value = document[name];
  const size = typeof value === "string" ? [...value].length : -1;
  ensure(size >= least && size <= most, `${name} must be text of ${least} to ${most} characters.`);
  return value;
}

/** @param {any} document @param {string} name @param {readonly string[]} choices */
export function oneOf(document, name, choices) {
  ensure(choices.includes(document[name]), `${name} must be one of ${choices.join(", ")}.`);
  return document[name];
}

/** @param {any} document @param {string} name */
export function integer(document, name, least = 0, most = Number.MAX_SAFE_INTEGER) {
  const value = document[name];
  ensure(Number.isSafeInteger(value) && value >= least && value <= most, `${name} must be a whole number from ${least} to ${most}.`);
  return value;
}

/** @param {any} document @param {string} name */
export function flag(document, name) {
  ensure(typeof document[name] === "boolean", `${name} must be true or false.`);
  return document[name];
}

/** @param {any} document @param {string} name @param {number} size */
export function hexBytes(document, name, size) {
  const fits = typeof document[name] === "string" && new RegExp(`^[0-9a-f]{${2 * size}}$`).test(document[name]);
  ensure(fits, `${name} must be ${size} bytes in lower-case hex.`);
  return document[name];
}

/** Base units (18 decimals), written as a decimal string. @param {any} document @param {string} name */
export function money(document, name) {
  const fits = typeof document[name] === "string" && /^(?:0|[1-9][0-9]{0,37})$/.test(document[name]);
  ensure(fits, `${name} must be an amount in base units, as a decimal string.`);
  return BigInt(document[name]);
}
