// The signed documents around a subscription and a job. Python twins: collectives/terms/envelope.py, description.py, permit.py.
// Parsing is strict: exactly these names, these types, these bounds. Amounts come out as BigInt; everything else as it stood.

import {fromHex, hex} from "./bytes.js";
import * as cbor from "./cbor.js";
import {publicKey, sign, verify} from "./crypto.js";
import {TermsError, WireError} from "./errors.js";
import {digest, exactly, flag, hexBytes, integer, money, oneOf, text} from "./json.js";
import {manifestHash} from "./manifest.js";
import {checkProfile, requirementHash} from "./requirement.js";

const KIND = /^[a-z][a-z-]{1,30}$/, UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;
const TIERS = [1n, 2n, 5n, 10n, 20n, 50n, 100n].map((tier) => tier * 10n ** 15n);
const TOKEN = 10n ** 18n, YEAR = 365 * 24 * 3600;

const malformed = (sentence) => new TermsError("malformed", sentence);
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);

// --- envelopes --------------------------------------------------------------------------------------------------

/** @param {string} kind @param {any} document @param {Uint8Array} seed */
export async function signEnvelope(kind, document, seed) {
  const signature = await sign(seed, `cssi/v1/${kind}`, {hash: await digest(document)});
  return {kind, document, key: hex(await publicKey(seed)), signature: hex(signature)};
}

/** The document of an envelope once kind, key and signature are right. Throws TermsError. @returns {Promise<any>} */
export async function openEnvelope(envelope, kind, key = null) {
  exactly(envelope, ["kind", "document", "key", "signature"], "A signed document");
  if (typeof envelope.kind !== "string" || !KIND.test(envelope.kind)) throw malformed("The envelope's kind is not a word.");
  if (!isObject(envelope.document)) throw malformed("The signed document must be a JSON object.");
  hexBytes(envelope, "key", 32);
  hexBytes(envelope, "signature", 64);
  if (envelope.kind !== kind) throw new TermsError("wrong_kind", `This is a signed ${envelope.kind}, not a ${kind}.`);
  if (key !== null && envelope.key !== key) throw new TermsError("wrong_key", `This ${kind} is signed by another key than the expected one.`);
  try {
    await verify(fromHex(envelope.key), `cssi/v1/${kind}`, {hash: await digest(envelope.document)}, fromHex(envelope.signature));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new TermsError("bad_signature", `The signature of this ${kind} does not hold.`);
  }
  return envelope.document;
}

// --- documents --------------------------------------------------------------------------------------------------

const uuid = (m, name) => {
  if (typeof m[name] !== "string" || !UUID.test(m[name])) throw malformed(`${name} must be a UUID in lower case.`);
  return m[name];
};
const hash32 = (m, name) => hexBytes(m, name, 32);
const words = (m, name) => text(m, name, 0, 4000);
const whole = (m, name) => integer(m, name);
const silence = (m, name) => oneOf(m, name, ["without", "with"]);
const any = (m, name) => m[name];
const mapping = (m, name) => {
  if (!isObject(m[name])) throw malformed(`${name} must be a JSON object.`);
  return m[name];
};
const hashes = (m, name) => {
  const value = m[name], good = Array.isArray(value) && value.length <= 64 && new Set(value.map(String)).size === value.length;
  if (!good) throw malformed(`${name} must be a list of at most 64 different hashes.`);
  return value.map((item) => hexBytes({[name]: item}, name, 32));
};
/** Text a person reads before agreeing: nothing in it may be invisible or turn the writing round. */
const shown = (least, most, lines = false) => (m, name) => {
  const hidden = text(m, name, least, most).match(UNSEEN) ?? [], allowed = `\u200c\u200d${lines ? "\n\r\t" : ""}`;
  if (hidden.some((sign) => !allowed.includes(sign))) throw new TermsError("invisible", `${name} holds characters that cannot be seen.`);
  return m[name];
};

const PERMIT = {
  collective_id: uuid, collective_key: hash32, name: words, terms_hash: hash32, requirement_hash: hash32, subscription_key: hash32,
  agreement_hash: hash32, manifests: hashes, algorithm_class: any, notice_seconds: whole, silence, rate: money, bucket_min: whole,
  release_min: whole, issued: whole, expires: whole,
};
const NOTICE = {
  collective_id: uuid, notice_ref: words, subject: words, reason: words, manifest: mapping, manifest_hash: hash32, announced: whole,
  effective: whole, silence,
};
const JOB = {
  collective_id: uuid, job_id: uuid, manifest: mapping, manifest_hash: hash32, rate: money, token: words, max_rounds: whole, cohort: whole,
  bucket_min: whole, release_min: whole, cohort_commitment: hash32, distributor_key: hash32, aggregator_key: hash32, enrol_until: whole,
  expires: whole,
};

/** @returns {Record<string, any>} */
function parse(document, readers, what) {
  exactly(document, ["version", ...Object.keys(readers)], what);
  if (document.version !== 1) throw malformed(`This program knows version 1 of ${what}.`);
  return Object.fromEntries(Object.entries(readers).map(([name, reader]) => [name, reader(document, name)]));
}

async function withManifest(document, readers, what) {
  const found = parse(document, readers, what);
  if (await manifestHash(found.manifest) !== found.manifest_hash) throw malformed("manifest_hash is not the hash of the manifest.");
  return found;
}

/** @param {any} document */
export const parsePermit = (document) => parse(document, PERMIT, "A permit");
/** @param {any} document */
export const parseNotice = (document) => withManifest(document, NOTICE, "A notice");
/** @param {any} document */
export const parseJob = (document) => withManifest(document, JOB, "A job");

/** The permit of a stored record, or null. @param {any} record @returns {any} */
export const permitOf = (record) => (record === null ? null : parsePermit(record.permit.document));

const TASK = {collective: 16, job: 16, manifest: 32, requirement: 32, checkpoint: 32};

/** The task in a signed CBOR body. Throws TermsError, or WireError when the collective did not sign it. @param {Uint8Array} body */
export async function openTask(body, signature, collectiveKey) {
  const task = parseTask(body);
  await verify(collectiveKey, "cssi/v1/task", cbor.decode(body), signature);
  return task;
}

/** @param {Uint8Array} body */
export function parseTask(body) {
  let m;
  try {
    m = cbor.decode(body);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw malformed("The task is not in the form of a task.");
  }
  exactly(m, ["v", ...Object.keys(TASK), "round", "header", "rate", "expires"], "A task");
  const good = Object.entries(TASK).every(([name, size]) => m[name] instanceof Uint8Array && m[name].length === size);
  if (!good || m.v !== 1 || !(m.header instanceof Uint8Array)) throw malformed("The task is not in the form of a task.");
  return {...m, round: integer(m, "round", 1), rate: money(m, "rate"), expires: integer(m, "expires")};
}

// --- terms ------------------------------------------------------------------------------------------------------

const TERMS = {
  collective_id: uuid, name: shown(1, 120), collective_key: hash32, terms_version: (m, n) => integer(m, n, 1), purpose: shown(1, 500, true),
  not_for: shown(0, 500, true), task_description: shown(1, 10_000, true), requirement: any, requirement_hash: any,
  assurance: (m, n) => oneOf(m, n, ["declared", "attested"]), permitted_manifests: hashes, algorithm_class: algorithmClass, rate: money,
  token: (m, n) => text(m, n, 1, 20), notice_seconds: (m, n) => integer(m, n, 0, YEAR), silence, bucket_min: (m, n) => integer(m, n, 2, 255),
  release_min: (m, n) => integer(m, n, 2, 1e9), privacy_level: (m, n) => oneOf(m, n, ["aggregate", "formal"]),
  order_policy: (m, n) => oneOf(m, n, ["owner", "approval", "open"]), agreement, valid_seconds: (m, n) => integer(m, n, 3600, 10 * YEAR),
  development: flag, created: whole,
};

/** Fields that came later: older documents are without them. */
const LATER = {sandbox: (m, n) => oneOf(m, n, ["any", "full"]), algorithms};

function algorithms(m, name) {
  if (!Array.isArray(m[name]) || m[name].length < 1 || m[name].length > 64) throw malformed("algorithms must list 1 to 64 algorithms.");
  for (const item of m[name]) {
    exactly(item, ["manifest_hash", "name", "purpose"], "An algorithm of the terms");
    hash32(item, "manifest_hash");
    shown(1, 120)(item, "name");
    shown(1, 500, true)(item, "purpose");
  }
  return m[name];
}

const KINDS = ["gradient", "delta", "elm-statistics", "evaluation", "mean", "histogram", "covariance"];

function algorithmClass(m, name) {
  if (m[name] === null) return null;
  const there = ["inputs", "target", "outputs"].filter((list) => isObject(m[name]) && list in m[name]);
  exactly(m[name], ["purpose", "max_parameters", ...there], "The class of algorithms");
  shown(1, 500, true)(m[name], "purpose");
  integer(m[name], "max_parameters", 1, 2_000_000);
  for (const list of there) {
    const names = m[name][list];
    const good = Array.isArray(names) && names.length >= 1 && names.length <= 200 && new Set(names).size === names.length
      && names.every((item) => typeof item === "string" && item.length > 0 && item.length <= 120);
    if (!good) throw malformed(`${list} of the class must list 1 to 200 different names.`);
  }
  if (!(m[name].outputs || []).every((/** @type {string} */ kind) => KINDS.includes(kind))) throw malformed("outputs of the class are kinds of output.");
  return m[name];
}

function agreement(m, name) {
  exactly(m[name], ["chain_id", "registry"], "The agreement's place");
  integer(m[name], "chain_id", 1);
  if (!/^0x[0-9a-fA-F]{40}$/.test(m[name].registry)) throw malformed("registry must be a 20-byte address in hex with 0x.");
  return m[name];
}

/** The four elements of a collective; `document` is what was signed. Throws TermsError. @param {any} document */
export async function parseTerms(document) {
  const later = Object.entries(LATER).filter(([name]) => isObject(document) && Object.hasOwn(document, name));
  const readers = {...TERMS, ...Object.fromEntries(later)};
  const terms = /** @type {Record<string, any>} */ ({sandbox: "any", algorithms: [], ...parse(document, readers, "Terms"), document});
  checkProfile(terms.requirement);
  if (terms.requirement_hash !== await requirementHash(terms.requirement)) throw malformed("requirement_hash is not the hash of the requirement.");
  if (!TIERS.includes(terms.rate)) throw new TermsError("rate_not_in_tier", "The rate is none of the shared ones.");
  const listed = terms.algorithms.map((/** @type {any} */ found) => found.manifest_hash);
  if (listed.length && listed.join() !== terms.permitted_manifests.join()) throw malformed("algorithms must name exactly the permitted manifests.");
  const low = !terms.development && (terms.bucket_min < 20 || terms.release_min < 100);
  if (terms.release_min < terms.bucket_min || low) throw new TermsError("minima_too_low", "A sum must come from more wallets.");
  return terms;
}

/** @param {any} terms parsed @returns {Promise<string>} */
export const termsHash = async (terms) => hex(await digest(terms.document));

/** Base units in tokens, exact. @param {bigint} amount */
export const tokens = (amount) => `${amount / TOKEN}.${String(amount % TOKEN).padStart(18, "0")}`.replace(/\.?0+$/, "");

/** A period in the largest unit that fits: "14 days". @param {number} seconds */
export function duration(seconds) {
  for (const [size, unit] of /** @type {[number, string][]} */ ([[86_400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]])) {
    if (seconds >= size && seconds % size === 0) return `${seconds / size} ${unit}${seconds === size ? "" : "s"}`;
  }
  return "0 seconds";
}

/** What a holder agrees to with the class of algorithms. @param {any} agreed @returns {string[]} */
function classWords(agreed) {
  if (agreed === null) return [];
  const grouped = String(agreed.max_parameters).replace(/\B(?=(\d{3})+$)/g, ",");
  const only = [["inputs", "read"], ["target", "predict"], ["outputs", "send back"]]
    .filter(([name]) => agreed[name]).map(([name, verb]) => `${verb} only ${agreed[name].join(", ")}`);
  const limits = [`have at most ${grouped} parameters`, ...only].join(", ");
  return [`New algorithms must be of this class: ${agreed.purpose.replace(/\.+$/, "")}. They ${limits}. Your wallet refuses any other.`];
}

/** The consent text in short sentences, from the signed document; the same words as the Python agent's. @param {any} terms @returns {string[]} */
export function wordsForAgreement(terms) {
  const fields = Object.entries(terms.requirement.properties).map(([name, spec]) => spec.title || name);
  const more = fields.length > 8 ? ` and ${fields.length - 8} more` : "";
  const agreed = terms.algorithms.map((/** @type {any} */ found) => `“${found.name}”`).join(", ");
  return [
    `${terms.name} asks to train a model with your wallet.`,
    `Purpose: ${terms.purpose}${terms.not_for ? ` Not for: ${terms.not_for}` : ""}`,
    `Your wallet would read: ${fields.slice(0, 8).join(", ")}${more}.`,
    "It computes on your device. Only a masked number list leaves it.",
    `Nobody can read your list alone. The aggregator reads sums of at least ${terms.bucket_min} wallets; `
      + `the buyer gets a model made of sums of at least ${terms.release_min}.`,
    `You earn ${tokens(terms.rate)} ${terms.token} for each visit, also if the algorithm fails.`,
    ...(agreed ? [`By subscribing you agree to ${agreed}, without another notice.`] : []),
    ...classWords(terms.algorithm_class),
    `New algorithms are announced ${duration(terms.notice_seconds)} ahead. You can refuse each one. `
      + `If you stay silent, you continue ${terms.silence} it.`,
    "You can stop at any time. In your wallet it takes effect at once; on the web we stop asking at once and your "
      + "wallet deletes its permit at the next contact.",
    "Results already added to a model cannot be taken out again.",
    ...(terms.sandbox === "full" ? ["Only wallets that wall algorithms in with every layer may take part."] : []),
    terms.privacy_level === "aggregate" ? "Noise is added to every sum. No formal privacy budget is claimed."
      : "Noise is added to every sum, so much that a year of visits tells at most ε = 3 about you (δ = 10⁻⁶), also to the "
        + "aggregator. Your wallet keeps count and refuses a visit beyond it.",
    ...(terms.development ? ["Development terms: the usual minimum group sizes are lowered."] : []),
  ];
}
