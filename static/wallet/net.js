// A manifest as a computation: one wallet's gradient or local training. Twin: collectives/training/net.py (and init.py for frozen weights).
//
// Reverse-mode differentiation by hand: every operator gives its values and a function from the gradient of its output to that of its
// input. Sums are binary64, so results lie within float32 rounding of torch's. An update points uphill: the server steps against it.

import {fromHex} from "./bytes.js";
import {layout, parameterCount} from "./manifest.js";
import {stream, words32} from "./stream.js";

/**
 * @typedef {import("./manifest.js").Manifest} Manifest
 * @typedef {import("./manifest.js").Layer} Layer
 * @typedef {(dy: Float64Array, own: Float64Array) => Float64Array} Back gradient of the output → of the input; adds to that of the parameters
 * @typedef {[Float64Array, Back]} Applied
 */

/**
 * One wallet's raw update, [d]; not yet clipped.
 * @param {Manifest} manifest @param {Float32Array} weights [d] @param {Float32Array} x [n · widthIn] @param {Float32Array} y [n · widthOut], or [n] class numbers
 * @param {Uint8Array} seed 16 bytes or more, for dropout
 */
export async function computeUpdate(manifest, weights, x, y, seed) {
  const size = parameterCount(manifest);
  if (weights.length !== size) throw new RangeError(`the manifest has ${size} parameters, not ${weights.length}`);
  const n = x.length / manifest.widthIn;
  if (!Number.isInteger(n) || n === 0) throw new RangeError(`records must have ${manifest.widthIn} columns`);
  const frozen = await Promise.all(manifest.layers.map(frozenWeights));
  const drop = await dropout(manifest, n, seed);
  const flat = Float32Array.from(weights);
  const rate = Math.fround(manifest.learningRate);
  for (let step = 0; step < manifest.steps; step += 1) {
    const gradient = Float32Array.from(gradientOf(manifest, flat, frozen, drop, x, y, n));
    if (manifest.kind === "gradient") return gradient;
    for (let i = 0; i < size; i += 1) flat[i] -= Math.fround(rate * gradient[i]);
  }
  return flat.map((value, i) => weights[i] - value);
}

/** @param {Manifest} manifest @param {Float32Array} flat @param {Float32Array[]} frozen @param {() => number} drop @param {Float32Array} x @param {Float32Array} y @param {number} n */
function gradientOf(manifest, flat, frozen, drop, x, y, n) {
  const spans = layout(manifest);
  /** @type {Back[]} */
  const tape = [];
  let values = Float64Array.from(x);
  manifest.layers.forEach((layer, i) => {
    const own = layer.op === "random" ? frozen[i] : flat.subarray(...spans[i]);
    const [out, back] = OPERATORS[layer.op](layer, own, values, n, drop);
    values = out;
    tape.push(back);
  });
  const gradient = new Float64Array(flat.length);
  let dy = LOSSES[manifest.loss](values, y, n, manifest.widthOut);
  for (let i = tape.length - 1; i >= 0; i -= 1) dy = tape[i](dy, gradient.subarray(...spans[i]));
  return gradient;
}

// --- operators ------------------------------------------------------------------------------------------------------

/** y = W·x + b, W row-major [out][in]. Without `own` (a frozen layer) no gradient is kept. @returns {Applied} */
function linear({widthIn, widthOut, bias, op}, w, x, n) {
  const y = new Float64Array(n * widthOut);
  const cut = widthIn * widthOut;
  for (let r = 0; r < n; r += 1) {
    for (let o = 0; o < widthOut; o += 1) {
      let sum = bias ? w[cut + o] : 0;
      for (let i = 0; i < widthIn; i += 1) sum += w[o * widthIn + i] * x[r * widthIn + i];
      y[r * widthOut + o] = sum;
    }
  }
  return [y, (dy, own) => {
    const dx = new Float64Array(x.length);
    const learns = op !== "random";
    for (let r = 0; r < n; r += 1) {
      for (let o = 0; o < widthOut; o += 1) {
        const d = dy[r * widthOut + o];
        if (learns && bias) own[cut + o] += d;
        for (let i = 0; i < widthIn; i += 1) {
          if (learns) own[o * widthIn + i] += d * x[r * widthIn + i];
          dx[r * widthIn + i] += d * w[o * widthIn + i];
        }
      }
    }
    return dx;
  }];
}

/** (x − mean) / √(variance + 10⁻⁵) · γ + β over each record (Ba, Kiros, Hinton 2016). @returns {Applied} */
function layernorm({widthOut: k}, w, x, n) {
  const [hat, y] = [new Float64Array(x.length), new Float64Array(x.length)];
  const inverse = Array.from({length: n}, (_, r) => {
    const row = x.subarray(r * k, (r + 1) * k);
    const mean = row.reduce((sum, value) => sum + value, 0) / k;
    const scale = 1 / Math.sqrt(row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / k + 1e-5);
    row.forEach((value, i) => {
      hat[r * k + i] = (value - mean) * scale;
      y[r * k + i] = hat[r * k + i] * w[i] + w[k + i];
    });
    return scale;
  });
  return [y, (dy, own) => {
    const dx = new Float64Array(x.length);
    for (let r = 0; r < n; r += 1) {
      let [sum, along] = [0, 0];
      for (let i = 0, at = r * k; i < k; i += 1, at += 1) {
        own[i] += dy[at] * hat[at];
        own[k + i] += dy[at];
        sum += dy[at] * w[i];
        along += dy[at] * w[i] * hat[at];
      }
      for (let i = 0, at = r * k; i < k; i += 1, at += 1) dx[at] = (inverse[r] / k) * (k * dy[at] * w[i] - sum - hat[at] * along);
    }
    return dx;
  }];
}

/** An activation by its value and its derivative, which is a function of the value. @param {(x: number) => number} f @param {(y: number) => number} slope */
const activation = (f, slope) => (_layer, _own, /** @type {Float64Array} */ x) => {
  const y = x.map(f);
  return [y, (/** @type {Float64Array} */ dy) => dy.map((d, i) => d * slope(y[i]))];
};

/** @param {number} z */
const sigmoid = (z) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));

/** @type {{[op: string]: (layer: Layer, own: Float32Array, x: Float64Array, n: number, drop: () => number) => any}} */
const OPERATORS = {
  linear,
  random: linear,
  layernorm,
  dropout: ({rateMicro}, _own, x, _n, drop) => {
    const least = Math.floor((rateMicro * 2 ** 32) / 1e6);
    const kept = Float64Array.from(x, () => (drop() >= least ? 1 / (1 - rateMicro / 1e6) : 0));
    return [x.map((value, i) => value * kept[i]), (/** @type {Float64Array} */ dy) => dy.map((d, i) => d * kept[i])];
  },
  relu: activation((x) => Math.max(x, 0), (y) => (y > 0 ? 1 : 0)),
  tanh: activation(Math.tanh, (y) => 1 - y * y),
  sigmoid: activation(sigmoid, (y) => y * (1 - y)),
};

/** Gradient of the mean loss by the output. @type {{[loss: string]: (z: Float64Array, y: Float32Array, n: number, width: number) => Float64Array}} */
const LOSSES = {
  mse: (z, y) => z.map((value, i) => (2 * (value - y[i])) / z.length),
  "bce-with-logits": (z, y) => z.map((value, i) => (sigmoid(value) - y[i]) / z.length),
  "softmax-cross-entropy": (z, y, n, width) => {
    const dz = new Float64Array(z.length);
    for (let r = 0; r < n; r += 1) {
      if (!(y[r] >= 0 && y[r] < width)) throw new RangeError("a class number lies outside the model's classes");
      const row = z.subarray(r * width, (r + 1) * width);
      const most = row.reduce((a, b) => Math.max(a, b), -Infinity);
      const parts = row.map((value) => Math.exp(value - most));
      const total = parts.reduce((a, b) => a + b, 0);
      parts.forEach((part, i) => { dz[r * width + i] = (part / total - (i === Math.trunc(y[r]) ? 1 : 0)) / n; });
    }
    return dz;
  },
};

// --- public and private randomness ----------------------------------------------------------------------------------

/** Uniform in ±bound from the stream of a key, 24 bits each (exact in float32). @param {Uint8Array} key @param {number} count @param {number} bound */
async function uniform(key, count, bound) {
  return Float32Array.from(await words32(key, count), (word) => (((word >>> 8) / 2 ** 24) * 2 - 1) * bound);
}

/** Weights and bias of a random layer, uniform in ±1/√(inputs) and ±1, from its public seed. @param {Layer} layer */
async function frozenWeights({op, seed, widthIn, widthOut}) {
  if (op !== "random") return new Float32Array(0);
  const [weights, bias] = [fromHex(seed, 32).subarray(0, 16), fromHex(seed, 32).subarray(16)];
  const made = new Float32Array((widthIn + 1) * widthOut);
  made.set(await uniform(weights, widthIn * widthOut, widthIn ** -0.5));
  made.set(await uniform(bias, widthOut, 1), widthIn * widthOut);
  return made;
}

/** The words that decide what dropout layers keep. @param {Manifest} manifest @param {number} n @param {Uint8Array} seed */
async function dropout({layers, steps}, n, seed) {
  const count = steps * n * layers.reduce((sum, layer) => sum + (layer.op === "dropout" ? layer.widthOut : 0), 0);
  const words = count ? new Uint32Array((await stream(seed.subarray(0, 16), 4 * count)).buffer) : [];
  let at = 0;
  return () => words[at++];
}
