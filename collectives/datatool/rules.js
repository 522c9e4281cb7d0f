// The data requirement profile in a browser: canonical form, SHA-256, and the same checks with the same sentences as the wallet.

import { told } from "./phrases.js";

const canonical = (value) => {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object") {
    return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
  }
  throw new TypeError("no JSON value");
};

// FIPS 180-4. The browser's own is there only on pages it calls secure, and a saved file is not one everywhere.
const sha256 = (bytes) => {
  const primes = [];
  for (let n = 2; primes.length < 64; n += 1) if (primes.every((p) => n % p)) primes.push(n);
  const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32) | 0;
  const rounds = primes.map((p) => fraction(Math.cbrt(p)));
  const state = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
  const padded = new Uint8Array((((bytes.length + 8) >> 6) + 1) * 64);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor((bytes.length * 8) / 2 ** 32));
  view.setUint32(padded.length - 4, (bytes.length * 8) >>> 0);
  const turn = (x, n) => (x >>> n) | (x << (32 - n));
  const w = new Int32Array(64);
  for (let start = 0; start < padded.length; start += 64) {
    for (let i = 0; i < 16; i += 1) w[i] = view.getInt32(start + 4 * i);
    for (let i = 16; i < 64; i += 1) {
      const s0 = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      const s1 = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i += 1) {
      const t1 = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + rounds[i] + w[i]) | 0;
      const t2 = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((x, i) => { state[i] = (state[i] + x) | 0; });
  }
  return state.map((x) => (x >>> 0).toString(16).padStart(8, "0")).join("");
};

const idOf = (value) => sha256(new TextEncoder().encode(canonical(value)));

/** @type {Record<string, [string, (value: any) => boolean]>} */
const KINDS = {
  object: ["must be an object", (v) => typeof v === "object" && v !== null && !Array.isArray(v)],
  array: ["must be a list", Array.isArray],
  string: ["must be text", (v) => typeof v === "string"],
  integer: ["must be a whole number", (v) => Number.isInteger(v)],
  number: ["must be a number", (v) => typeof v === "number"],
  boolean: ["must be true or false", (v) => typeof v === "boolean"],
};

// Every problem as {path, sentence}, `missing` or `few` where something is not there yet; an empty list when the value meets the schema.
const check = (schema, value, path = []) => {
  const found = [];
  const say = (wrong, sentence) => { if (wrong) found.push({ path, sentence }); };
  const [words, fits] = KINDS[schema.type];
  say(!fits(value), words);
  if ("enum" in schema) say(!schema.enum.some((v) => canonical(v) === canonical(value)), "is not one of the listed values");
  if ("const" in schema) say(canonical(schema.const) !== canonical(value), "is not the expected value");
  if (typeof value === "number") {
    say(value < schema.minimum, `must be at least ${schema.minimum}`);
    say(value > schema.maximum, `must be at most ${schema.maximum}`);
  }
  if (typeof value === "string") {
    const size = [...value].length;
    say(size < schema.minLength, `needs at least ${schema.minLength} characters`);
    say(size > schema.maxLength, `has more than ${schema.maxLength} characters`);
  }
  if (Array.isArray(value)) found.push(...checkList(schema, value, path));
  else if (KINDS.object[1](value)) found.push(...checkObject(schema, value, path));
  return found;
};

const checkList = (schema, value, path) => {
  const found = [];
  const say = (wrong, sentence) => { if (wrong) found.push({ path, sentence }); };
  const different = (items) => new Set(items.map(canonical)).size === items.length;
  if (value.length < schema.minItems) found.push({ path, few: true, sentence: `${value.length} of at least ${schema.minItems}` });
  say(value.length > schema.maxItems, `${value.length}, at most ${schema.maxItems} are allowed`);
  say(schema.uniqueItems && !different(value), "holds the same item twice");
  const key = schema["x-unique-by"];
  if (key !== undefined) {
    const names = value.filter((item) => KINDS.object[1](item) && Object.hasOwn(item, key)).map((item) => item[key]);
    say(!different(names), `two entries have the same ${key}`);
  }
  if (schema.items) value.forEach((item, i) => found.push(...check(schema.items, item, [...path, i])));
  return found;
};

const checkObject = (schema, value, path) => {
  const found = [];
  const known = schema.properties ?? {};
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name)) found.push({ path, missing: name, sentence: `${name} is missing` });
  }
  if (schema.additionalProperties === false) {
    const unexpected = Object.keys(value).filter((name) => !Object.hasOwn(known, name));
    if (unexpected.length) found.push({ path, sentence: `${unexpected.join(", ")} is not asked for` });
  }
  for (const [name, child] of Object.entries(known)) {
    if (Object.hasOwn(value, name)) found.push(...check(child, value[name], [...path, name]));
  }
  return found;
};

const inWords = ({ path, sentence }) => {
  const place = path.map((part) => (typeof part === "number" ? told(`entry ${part + 1}`) : part)).join(", ");
  return place ? `${place}: ${told(sentence)}` : told(sentence);
};

export { KINDS, canonical, check, inWords };
