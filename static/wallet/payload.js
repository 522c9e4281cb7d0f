// The delivered model: parse it, hash it ourselves, check its weights, train on the person's record. Twins: wallets/agent/payload.py, traps.py,
// collectives/training/checkpoint.py.

import * as cbor from "./cbor.js";
import {utf8} from "./bytes.js";
import {sha256} from "./crypto.js";
import {OutputRefused, RemoteProtocolError} from "./errors.js";
import {encoder} from "./features.js";
import {layout, parameterCount, parseManifest} from "./manifest.js";
import {computeUpdate} from "./net.js";

const LARGEST_WEIGHT = 1e4; // a weight beyond this has no honest use with clipped updates, but makes a good trap
const [LEAST_WIDTH, MOST_ROWS, PARALLEL, PARALLEL_SHARE] = [8, 256, 0.995, 0.25];

/** Identity of a checkpoint; `round` is the checkpoint's number: 0 for initial weights, r after round r. @param {Uint8Array} manifestHash @param {number} round @param {Uint8Array} weights */
export function checkpointHash(manifestHash, round, weights) {
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, BigInt(round));
  return sha256(utf8("cssi/v1/checkpoint"), manifestHash, number, weights);
}

/**
 * Parse CBOR {manifest, weights}; throws RemoteProtocolError `malformed`. Hashes are over what arrived, to be compared with the signed task.
 * @param {Uint8Array} raw @param {number} round of the task
 */
export async function openPayload(raw, round) {
  try {
    const body = cbor.decode(raw);
    if (!(body.manifest instanceof Uint8Array && body.weights instanceof Uint8Array && body.weights.length % 4 === 0)) throw new TypeError();
    const manifest = parseManifest(body.manifest);
    const manifestHash = await sha256(body.manifest);
    const weights = new Float32Array(body.weights.slice().buffer);
    const weightsInRange = weights.length === parameterCount(manifest) && weights.every((value) => Math.abs(value) <= LARGEST_WEIGHT);
    return Object.freeze({
      manifest,
      manifestHash,
      weights,
      checkpointHash: await checkpointHash(manifestHash, round - 1, body.weights),
      weightsInRange,
      trap: weightsInRange && looksLikeATrap(manifest, weights),
    });
  } catch {
    throw new RemoteProtocolError("malformed", "the delivered model");
  }
}

/**
 * The raw update of one record of the agreed data; throws OutputRefused `encoding`. Before `contract` nothing of it may leave.
 * @param {Awaited<ReturnType<typeof openPayload>>} payload @param {any} record @param {any} requirement @param {Uint8Array} seed 32 private bytes
 */
export async function train({manifest, weights}, record, requirement, seed) {
  /** @type {{x: Float32Array, y: Float32Array}} */
  let numbers;
  try {
    numbers = encoder(requirement, manifest)(record);
  } catch {
    throw new OutputRefused("encoding", "The algorithm does not fit the agreed data.");
  }
  return computeUpdate(manifest, weights, numbers.x, numbers.y, seed);
}

/**
 * Whether a hidden linear layer has more than a quarter of its pairs of units parallel: the geometry of an imprint layer (Fowl et al. 2022,
 * "Robbing the Fed"), which honest training never has.
 * @param {import("./manifest.js").Manifest} manifest @param {Float32Array} weights
 */
export function looksLikeATrap(manifest, weights) {
  const spans = layout(manifest);
  return manifest.layers.slice(0, -1).some(({op, widthIn, widthOut}, i) => {
    if (op !== "linear" || Math.min(widthIn, widthOut) < LEAST_WIDTH) return false;
    const step = Math.max(1, Math.floor(widthOut / MOST_ROWS));
    const rows = [];
    for (let row = 0; row < widthOut; row += step) rows.push(Float64Array.from(weights.subarray(spans[i][0] + row * widthIn, spans[i][0] + (row + 1) * widthIn)));
    return parallelShare(rows) > PARALLEL_SHARE;
  });
}

/** Of all pairs of rows that are not zero, the share that points the same or the opposite way. @param {Float64Array[]} rows */
function parallelShare(rows) {
  const dot = (/** @type {Float64Array} */ a, /** @type {Float64Array} */ b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const units = rows.map((row) => ({row, length: Math.sqrt(dot(row, row))})).filter(({length}) => length > 0)
    .map(({row, length}) => row.map((value) => value / length));
  if (units.length < LEAST_WIDTH) return 0;
  const pairs = units.flatMap((a, i) => units.slice(i + 1).map((b) => Math.abs(dot(a, b)) > PARALLEL));
  return pairs.filter(Boolean).length / pairs.length;
}
