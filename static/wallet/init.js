// Weights from public seeds (a job's first model, the frozen layers) and the identity of weights. Twins: collectives/training/init.py,
// checkpoint.py, and `_frozen` of net.py.

import {concat, fromHex, utf8} from "./bytes.js";
import {sha256} from "./crypto.js";
import {manifestHash, parameterCount} from "./manifest.js";
import {words32} from "./stream.js";

/**
 * Uniform in ±bound from the stream of a 16-byte key, 24 bits each (exact in float32).
 * @param {Uint8Array} key @param {number} count @param {number} bound
 */
export async function uniform(key, count, bound) {
  return Float32Array.from(await words32(key, count), (word) => (((word >>> 8) / 2 ** 24) * 2 - 1) * bound);
}

/**
 * A job's first model. A linear layer is uniform in ±1/√(inputs) with a bias of zero, the last one is zero; a layer norm is the identity; an
 * embedding is uniform in ±1; a query's answer starts at zero.
 * @param {import("./manifest.js").Manifest} manifest @param {Uint8Array} job 16 bytes
 */
export async function initialWeights(manifest, job) {
  const {layers, document} = manifest;
  const seed = await sha256(utf8("cssi/v1/initial-weights"), fromHex(await manifestHash(document), 32), job);
  const weights = new Float32Array(parameterCount(manifest));
  const last = layers.map(({op}) => op).lastIndexOf("linear");
  let at = 0;
  for (const [i, {op, widthIn, widthOut, parameters}] of layers.entries()) {
    const key = (await sha256(concat(seed, Uint8Array.of(i)))).subarray(0, 16);
    if (op === "layernorm") weights.fill(1, at, at + widthOut);
    if (op === "embedding") weights.set(await uniform(key, parameters, 1), at);
    if (op === "linear" && i !== last) weights.set(await uniform(key, widthIn * widthOut, 1 / Math.sqrt(widthIn)), at);
    at += parameters;
  }
  return weights;
}

/**
 * Weights and bias of a random layer, uniform in ±gain/√(inputs) and ±1, from its public seed.
 * @param {import("./manifest.js").Layer} layer
 */
export async function frozenWeights({op, seed, gain, widthIn, widthOut}) {
  if (op !== "random") return new Float32Array(0);
  const made = new Float32Array((widthIn + 1) * widthOut);
  made.set(await uniform(fromHex(seed, 32).subarray(0, 16), widthIn * widthOut, gain * widthIn ** -0.5));
  made.set(await uniform(fromHex(seed, 32).subarray(16), widthOut, 1), widthIn * widthOut);
  return made;
}

/**
 * Identity of a checkpoint; `round` is the checkpoint's number: 0 for initial weights, r after round r.
 * @param {Uint8Array} manifestHash @param {number} round @param {Uint8Array} weights
 */
export function checkpointHash(manifestHash, round, weights) {
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, BigInt(round));
  return sha256(utf8("cssi/v1/checkpoint"), manifestHash, number, weights);
}
