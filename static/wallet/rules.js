// What this wallet asks of an algorithm, its round and its weights, whoever announced and signed them. Twins: wallets/agent/rules.py, traps.py.

import {equal, fromHex, utf8} from "./bytes.js";
import {checkpointHash, frozenWeights, initialWeights, uniform} from "./init.js";
import {layout, manifestHash, mostRatio, outputLength, releaseRatio} from "./manifest.js";
import {forward} from "./net.js";

/** @typedef {import("./manifest.js").Manifest} Manifest */

const [LEAST_WIDTH, MOST_ROWS, PARALLEL, PARALLEL_SHARE] = [8, 256, 0.995, 0.25];
const [PROBES, PROBE_KEY, SELDOM, SELDOM_SHARE] = [256, utf8("cssi/v1/probes\0\0"), 0.05, 0.5];

/**
 * The refusal of the first rule that the algorithm breaks in this round, or null; the rules stand in the Python twin.
 * @param {Manifest} manifest @param {import("./messages.js").Message} header
 */
export async function objection(manifest, header) {
  if (header.d !== outputLength(manifest) + Number(marked(manifest, header)) || header.clip_micro > manifest.clipMicro) return "shape_mismatch";
  if (header.round === 1 && manifest.kind !== "evaluation") {
    const weights = await initialWeights(manifest, header.job);
    const first = await checkpointHash(fromHex(await manifestHash(manifest.document), 32), 0, new Uint8Array(weights.buffer));
    if (!equal(first, header.checkpoint_hash)) return "not_initial";
  }
  const quiet = BigInt(header.bucket_min) * BigInt(header.noise_micro) ** 2n < BigInt(header.clip_micro) ** 2n;
  if (quiet && !header.development && releaseRatio(manifest, header.release_min) > mostRatio(manifest)) return "ratio_too_high";
  return null;
}

/** Whether the round asks, beside an update, for the mark of an adaptive clip. @param {Manifest} manifest @param {import("./messages.js").Message} header */
export function marked(manifest, header) {
  return ["gradient", "delta"].includes(manifest.kind) && header.d === outputLength(manifest) + 1;
}

/**
 * Whether a hidden layer has more than a quarter of its pairs of units parallel (an imprint layer: Fowl et al. 2022, "Robbing the Fed"), or
 * the first of them more than half of its units hardly excited by any record (Boenisch et al. 2023, "When the Curious Abandon Honesty").
 * @param {Manifest} manifest @param {Float32Array} weights finite, as many as the manifest says
 */
export async function looksLikeATrap(manifest, weights) {
  if (!manifest.layers.slice(0, -1).some(({op}) => op === "linear")) return false;
  return hasParallelUnits(manifest, weights) || hasSeldomUnits(manifest, weights);
}

/** @param {Manifest} manifest @param {Float32Array} weights */
function hasParallelUnits(manifest, weights) {
  const spans = layout(manifest);
  return manifest.layers.slice(0, -1).some(({op, widthIn, widthOut}, i) => {
    if (op !== "linear" || Math.min(widthIn, widthOut) < LEAST_WIDTH) return false;
    const step = Math.max(1, Math.floor(widthOut / MOST_ROWS));
    const row = (/** @type {number} */ at) => Float64Array.from(weights.subarray(spans[i][0] + at * widthIn, spans[i][0] + (at + 1) * widthIn));
    return parallelShare(Array.from({length: Math.ceil(widthOut / step)}, (_, k) => row(k * step))) > PARALLEL_SHARE;
  });
}

/** Of all pairs of rows that are not zero, the share that points the same or the opposite way. @param {Float64Array[]} rows */
function parallelShare(rows) {
  const dot = (/** @type {Float64Array} */ a, /** @type {Float64Array} */ b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const units = rows.filter((row) => dot(row, row) > 0).map((row) => row.map((value) => value / Math.sqrt(dot(row, row))));
  if (units.length < LEAST_WIDTH) return 0;
  let parallel = 0;
  units.forEach((a, i) => units.slice(i + 1).forEach((b) => { parallel += Number(Math.abs(dot(a, b)) > PARALLEL); }));
  return (2 * parallel) / (units.length * (units.length - 1));
}

/**
 * Follows probes to the first activation behind a linear layer, the one that reads people's columns; looks at it if it is a relu.
 * @param {Manifest} manifest @param {Float32Array} weights
 */
async function hasSeldomUnits(manifest, weights) {
  const hidden = manifest.layers.slice(0, -1);
  const probes = await uniform(PROBE_KEY, PROBES * manifest.widthIn, 1);
  let [learned, reached, found] = [false, false, false];
  forward({...manifest, layers: hidden}, weights, await Promise.all(hidden.map(frozenWeights)), probes, PROBES, ({op, widthIn}, values) => {
    if (learned && !reached && ["relu", "tanh", "sigmoid"].includes(op)) {
      reached = true;
      const passing = Array.from({length: widthIn}, (_, i) => values.filter((z, at) => at % widthIn === i && z >= 0).length / PROBES);
      found = op === "relu" && widthIn >= LEAST_WIDTH && passing.filter((share) => share < SELDOM).length / widthIn > SELDOM_SHARE;
    }
    learned ||= op === "linear";
  });
  return found;
}
