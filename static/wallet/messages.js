// The messages of a round: reading, writing, signing. Twin: aggregation/secagg/messages/ (and graph.py for the geometry of a bucket).
//
// A message is one CBOR map with `t` (kind), `v` = 1 and exactly the fields of its table in docs/protocol/messages.md. Here each table is
// data: a field name and a check. What does not fit is refused with `malformed`, `out_of_range` or `duplicate`, as there.

import * as cbor from "./cbor.js";
import {hex, utf8} from "./bytes.js";
import {publicKey, sha256, sign, signedBytes, verify} from "./crypto.js";
import {checkPublicKey} from "./ed25519.js";
import {BadKey, BadProof, BadSignature, CodecError, LocalProtocolError, RemoteProtocolError} from "./errors.js";
import {verifyInclusion} from "./merkle.js";

const MEMBERS = 2 ** 20;
const WORDS = 2 ** 28;
const LATEST = 2 ** 40;
const MILLION = 1_000_000;
const LARGEST_COMPLETE = 256;
const WEEK = 7 * 24 * 3600;
export const SECRET_BYTES = 16;

/** @typedef {(value: any, name: string, message: any) => void} Check */
/** @typedef {{[field: string]: any}} Message a frozen object with the fields of its table */

class Invalid extends Error {
  /** @param {string} detail @param {string} fault */
  constructor(detail, fault = "malformed") {
    super(detail);
    this.fault = fault;
  }
}

// --- checks of one field --------------------------------------------------------------------------------------------

/** @param {boolean} fine @param {string} detail @param {string} [fault] */
function ensure(fine, detail, fault) {
  if (!fine) throw new Invalid(detail, fault);
}

/** @param {number} length @returns {Check} */
const bytes = (length) => (value, name) =>
  ensure(value instanceof Uint8Array && value.length === length, `${name} must be ${length} bytes`);

/** @param {number} longest @returns {Check} */
const blob = (longest) => (value, name) =>
  ensure(value instanceof Uint8Array && value.length <= longest, `${name} must be at most ${longest} bytes`);

/** @param {number} low @param {number | ((message: any) => number)} high @returns {Check} */
const int = (low, high) => (value, name, message) => {
  const most = typeof high === "function" ? high(message) : high;
  ensure(Number.isSafeInteger(value), `${name} must be an integer`);
  ensure(value >= low && value <= most, `${name} must lie within ${low} and ${most}`, "out_of_range");
};

/** @type {Check} */
const flag = (value, name) => ensure(typeof value === "boolean", `${name} must be true or false`);

/** @param {...any} allowed @returns {Check} */
const oneOf = (...allowed) => (value, name) => ensure(allowed.includes(value), `${name} must be one of ${allowed.join(", ")}`);

/** @param {Check} item @param {number} longest @returns {Check} */
const list = (item, longest) => (value, name, message) => {
  ensure(Array.isArray(value) && value.length <= longest, `${name} must be a list of at most ${longest}`);
  for (const one of value) item(one, `every ${name}`, message);
};

/** Rows of so many columns; the first column ascends when it is a position. @param {...Check} columns @returns {Check} */
const rows = (...columns) => (value, name, message) => {
  const fits = (/** @type {any} */ row) => Array.isArray(row) && row.length === columns.length;
  ensure(Array.isArray(value) && value.every(fits), `${name} must be an array of rows`);
  columns.forEach((check, i) => {
    if (check === position) ascending(value.map((/** @type {any} */ row) => row[i]), name, message);
    else for (const row of value) check(row[i], name, message);
  });
};

/** Positions: integers from 0 to below `high`, strictly ascending, so none appears twice. @type {Check} */
const ascending = (value, name, message) => {
  ensure(Array.isArray(value) && value.every(Number.isSafeInteger), `${name} must be integers`);
  const high = name === "evidence" ? message.members.length : MEMBERS;
  ensure(value.every((/** @type {number} */ one) => one >= 0 && one < high), `${name} must lie within 0 and ${high - 1}`, "out_of_range");
  const above = (/** @type {number} */ one, /** @type {number} */ i) => i === 0 || value[i - 1] < one;
  ensure(value.every(above), `${name} must ascend`, "duplicate");
};

/** A column of positions. @type {Check} */
const position = () => {};

/** @type {Check} */
const usableKey = (value, name) => {
  bytes(32)(value, name, null);
  try {
    checkPublicKey(value);
  } catch (error) {
    throw new Invalid(/** @type {Error} */ (error).message);
  }
};

/** @type {Check} */
const members = (value, name, message) => {
  rows(bytes(32), bytes(32), int(0, LATEST), int(0, LATEST))(value, name, message);
  ensure(value.length >= 1 && value.length <= MEMBERS, "members must not be empty");
  for (const [column, what] of [[0, "job_key"], [1, "public_key"], [2, "index"]]) {
    const all = value.map((/** @type {any} */ row) => (column === 2 ? row[2] : hex(row[/** @type {number} */ (column)])));
    ensure(new Set(all).size === all.length, `two members have the same ${what}`, "duplicate");
  }
};

/** @type {Check} */
const phaseSeconds = (value) => {
  const phases = ["advertise", "share_keys", "masked_input", "consistency", "unmask"];
  ensure(sameNames(value, phases), "deadlines must name every phase");
  for (const phase of phases) int(1, WEEK)(value[phase], phase, null);
};

/** @param {any} value @param {string[]} names */
const sameNames = (value, names) =>
  typeof value === "object" && value !== null && Object.keys(value).length === names.length && names.every((name) => Object.hasOwn(value, name));

// --- the tables -----------------------------------------------------------------------------------------------------

const HASH = bytes(32);
const KEY = bytes(32);
const ID = bytes(16);
const ROUND = int(1, 2 ** 31);
const PATH = list(bytes(32), 40);
const SEALED = rows(position, bytes(2 * SECRET_BYTES + 16));
const [least, smallest] = [(/** @type {any} */ h) => (h.development ? 2 : 20), (/** @type {any} */ h) => (h.development ? 2 : 100)];

/** Fields in the order in which they are checked. @type {{[kind: string]: {[field: string]: Check}}} */
const TABLES = {
  header: {
    job: ID, round: ROUND, manifest_hash: HASH, checkpoint_hash: HASH, log_root: HASH, distributor_key: usableKey, log_size: int(1, LATEST),
    d: int(1, WORDS), ring_bits: oneOf(16, 32), q: int(2, (h) => h.ring_bits), f: int(0, 30), clip_micro: int(1, 1e12), noise_micro: int(0, 1e12),
    rotation_seed: (value, name) => value instanceof Uint8Array && value.length === 0 || bytes(32)(value, name, null),
    development: flag,
    bucket_min: (value, name, h) => int(least(h), MEMBERS)(value, name, h),
    release_min: (value, name, h) => int(Math.max(smallest(h), h.bucket_min), MEMBERS)(value, name, h),
    bucket_size: (value, name, h) => int(h.bucket_min, MEMBERS)(value, name, h),
    threshold_ppm: int(MILLION / 2 + 1, MILLION),
    graph: oneOf("complete", "circulant"), k: checkGraph, deadlines: phaseSeconds,
  },
  enrolment: {subscription_key: KEY, job: ID, collective: ID, manifest_hash: HASH, job_key: usableKey, expires: int(0, LATEST)},
  "presence-receipt": {
    subscription_key: KEY, job: ID, round: ROUND, collective: ID, requirement_hash: HASH, data_commitment: HASH, header_hash: HASH, job_key: KEY,
    ticket: bytes(16),
  },
  "payout-opening": {subscription_key: KEY, address: bytes(20), salt: HASH, agreement_hash: HASH},
  appeal: {subscription_key: KEY, collective: ID, text: blob(4 * 1000), created: int(0, LATEST)},
  advertise: {header: HASH, sender: KEY, public_key: KEY},
  "advertise-list": {
    header: HASH, randomness: HASH, root: HASH, signature: bytes(64), buckets: int(1, MEMBERS), bucket: int(0, (m) => m.buckets - 1),
    members, path: PATH, evidence: rows(position, bytes(64), PATH),
  },
  "share-keys": {header: HASH, sender: KEY, lists_root: HASH, commitment: HASH, escrow: blob(SECRET_BYTES * LARGEST_COMPLETE + 16), shares: SEALED},
  "share-bundle": {header: HASH, bucket: int(0, MEMBERS), joined: ascending, shares: SEALED},
  "masked-input": {header: HASH, sender: KEY, y: blob(4 * (WORDS + 2))},
  survivors: {
    header: HASH, lists_root: HASH, root: HASH, signature: bytes(64), buckets: int(1, MEMBERS), bucket: int(0, (m) => m.buckets - 1),
    positions: ascending, total: (value, name, m) => int(m.positions.length, MEMBERS)(value, name, m), path: PATH,
  },
  consistency: {header: HASH, sender: KEY, survivors: HASH},
  "consistency-set": {header: HASH, bucket: int(0, MEMBERS), survivors: HASH, agreements: rows(position, bytes(64))},
  unmask: {header: HASH, sender: KEY, survivors: HASH, shares: rows(position, oneOf("self", "escrow"), bytes(SECRET_BYTES))},
};

/** Kinds that carry the sender's signature, and its label. @type {{[kind: string]: string}} */
const LABELS = {
  enrolment: "cssi/v1/enrolment", "presence-receipt": "cssi/v1/receipt", "payout-opening": "cssi/v1/payout-opening", appeal: "cssi/v1/appeal",
  advertise: "cssi/v1/advertise", "share-keys": "cssi/v1/share-keys", "masked-input": "cssi/v1/masked-input",
  consistency: "cssi/v1/consistency", unmask: "cssi/v1/unmask",
};
for (const kind of Object.keys(LABELS)) TABLES[kind].signature = bytes(64);

/** @param {string} kind @param {any} values */
function check(kind, values) {
  ensure(sameNames(values, Object.keys(TABLES[kind])), `these are not the fields of ${kind}`);
  for (const [name, fits] of Object.entries(TABLES[kind])) fits(values[name], name, values);
}

/** A received message; throws RemoteProtocolError. @param {string} kind @param {Uint8Array} data @returns {Message} */
export function read(kind, data) {
  try {
    const {t, v, ...values} = cbor.decode(data) ?? {};
    ensure(t === kind && v === 1, `this is not ${kind} in version 1`);
    check(kind, values);
    return Object.freeze(values);
  } catch (error) {
    throw named(error, RemoteProtocolError);
  }
}

/** The bytes of a message; throws LocalProtocolError. @param {string} kind @param {Message} fields */
export function write(kind, fields) {
  try {
    check(kind, fields);
    return cbor.encode({t: kind, v: 1, ...fields});
  } catch (error) {
    throw named(error, LocalProtocolError);
  }
}

/**
 * @param {unknown} error
 * @param {typeof RemoteProtocolError | typeof LocalProtocolError} Kind the side at fault
 */
function named(error, Kind) {
  if (error instanceof Invalid) return new Kind(/** @type {any} */ (error.fault), error.message);
  if (error instanceof CodecError) return new Kind("malformed", error.message);
  return error;
}

// --- signatures -----------------------------------------------------------------------------------------------------

/** What the signature of a message covers. @param {string} kind @param {Message} fields */
async function signedBody(kind, {signature: _, ...body}) {
  return kind === "masked-input" ? {...body, y: await sha256(body.y)} : body;
}

/**
 * The bytes of a message signed by a 32-byte seed. The subscription's statements carry its public key, which is filled in.
 * @param {string} kind @param {Uint8Array} seed @param {Message} fields
 */
export async function signed(kind, seed, fields) {
  const body = "subscription_key" in TABLES[kind] ? {subscription_key: await publicKey(seed), ...fields} : fields;
  const signature = await sign(seed, LABELS[kind], await signedBody(kind, body));
  return write(kind, {...body, signature});
}

/**
 * Throws RemoteProtocolError when the signature is not the key's.
 * @param {string} kind @param {Uint8Array} key @param {Message} message
 */
export async function verifySigned(kind, key, message) {
  await checkSignature(key, LABELS[kind], await signedBody(kind, message), message.signature);
}

/** @param {Uint8Array} key @param {string} label @param {cbor.Value} body @param {Uint8Array} signature */
async function checkSignature(key, label, body, signature) {
  try {
    await verify(key, label, body, signature);
  } catch (error) {
    if (error instanceof BadKey || error instanceof BadSignature) throw new RemoteProtocolError(/** @type {any} */ (error.code), error.message);
    throw error;
  }
}

/**
 * The leaf of a job's enrolment log. It names no subscription.
 * @param {{job: Uint8Array, job_key: Uint8Array, expires: number}} member
 */
export const logLeaf = ({job, job_key, expires}) => cbor.encode({job, job_key, expires});

/**
 * The distributor signed a set of lists, and this is one of them; throws RemoteProtocolError.
 * @param {Message} m @param {Uint8Array} distributor
 */
export async function verifyList(m, distributor) {
  const body = {header: m.header, buckets: m.buckets, randomness: m.randomness, root: m.root};
  await checkSignature(distributor, "cssi/v1/lists", body, m.signature);
  await checkPath(await sha256(cbor.encode({bucket: m.bucket, members: m.members})), m);
}

/** @param {Message} m of kind survivors */
const survivorsBody = (m) => ({header: m.header, lists: m.lists_root, buckets: m.buckets, root: m.root, total: m.total});

/** What a wallet signs when it agrees: SHA-256 of the bytes the distributor signed. @param {Message} m */
export const survivorsDigest = (m) => sha256(signedBytes("cssi/v1/survivors", survivorsBody(m)));

/** The distributor signed these survivors; throws RemoteProtocolError. @param {Message} m @param {Uint8Array} distributor */
export async function verifySurvivors(m, distributor) {
  await checkSignature(distributor, "cssi/v1/survivors", survivorsBody(m), m.signature);
  await checkPath(await sha256(cbor.encode({bucket: m.bucket, positions: m.positions})), m);
}

/** @param {Uint8Array} leaf @param {Message} m with bucket, buckets, path and root */
async function checkPath(leaf, {bucket, buckets, path, root}) {
  try {
    await verifyInclusion(leaf, bucket, buckets, path, root);
  } catch (error) {
    if (error instanceof BadProof) throw new RemoteProtocolError("wrong_list", error.message);
    throw error;
  }
}

// --- the header's arithmetic ----------------------------------------------------------------------------------------

/** The round id: the salt of every key. @param {Message} header */
export const headerHash = (header) => sha256(utf8("cssi/v1/header\0"), write("header", header));

/** d′: the length of an update, d or the next power of two when coordinates are rotated. @param {Message} h */
export const paddedD = (h) => (h.rotation_seed.length ? 2 ** bitLength(h.d - 1) : h.d);

/** d′ coordinates, count, checksum. @param {Message} header */
export const wordCount = (header) => paddedD(header) + 2;

/** No drawn bucket exceeds this. @param {Message} h */
export const largestBucket = (h) => Math.max(h.bucket_size, 2 * Math.min(h.bucket_size, Math.ceil((h.bucket_min * 10) / 9)) - 1);

/** Neighbours of each wallet in a bucket of so many members. @param {Message} h @param {number} size */
export const degree = (h, size) => (h.graph === "complete" || h.k >= size - 1 ? size - 1 : h.k);

/** t: the shares that rebuild a secret. @param {Message} h @param {number} size */
export const threshold = (h, size) => Math.min(degree(h, size), Math.ceil(((degree(h, size) + 1) * h.threshold_ppm) / MILLION));

/**
 * Positions adjacent to this one, ascending: complete, or circulant with k/2 before and after.
 * @param {Message} h @param {number} size @param {number} own
 */
export function neighbours(h, size, own) {
  const reach = degree(h, size) === size - 1 ? size : h.k / 2;
  const apart = (/** @type {number} */ other) => Math.min((other - own + size) % size, (own - other + size) % size);
  return Array.from({length: size}, (_, i) => i).filter((other) => other !== own && apart(other) <= reach);
}

/** @param {number} n */
const bitLength = (n) => (n > 0 ? n.toString(2).length : 0);

/** @param {any} k @param {string} name @param {Message} h */
function checkGraph(k, name, h) {
  const largest = largestBucket(h);
  if (h.graph === "complete") {
    int(0, 0)(k, name, h);
    ensure(largest <= LARGEST_COMPLETE, `a complete graph cannot have buckets of ${largest}; use circulant`);
  } else {
    int(2, LARGEST_COMPLETE - 2)(k, name, h);
    ensure(k % 2 === 0, "a circulant graph has an even k");
  }
  ensure(h.q + bitLength(largest - 1) <= h.ring_bits, "the sum of a bucket does not fit into the ring; lower q or the bucket size");
}
