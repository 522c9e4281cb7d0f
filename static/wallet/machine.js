// The holder's decisions, sans-IO: documents and the clock come in, a decision comes out. Python twin: wallets/agent/machine.py (with
// messages.py and limits.py); tests/vectors/decisions.json holds both to the same answers.
//
// The machine has no state: the caller looks the permit up in the store for every input and keeps the returned memory before an answer
// leaves. Events are {kind, …} with the fields of messages.py; decisions likewise. It is asynchronous only because WebCrypto is.

import {equal, fromHex, hex, utf8} from "./bytes.js";
import {sha256, verify} from "./crypto.js";
import {ProtocolError, TermsError, WireError} from "./errors.js";
import {costOf} from "./ledger.js";
import {outputLength, parameterCount, parseManifest} from "./manifest.js";
import {verifyInclusion} from "./merkle.js";
import {read} from "./messages.js";
import {REFUSALS} from "./refusals.js";
import {openEnvelope, openTask, parseJob, parseNotice, parseTerms} from "./terms.js";

export const DAY_SECONDS = 86_400;
const ROUNDING_PER_MILLE = 998n; // shares are rounded to micro-units

/** The holder's own limits, on top of every permit. */
export const POLICY = Object.freeze({
  visits_per_day: 100, bucket_min: 20, release_min: 100, allow_development: false, notices_kept: 64, jobs_kept: 64,
  largest_update: 2 ** 24,
});
export const NO_LIMITS = Object.freeze({visits_per_day: 0, visits_total: 0, privacy_micro: 0, bucket_min: 0, release_min: 0});
const EMPTY = {notices: [], jobs: [], visits: [], paused: false, limits: NO_LIMITS, visited: 0, spent_micro: 0};

/** What is remembered of one collective, from the store. @param {any} record @returns {typeof EMPTY} */
export const memoryOf = (record) => ({ ...EMPTY, ...record, limits: {...NO_LIMITS, ...record?.limits} });

/** 16 bytes as the usual text. @param {Uint8Array} raw */
export const uuidText = (raw) => hex(raw).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
/** @param {string} text */
export const uuidBytes = (text) => fromHex(text.replaceAll("-", ""), 16);

/** Carries the first refusal out of a chain of checks. */
class No extends Error {
  constructor(refusal, detail = "") {
    super(refusal);
    this.decision = { kind: "Refused", refusal, detail, sentence: `${REFUSALS[refusal]} ${detail}`.trim() };
  }
}

const ensure = (good, refusal, detail = "") => { if (!good) throw new No(refusal, detail); };

/** The decision on one input; never throws on what a server sent. @param {any} event @param {Partial<typeof POLICY>} [policy] @returns {Promise<any>} */
export async function decide(event, policy = POLICY) {
  try {
    return await HANDLERS[event.kind](event, {...POLICY, ...policy});
  } catch (error) {
    if (error instanceof No) return error.decision;
    throw error;
  }
}

const HANDLERS = {
  OfferArrived: offer,
  NoticeArrived: notice,
  NoticeAnswered: choice,
  JobArrived: job,
  LogFrozen: placed,
  TaskArrived: accept,
  PayloadArrived: payload,
  AboutToLeave: leave,
};

async function offer(event, policy) {
  ensure(event.permit === null, "already_subscribed");
  const terms = await named(async () => parseTerms(await opened(event.envelope, "terms", null)));
  const genuine = event.envelope.key === terms.collective_key && terms.collective_id === event.collective_id;
  ensure(genuine, "wrong_terms");
  ensure(!terms.development || policy.allow_development, "development_terms");
  const low = terms.bucket_min < policy.bucket_min || terms.release_min < policy.release_min;
  ensure(terms.development || !low, "minima_too_low");
  return {kind: "AskHolder", terms};
}

async function notice({envelope, permit, memory, now}, policy) {
  live(permit, now);
  const found = await named(async () => parseNotice(await opened(envelope, "notice", permit.collective_key)));
  ensure(found.collective_id === permit.collective_id, "wrong_collective");
  const known = memory.notices.find((seen) => seen.notice_ref === found.notice_ref);
  if (known) return {kind: "NoticeKept", memory, seen: known, repeated: true};
  ensure(found.effective - found.announced >= permit.notice_seconds, "notice_too_short");
  insideClass(found, permit);
  ensure(memory.notices.length < policy.notices_kept, "too_many");
  const seen = {
    notice_ref: found.notice_ref, subject: found.subject, manifest_hash: found.manifest_hash, reason: found.reason, first_seen: now,
    effective: found.effective, silence: permit.silence, choice: "",
  };
  return { kind: "NoticeKept", memory: {...memory, notices: [...memory.notices, seen]}, seen, repeated: false };
}

async function choice({notice_ref: reference, choice: chosen, memory}) {
  ensure(memory.notices.some((seen) => seen.notice_ref === reference), "unannounced_algorithm");
  const notices = memory.notices.map((seen) => (seen.notice_ref === reference ? {...seen, choice: chosen} : seen));
  return { kind: "ChoiceKept", memory: {...memory, notices}, leave: chosen === "leave" };
}

async function job({envelope, permit, memory, now}, policy) {
  live(permit, now);
  const found = await named(async () => parseJob(await opened(envelope, "job", permit.collective_key)));
  ensure(found.collective_id === permit.collective_id, "wrong_collective");
  ensure(!memory.paused, "paused");
  ensure(found.expires > now && found.enrol_until >= now, "job_expired");
  ensure(found.rate === permit.rate, "rate_too_low");
  agreedMinima(permit, found);
  const from = allowedFrom(permit, memory, found.manifest_hash);
  if (from > now) {
    ensure(from <= found.enrol_until, "notice_running");
    return {kind: "EnrolLater", at: from};
  }
  const known = jobOf(memory, found.job_id) ?? knownJob(found);
  const kept = memory.jobs.filter((old) => old.job_id !== found.job_id && old.expires > now);
  ensure(kept.length < policy.jobs_kept, "too_many");
  return { kind: "Enrol", memory: {...memory, jobs: [...kept, known]}, job: known };
}

async function placed({job_id: id, leaf, index, size, root, proof, signature, memory}) {
  const known = jobOf(memory, id);
  ensure(known, "unknown_job");
  // A log freezes once: a second root would put us into a cohort drawn from another list.
  ensure(!known.log_root || known.log_root === hex(root), "not_in_log");
  try {
    await verify(fromHex(known.distributor_key), "cssi/v1/log", {job: uuidBytes(id), root, size}, signature);
    await verifyInclusion(leaf, index, size, proof, root);
  } catch (error) {
    if (error instanceof WireError) throw new No("not_in_log");
    throw error;
  }
  return { kind: "Placed", memory: withJob(memory, {...known, log_root: hex(root), log_size: size, log_index: index}) };
}

/** In the order of the design ("One round", step 3); the first "no" ends it. */
async function accept(event, policy) {
  const {permit, memory, now} = event;
  live(permit, now);
  const task = await named(() => openTask(event.body, event.signature, fromHex(permit.collective_key)));
  ensure(uuidText(task.collective) === permit.collective_id, "wrong_collective");
  const known = jobOf(memory, uuidText(task.job));
  ensure(known, "unknown_job");
  const header = await named(async () => read("header", task.header));
  ensure(hex(task.requirement) === permit.requirement_hash, "wrong_requirement");
  ensure(hex(task.manifest) === known.manifest_hash, "wrong_manifest");
  ensure(task.rate === permit.rate, "rate_too_low");
  await fittingHeader(header, task, permit, known, policy);
  ensure(allowedFrom(permit, memory, hex(task.manifest)) <= now, "notice_running");
  ensure(task.expires > now, "task_expired");
  ensure(known.expires > now, "job_expired");
  ensure(task.round > known.last_round, "replayed_round");
  ensure(task.round <= known.max_rounds, "too_many_rounds");
  ensure(event.sandbox_fits ?? true, "sandbox_too_low");
  ensure(!memory.paused, "paused");
  const recent = memory.visits.filter((at) => at > now - DAY_SECONDS);
  ensure(recent.length < Math.min(memory.limits.visits_per_day || policy.visits_per_day, policy.visits_per_day), "daily_limit");
  const cost = privacyCost(header);
  ownBudget(memory, header, cost);
  ensure(event.missing.length === 0, "data_missing", event.missing.slice(0, 3).join("; "));
  const used = {...known, last_round: task.round};
  return {
    kind: "Accept",
    memory: {
      ...withJob(memory, used), visits: [...recent, now], visited: memory.visited + 1, spent_micro: memory.spent_micro + cost,
    },
    visit: {
      collective_id: permit.collective_id, collective_key: permit.collective_key, agreement_hash: permit.agreement_hash, job: used, task, header,
    },
  };
}

async function payload(event) {
  leave(event);
  const {task} = event.visit;
  ensure(equal(event.manifest_hash, task.manifest) && equal(event.checkpoint_hash, task.checkpoint), "wrong_payload");
  ensure(event.weights_in_range, "weights_out_of_range");
  ensure(!event.trap, "trap_weights");
  ensure(event.missing.length === 0, "data_missing", event.missing.slice(0, 3).join("; "));
  return {kind: "Go"};
}

/** Asked at accept, at start and just before anything leaves. */
function leave({visit, permit, now}) {
  live(permit, now);
  const same = permit.agreement_hash === visit.agreement_hash && permit.collective_key === visit.collective_key;
  ensure(same, "permit_changed");
  return {kind: "Go"};
}

/** The one seed a round may turn updates by: nobody picks it. Twin: aggregation/privacy/rotation.py. @param {any} header */
function rotationSeed({job, round, checkpoint_hash: checkpoint}) {
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, round);
  return sha256(utf8("cssi/v1/rotation-seed"), job, number, checkpoint);
}

/** The header every mask key derives from must say what the signed task says, and no less than the permit. */
async function fittingHeader(header, task, permit, known, policy) {
  const fits = equal(header.job, task.job) && header.round === task.round && equal(header.manifest_hash, task.manifest)
    && equal(header.checkpoint_hash, task.checkpoint) && hex(header.distributor_key) === known.distributor_key
    && known.log_root !== "" && hex(header.log_root) === known.log_root && header.log_size === known.log_size;
  ensure(fits, "header_mismatch");
  ensure(header.rotation_seed.length === 0 || equal(header.rotation_seed, await rotationSeed(header)), "unsupported");
  ensure(header.d <= policy.largest_update, "model_too_large");
  agreedMinima(permit, header);
  // σ of the smallest allowed bucket sum is √bucket_min × share, at least a tenth of the clip bound; squared, and in integers.
  const [noise, least, clip] = [header.noise_micro, header.bucket_min, header.clip_micro].map(BigInt);
  ensure(100n * noise * noise * least * 1000n >= clip * clip * ROUNDING_PER_MILLE, "noise_too_low");
}

const agreedMinima = (permit, {bucket_min: bucket, release_min: release}) =>
  ensure(bucket >= permit.bucket_min && release >= permit.release_min, "minima_too_low");

/** What one visit costs at most, in millionths of ρ, towards whoever reads a bucket's sum: the ledger's own number. @param {any} header */
export const privacyCost = (header) => costOf(header).operator;

/** What the holder set for this collective: smallest groups, visits in all, privacy in all. */
function ownBudget({limits, visited, spent_micro: spent}, header, cost) {
  ensure(header.bucket_min >= limits.bucket_min && header.release_min >= limits.release_min, "minima_too_low");
  ensure(!limits.visits_total || visited < limits.visits_total, "total_limit");
  ensure(!limits.privacy_micro || spent + cost <= limits.privacy_micro, "privacy_budget");
}

/** At once when the manifest was in the signed permit, else once its notice period has passed on our clock since we first saw it. */
function allowedFrom(permit, memory, manifestHash) {
  if (permit.manifests.includes(manifestHash)) return 0;
  const seen = memory.notices.find((one) => one.manifest_hash === manifestHash);
  ensure(seen, "unannounced_algorithm");
  ensure((seen.choice || permit.silence) === "with", "opted_out");
  return Math.max(seen.effective, seen.first_seen + permit.notice_seconds);
}

function insideClass(found, permit) {
  let manifest;
  try {
    manifest = parseManifest(found.manifest);
  } catch (error) {
    if (error instanceof TermsError) throw new No("malformed");
    throw error;
  }
  const agreed = permit.algorithm_class;
  const size = Math.max(parameterCount(manifest), outputLength(manifest));
  const only = (/** @type {string} */ name, /** @type {string[]} */ used) => !agreed[name] || used.every((/** @type {string} */ one) => agreed[name].includes(one));
  const within = agreed === null || (size <= agreed.max_parameters && only("inputs", manifest.inputs)
    && only("target", manifest.target || []) && only("outputs", [manifest.kind]));
  ensure(within, "outside_class");
}

function live(permit, now) {
  ensure(permit !== null, "no_permit");
  ensure(permit.expires > now, "permit_expired");
}

const jobOf = (memory, id) => memory.jobs.find((one) => one.job_id === id);
const withJob = (memory, changed) => ({...memory, jobs: memory.jobs.map((old) => (old.job_id === changed.job_id ? changed : old))});
const knownJob = ({job_id, manifest_hash, max_rounds, cohort, bucket_min, release_min, distributor_key, aggregator_key, expires}) => ({
  job_id, manifest_hash, max_rounds, cohort, bucket_min, release_min, distributor_key, aggregator_key, expires, last_round: 0, log_root: "",
  log_size: 0, log_index: 0,
});

/** The verified document of an envelope; a signature or key at fault is told apart from a bad form. */
async function opened(envelope, kind, key) {
  try {
    return await openEnvelope(envelope, kind, key);
  } catch (error) {
    if (error instanceof TermsError) throw new No(/sig|key/.test(error.code) ? "bad_signature" : "malformed");
    throw error;
  }
}

async function named(work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TermsError || error instanceof ProtocolError) throw new No("malformed");
    if (error instanceof WireError) throw new No("bad_signature");
    throw error;
  }
}
