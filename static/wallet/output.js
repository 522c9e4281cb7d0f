// What happens to an update before it is masked: clip, rotate, quantise, add noise. Twins: aggregation/privacy/ and wallets/agent/output.py.
//
// Bit for bit the same as the reference for the same input and the same private words, so that one set of vectors holds both.

import {random, utf8} from "./bytes.js";
import {sha256} from "./crypto.js";
import {OutputRefused} from "./errors.js";
import {stream, words32} from "./stream.js";

const MICRO = 1e6;
const FRACTION = 256n; // bits of the fixed point in which the table is computed
const ONE = 1n << FRACTION;
const TAIL = 9.6;
const LARGEST_TABLE = 2 ** 21; // on each side
const MARK = 0.2; // weight of the mark of an adaptive clip; twin: aggregation/privacy/adaptive.py

/**
 * The quantised, noised update, every |value| below 2^(q−1). Throws OutputRefused: `short`, `not_finite`.
 * Noise is added in quantiser units, after rounding, so that its distribution is exactly the published table's.
 * @param {Float32Array} raw [header.d] from the interpreter, one fewer when `marked` @param {import("./messages.js").Message} header
 * @param {(n: number) => Uint8Array} rng
 * @param {boolean} marked one coordinate more says whether the update was within its bound (Andrew et al. 2021, algorithm 1)
 * @returns {Promise<Int32Array>}
 */
export async function contract(raw, header, rng = random, marked = false) {
  if (raw.length !== header.d - Number(marked)) throw new OutputRefused("short", "The computed update has the wrong length.");
  const bound = header.clip_micro / MICRO, update = Float64Array.from(raw);
  const clipped = clip(marked ? withMark(update, bound / Math.sqrt(1 + (MARK * MARK) / 4)) : update, bound);
  const turned = header.rotation_seed.length ? await rotate(clipped, header.rotation_seed) : clipped;
  const values = await quantise(turned, header.f, header.q, rng);
  const noise = await sample(values.length, header.noise_micro, header.f, rng);
  return clamped(Float64Array.from(values, (value, i) => value + noise[i]), header.q);
}

/** The clipped update, and ±MARK·bound/2 for whether it was within. @param {Float64Array} update @param {number} bound */
function withMark(update, bound) {
  const clipped = clip(update, bound), made = new Float64Array(update.length + 1);
  made.set(clipped);
  made[update.length] = (clipped === update ? 0.5 : -0.5) * (MARK * bound);
  return made;
}

/**
 * The update scaled down to L2 norm `bound` when it is longer (Abadi et al. 2016, section 3.1). Throws OutputRefused `not_finite`.
 * @param {Float64Array} update @param {number} bound
 */
export function clip(update, bound) {
  if (!update.every(Number.isFinite)) throw new OutputRefused("not_finite", "The computed update is not made of finite numbers.");
  const largest = update.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest === 0) return update;
  // Scaled by the largest entry first, so that squaring neither overflows nor loses subnormal values.
  const norm = largest * Math.sqrt(pairwiseSum(update.map((value) => (value / largest) * (value / largest)), 0, update.length));
  return norm <= bound ? update : update.map((value) => value * (bound / norm));
}

/**
 * numpy's order of addition (pairwise summation, Higham 1993): eight running sums per block of 128, halves above.
 * @param {Float64Array} a @param {number} start @param {number} count @returns {number}
 */
function pairwiseSum(a, start, count) {
  if (count > 128) {
    const half = Math.floor(count / 2) - (Math.floor(count / 2) % 8);
    return pairwiseSum(a, start, half) + pairwiseSum(a, start + half, count - half);
  }
  const whole = count < 8 ? 0 : count - (count % 8);
  const r = new Float64Array(8);
  for (let i = 0; i < whole; i += 1) r[i % 8] += a[start + i];
  let sum = r[0] + r[1] + (r[2] + r[3]) + (r[4] + r[5] + (r[6] + r[7]));
  for (let i = whole; i < count; i += 1) sum += a[start + i];
  return sum;
}

/**
 * Randomised Hadamard rotation y = H·D·x / √d′ (Suresh et al. 2017, arXiv 1611.00429, section 3): few bits then suffice for every coordinate.
 * Signs: bit i, least significant first, of the stream under SHA-256("cssi/v1/rotation" ‖ seed)[0:16]; 1 means −1.
 * @param {Float64Array} update @param {Uint8Array} seed 32 bytes
 */
export async function rotate(update, seed) {
  let size = 1;
  while (size < update.length) size *= 2;
  const bits = await stream((await sha256(utf8("cssi/v1/rotation"), seed)).subarray(0, 16), Math.ceil(size / 8));
  const y = new Float64Array(size);
  update.forEach((value, i) => { y[i] = value * (1 - 2 * ((bits[i >> 3] >> (i & 7)) & 1)); });
  for (let distance = 1; distance < size; distance *= 2) {
    for (let i = 0; i < size; i += 1) {
      if (i & distance) continue;
      [y[i], y[i + distance]] = [y[i] + y[i + distance], y[i] - y[i + distance]];
    }
  }
  return y.map((value) => value / Math.sqrt(size));
}

/**
 * Unbiased rounding to fixed point: floor(g · 2^f + r / 2^32) in binary64, clamped to q signed bits.
 * @param {Float64Array} update finite @param {number} f @param {number} q @param {(n: number) => Uint8Array} rng 16 bytes are used
 */
export async function quantise(update, f, q, rng = random) {
  if (!update.every(Number.isFinite)) throw new OutputRefused("not_finite", "The computed update is not made of finite numbers.");
  const drawn = await words32(rng(16), update.length);
  return clamped(update.map((value, i) => Math.floor(value * 2 ** f + drawn[i] / 2 ** 32)), q);
}

/** Values limited to ±(2^(q−1) − 1). @param {Float64Array} values @param {number} q */
function clamped(values, q) {
  const most = 2 ** (q - 1) - 1;
  return Int32Array.from(values, (value) => Math.min(Math.max(value, -most), most));
}

/** @type {Map<string, {smallest: number, table: BigUint64Array}>} */
const tables = new Map();

/**
 * Thresholds floor(2^64 · P(K ≤ k)) of the discrete Gaussian P(k) ∝ exp(−k² / 2σ²) (Canonne, Kamath, Steinke 2020, definition 1) for
 * k = smallest …, σ = sigmaMicro/10⁶ · 2^f units. exp(−k²/2σ²) by the recurrence w(k+1) = w(k) · r^(2k+1), in 256-bit fixed point.
 * @param {number} sigmaMicro @param {number} f
 */
export function thresholds(sigmaMicro, f) {
  const name = `${sigmaMicro}/${f}`;
  const found = tables.get(name);
  if (found) return found;
  const reach = Math.max(1, Math.ceil(TAIL * ((sigmaMicro * 2 ** f) / MICRO)));
  if (reach > LARGEST_TABLE) throw new OutputRefused("noise", "The noise asked for is larger than any honest update.");
  const scaled = BigInt(sigmaMicro) << BigInt(f);
  const ratio = expMinus(10n ** 12n, 2n * scaled * scaled);
  const square = times(ratio, ratio);
  const half = [ONE];
  for (let k = 1, step = ratio; k <= reach; k += 1, step = times(step, square)) half.push(times(half[k - 1], step));
  const total = 2n * half.reduce((sum, weight) => sum + weight, 0n) - ONE;
  const table = new BigUint64Array(2 * reach);
  for (let k = -reach, running = 0n; k < reach; k += 1) {
    running += half[Math.abs(k)];
    const threshold = (running << 64n) / total;
    table[k + reach] = threshold >> 64n ? (1n << 64n) - 1n : threshold;
  }
  const made = {smallest: -reach, table};
  tables.set(name, made);
  return made;
}

/** @param {bigint} a @param {bigint} b */
const times = (a, b) => (a * b) >> FRACTION;

/**
 * exp(−n/d) in fixed point: Taylor's series at n/d halved until it is below one, then squared back.
 * @param {bigint} n @param {bigint} d
 */
function expMinus(n, d) {
  let halvings = 0n;
  while (n > d << halvings) halvings += 1n;
  const guard = 64n + halvings; // squaring doubles an error as often as it is done
  const x = (n << (FRACTION + guard)) / (d << halvings);
  let [sum, term] = [0n, ONE << guard];
  for (let i = 1n; term !== 0n; i += 1n) {
    sum += i % 2n === 1n ? term : -term;
    term = (term * x) / (i << (FRACTION + guard));
  }
  for (let i = 0n; i < halvings; i += 1n) sum = (sum * sum) >> (FRACTION + guard);
  return sum >> guard;
}

/**
 * Independent discrete Gaussian values: a private 64-bit word u selects the smallest k whose threshold exceeds u.
 * @param {number} count @param {number} sigmaMicro @param {number} f
 * @param {(n: number) => Uint8Array} rng 16 bytes are used, none without noise
 */
export async function sample(count, sigmaMicro, f, rng = random) {
  if (sigmaMicro === 0) return new Int32Array(count);
  const {smallest, table} = thresholds(sigmaMicro, f);
  const halves = new Uint32Array(table.buffer); // low, high; numbers compare faster than BigInts
  const drawn = await stream(rng(16), 8 * count);
  const words = new Uint32Array(drawn.buffer);
  const made = Int32Array.from({length: count}, (_, i) => smallest + above(halves, words[2 * i], words[2 * i + 1]));
  drawn.fill(0);
  return made;
}

/**
 * How many thresholds do not exceed the word: the index of the first that does.
 * @param {Uint32Array} halves @param {number} low @param {number} high
 */
function above(halves, low, high) {
  let [from, to] = [0, halves.length / 2];
  while (from < to) {
    const middle = (from + to) >> 1;
    const exceeds = halves[2 * middle + 1] > high || (halves[2 * middle + 1] === high && halves[2 * middle] > low);
    if (exceeds) to = middle;
    else from = middle + 1;
  }
  return from;
}
