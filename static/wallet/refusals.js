// Every reason this wallet says no: one code and one sentence for the holder's journal. Python twin: wallets/agent/refusals.py.

/** @type {Readonly<Record<string, string>>} code → sentence */
export const REFUSALS = Object.freeze({
  malformed: "The message is not in the agreed form.",
  bad_signature: "The signature is not by the key in your permit.",
  no_permit: "You have no permit for this collective, so nothing was done.",
  permit_expired: "Your permit has ended.",
  permit_changed: "Your permit changed while this visit was running.",
  paused: "You have paused this collective.",
  wrong_collective: "The message names another collective than the one that signed it.",
  wrong_requirement: "It asks for other data than you agreed to.",
  wrong_manifest: "The algorithm is not the one that was announced for this job.",
  rate_too_low: "It pays another rate than you agreed to.",
  minima_too_low: "Fewer wallets would be summed together than you agreed to.",
  noise_too_low: "Less noise would be added than the agreed floor.",
  unannounced_algorithm: "This algorithm was never announced to you.",
  outside_class: "This algorithm is outside the class of algorithms you agreed to.",
  notice_running: "The notice period for this algorithm is not over yet.",
  notice_too_short: "The announced notice period is shorter than the one you agreed to.",
  opted_out: "You stay subscribed without this algorithm.",
  unknown_job: "You are not enrolled in this job.",
  job_expired: "The job has ended.",
  not_in_log: "The proof that your enrolment is in the frozen log does not hold.",
  header_mismatch: "The round's header does not match the signed task.",
  unsupported: "The round uses a transformation that this version of the wallet does not know.",
  task_expired: "The task has expired.",
  replayed_round: "This round, or a later one, was asked before.",
  too_many_rounds: "The job announced fewer rounds.",
  daily_limit: "Your own limit of visits per day is reached.",
  total_limit: "Your own limit of visits for this collective is reached.",
  privacy_budget: "This visit would exceed the privacy budget you set for this collective.",
  job_privacy_budget: "This visit would exceed the privacy budget of one job.",
  person_privacy_budget: "This visit would exceed your privacy budget of a year over all collectives together.",
  sandbox_too_low: "The sandbox on this machine lacks a layer that you or the collective ask for.",
  data_missing: "Your data does not meet the requirement.",
  wrong_payload: "The delivered model is not the one the task names.",
  weights_out_of_range: "The delivered model has weights outside the allowed range.",
  trap_weights: "The delivered model has the shape of a trap that picks single records out of a sum.",
  wrong_terms: "The terms are not the ones that were offered.",
  development_terms: "These are development terms with lowered minima, which you do not allow.",
  already_subscribed: "You already have a permit for this collective.",
  too_many: "Too many messages of this kind in a short time.",
  malformed_frame: "The server sent something that is not in the protocol.",
  huge_frame: "The server sent a message larger than the protocol allows, so the line was cut.",
  clock_skew: "The server's clock and this machine's differ by more than five minutes, so nothing was said to it.",
  wrong_server: "The server could not prove the key pinned at pairing, so nothing was said to it.",
});

const LATER = new Set(["daily_limit", "notice_running", "paused", "too_many"]);

/** The only word the other side hears. @param {string} code @returns {"no" | "later"} */
export const wireWord = (code) => (LATER.has(code) ? "later" : "no");
