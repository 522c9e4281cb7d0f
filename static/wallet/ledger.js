// The holder's own account of privacy: what every accepted visit cost, per job, per collective and for the person. Python twins:
// wallets/agent/ledger.py and aggregation/privacy/budget.py. Costs are ρ in millionths and add up; a year is any 365 days of UTC; what
// was spent stays when a permit is deleted. A visit is charged when it is accepted, like the round number it uses up.

import {paddedD} from "./messages.js";

/** @type {[string, string]} */
export const LEDGER = ["ledger", "person"];
const YEAR_DAYS = 365, DAY_SECONDS = 86_400, MICRO = 1_000_000n, UNBOUNDED = 2 ** 62;
const FORMAL_COLLECTIVE_EPSILON = 3, FORMAL_PERSON_EPSILON = 8; // of formal collectives in a year, when the holder says nothing

const ceilDivide = (a, b) => (a + b - 1n) / b;

function ceilRoot(value) {
  let low = 0n, high = 1n;
  while (high * high < value) high *= 2n;
  while (low < high) {
    const middle = (low + high) / 2n;
    if (middle * middle < value) low = middle + 1n;
    else high = middle;
  }
  return low;
}

/** Whether clip, rounding and the furthest noise (9.6 σ, where the table ends) fit q bits. @param {any} header */
function neverClamped({clip_micro: clip, noise_micro: noise, f, q}) {
  const reach = noise ? Math.max(1, Math.ceil(9.6 * (noise * 2 ** f / 1e6))) : 0;
  return Math.floor(clip / 1e6 * 2 ** f) + 1 + reach <= 2 ** (q - 1) - 1;
}

/** What a visit costs towards the operator and the consumer; a header that could clamp a noised value promises nothing. @param {any} header */
export function costOf(header) {
  const cost = (wallets) => (neverClamped(header) ? costMicro(header, wallets) : UNBOUNDED);
  return {operator: cost(header.bucket_min), consumer: cost(header.release_min)};
}

/** ρ of one visit in millionths, rounded up: Δ²/2σ² on the sum of so many wallets, Δ with what rounding adds. @param {any} header @param {number} wallets */
export function costMicro(header, wallets) {
  const [clip, share, coordinates] = [header.clip_micro, header.noise_micro, paddedD(header)].map(BigInt);
  const delta = clip + ceilRoot(ceilDivide(coordinates * MICRO ** 2n, 1n << BigInt(2 * header.f)));
  const variance = BigInt(wallets) * share ** 2n;
  return variance ? Number(ceilDivide(MICRO * delta ** 2n, 2n * variance)) : UNBOUNDED;
}

/** ε of a sum of costs at δ = 10^−6 (Canonne, Kamath, Steinke 2020, proposition 12), by golden section over ln(α − 1). @param {number} micro */
export function epsilon(micro) {
  if (micro <= 0) return 0;
  const rho = micro / 1e6, lost = 6 * Math.log(10), golden = (Math.sqrt(5) - 1) / 2;
  const bound = (at) => {
    const over = Math.exp(at), alpha = 1 + over;
    return rho * alpha + (lost + over * (Math.log(over) - Math.log(alpha)) - Math.log(alpha)) / over;
  };
  let low = Math.log(1e-6), high = Math.log(1e9);
  for (let step = 0; step < 120; step += 1) {
    const span = golden * (high - low);
    if (bound(high - span) < bound(low + span)) high = low + span;
    else low = high - span;
  }
  return Math.max(0, bound((low + high) / 2));
}

/** The largest sum of costs whose ε does not exceed a limit. @param {number} limit */
export function rhoMicro(limit) {
  let low = 0, high = 1e9;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (epsilon(middle) <= limit) low = middle;
    else high = middle;
  }
  return low;
}

/** The holder's own budgets, over every visit, and those of formal collectives; 0 is none. @param {any} settings as stored, or null */
export const budgetsOf = (settings) => ({
  job_micro: settings?.privacy_micro_job ?? 0, person_micro: settings?.privacy_micro_year ?? 0,
  formal_collective_micro: rhoMicro(FORMAL_COLLECTIVE_EPSILON), formal_person_micro: rhoMicro(FORMAL_PERSON_EPSILON),
});

/** The sum of the last 365 days' charges, of those whose fields are as in `which`. @param {{charges: any[]}} ledger @param {number} now */
export function spent(ledger, now, which = {}) {
  const since = Math.floor(now / DAY_SECONDS) - YEAR_DAYS;
  const fits = (charge) => charge.day > since && Object.entries(which).every(([name, value]) => charge[name] === value);
  const sum = (name) => ledger.charges.filter(fits).reduce((total, charge) => total + charge[name], 0);
  return {visits: sum("visits"), operator_micro: sum("operator_micro"), consumer_micro: sum("consumer_micro")};
}

/** For the holder: both numbers, always. @param {{visits: number, operator_micro: number, consumer_micro: number}} sum */
export const words = ({visits, operator_micro: operator, consumer_micro: consumer}) =>
  `${visits} visits, ε ≤ ${epsilon(consumer).toFixed(2)} towards consumers and the chain, `
  + `ε ≤ ${epsilon(operator).toFixed(2)} towards the operator of the aggregator (δ = 10⁻⁶)`;

/** The ledger with one more visit, or the code of the first budget that the visit would exceed. @returns {{ledger: any} | {refusal: string}} */
export function charge(ledger, budgets, {header, collective_id, job_id, formal, now}) {
  const {operator, consumer: whole} = costOf(header), day = Math.floor(now / DAY_SECONDS);
  const consumer = formal ? whole : operator; // a robust rule's sums are as private as one bucket
  const limits = [
    [budgets.job_micro, "job_privacy_budget", {job_id}], [budgets.person_micro, "person_privacy_budget", {}],
    ...(formal ? [
      [budgets.formal_collective_micro, "privacy_budget", {collective_id, formal: true}],
      [budgets.formal_person_micro, "person_privacy_budget", {formal: true}],
    ] : []),
  ];
  const exceeded = limits.find(([most, , which]) => most && spent(ledger, now, which).operator_micro + operator > most);
  if (exceeded) return {refusal: exceeded[1]};
  const kept = ledger.charges.filter((old) => old.day > day - YEAR_DAYS), same = {day, collective_id, job_id, formal};
  const place = kept.findIndex((old) => Object.entries(same).every(([name, value]) => old[name] === value));
  const before = kept[place] ?? {visits: 0, operator_micro: 0, consumer_micro: 0};
  const line = {
    ...same, visits: before.visits + 1, operator_micro: before.operator_micro + operator,
    consumer_micro: before.consumer_micro + consumer,
  };
  return { ledger: {charges: place < 0 ? [...kept, line] : kept.with(place, line)} };
}
