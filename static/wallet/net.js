// A manifest as a computation: one wallet's answer. Twin: collectives/training/net.py.
//
// Reverse-mode differentiation by hand: every operator gives its values and a function from the gradient of its output to that of its
// input. Sums are binary64, so results lie within float32 rounding of torch's. The server steps against the mean of the updates.

import {utf8} from "./bytes.js";
import {evaluation, query, regression} from "./answers.js";
import {sha256} from "./crypto.js";
import {frozenWeights} from "./init.js";
import {isQuery, layout, parameterCount} from "./manifest.js";
import {words32} from "./stream.js";

/**
 * @typedef {import("./manifest.js").Manifest} Manifest
 * @typedef {import("./manifest.js").Layer} Layer
 * @typedef {(dy: Float64Array, own: Float64Array) => Float64Array} Back gradient of the output → of the input; adds to that of the parameters
 * @typedef {[Float64Array, Back]} Applied
 * @typedef {(layer: Layer, own: Float32Array, x: Float64Array, n: number, given: any) => Applied} Operator
 * @typedef {(Float32Array | Uint32Array)[]} Given per layer what it needs besides its parameters: frozen weights, or the words of a dropout mask
 */

/**
 * One wallet's raw answer, [outputLength]; not yet clipped.
 * @param {Manifest} manifest @param {Float32Array} weights [parameterCount] @param {Float32Array} x [n · widthIn]
 * @param {Float32Array} y [n · widthOut], or [n] class numbers
 * @param {Uint8Array} seed private, decides dropout masks
 */
export async function computeUpdate(manifest, weights, x, y, seed) {
  const size = parameterCount(manifest);
  if (weights.length !== size) throw new RangeError(`the manifest has ${size} parameters, not ${weights.length}`);
  const n = x.length / manifest.widthIn;
  if (!Number.isInteger(n) || n === 0) throw new RangeError(`records must have ${manifest.widthIn} columns`);
  if (isQuery(manifest)) return query(manifest, rows(x, n));
  const frozen = await Promise.all(manifest.layers.map(frozenWeights));
  if (manifest.steps > 0) return trained(manifest, weights, frozen, x, y, n, seed);
  if (manifest.kind === "evaluation") {
    return evaluation(manifest, rows(probabilities(manifest, forward(manifest, weights, frozen, x, n), n), n), rows(y, n));
  }
  const features = forward({...manifest, layers: manifest.layers.slice(0, -1)}, weights, frozen, x, n);
  return regression(manifest, rows(features, n), rows(y, n));
}

/** @template {Float32Array | Float64Array} T @param {T} values @param {number} n @returns {T[]} */
const rows = (values, n) =>
  Array.from({length: n}, (_, r) => /** @type {T} */ (values.subarray((r * values.length) / n, ((r + 1) * values.length) / n)));

/**
 * @param {Manifest} manifest @param {Float32Array} weights @param {Float32Array[]} frozen @param {Float32Array} x @param {Float32Array} y
 * @param {number} n @param {Uint8Array} seed
 */
async function trained(manifest, weights, frozen, x, y, n, seed) {
  const flat = Float32Array.from(weights);
  const rate = Math.fround(manifest.learningRate);
  for (let step = 0; step < manifest.steps; step += 1) {
    const words = (/** @type {Layer} */ layer, /** @type {number} */ i) => (layer.op === "dropout" ? maskWords(layer, n, seed, i, step) : frozen[i]);
    const given = await Promise.all(manifest.layers.map(words));
    const gradient = Float32Array.from(gradientOf(manifest, flat, given, x, y, n));
    if (manifest.kind === "gradient") return gradient;
    for (let i = 0; i < flat.length; i += 1) flat[i] -= Math.fround(rate * gradient[i]);
  }
  return flat.map((value, i) => weights[i] - value);
}

/**
 * @param {Manifest} manifest @param {Float32Array} flat @param {Given} given @param {Float32Array} x @param {Float32Array} y
 * @param {number} n
 */
function gradientOf(manifest, flat, given, x, y, n) {
  /** @type {Back[]} */
  const tape = [];
  const spans = layout(manifest);
  const out = manifest.layers.reduce((values, layer, i) => {
    const [made, back] = OPERATORS[layer.op](layer, flat.subarray(...spans[i]), values, n, given[i]);
    tape.push(back);
    return made;
  }, Float64Array.from(x));
  const gradient = new Float64Array(flat.length);
  let dy = LOSSES[manifest.loss](out, y, n);
  for (let i = tape.length - 1; i >= 0; i -= 1) dy = tape[i](dy, gradient.subarray(...spans[i]));
  return gradient;
}

/**
 * The outputs [n · widthOut] in use, without dropout.
 * @param {Manifest} manifest @param {Float32Array} flat @param {Given} given @param {Float32Array} x @param {number} n
 * @param {(layer: Layer, values: Float64Array) => void} [watch] shown what goes into each layer
 */
export function forward(manifest, flat, given, x, n, watch = () => undefined) {
  const spans = layout(manifest);
  return manifest.layers.reduce((values, layer, i) => {
    watch(layer, values);
    return layer.op === "dropout" ? values : OPERATORS[layer.op](layer, flat.subarray(...spans[i]), values, n, given[i])[0];
  }, Float64Array.from(x));
}

// --- operators ------------------------------------------------------------------------------------------------------

/**
 * y = W·x + b, W row-major [out][in]; `learns` says whether a gradient of W and b is kept.
 * @param {Float32Array} w @param {Float64Array} x @param {number} n @param {number} widthIn @param {number} widthOut
 * @param {boolean} bias @param {boolean} learns
 * @returns {Applied}
 */
function affine(w, x, n, widthIn, widthOut, bias, learns) {
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
    for (let r = 0; r < n; r += 1) {
      for (let o = 0; o < widthOut; o += 1) {
        const d = dy[r * widthOut + o];
        for (let i = 0; i < widthIn; i += 1) dx[r * widthIn + i] += d * w[o * widthIn + i];
        if (learns) for (let i = 0; i < widthIn; i += 1) own[o * widthIn + i] += d * x[r * widthIn + i];
        if (learns && bias) own[cut + o] += d;
      }
    }
    return dx;
  }];
}

/**
 * Each block of columns by a matrix of its own without a bias, row-major [out][columns]; other columns pass. It is the first layer: no
 * gradient goes further.
 * @type {Operator}
 */
const embedding = ({widthIn, widthOut, blocks}, w, x, n) => {
  const y = new Float64Array(n * widthOut);
  /** @type {{block: import("./manifest.js").Block, to: number, back: Back, start: number}[]} */
  const parts = [];
  let [from, to, start] = [0, 0, 0];
  const columns = (/** @type {Float64Array} */ values, /** @type {number} */ at, /** @type {number} */ count) =>
    Float64Array.from(rows(values, n).flatMap((row) => [...row.subarray(at, at + count)]));
  const put = (/** @type {Float64Array} */ values, /** @type {number} */ count) => {
    rows(values, n).forEach((row, r) => y.set(row, r * widthOut + to));
    to += count;
  };
  for (const block of [...blocks, {at: widthIn, columns: 0, out: 0}]) {
    put(columns(x, from, block.at - from), block.at - from);
    const end = start + block.columns * block.out;
    const [out, back] = affine(w.subarray(start, end), columns(x, block.at, block.columns), n, block.columns, block.out, false, true);
    parts.push({block, to, back, start});
    put(out, block.out);
    [from, start] = [block.at + block.columns, end];
  }
  return [y, (dy, own) => {
    for (const {block, to: at, back, start: first} of parts) {
      back(columns(dy, at, block.out), own.subarray(first, first + block.columns * block.out));
    }
    return new Float64Array(x.length);
  }];
};

/** (x − mean) / √(variance + 10⁻⁵) · γ + β over each record (Ba, Kiros, Hinton 2016). @type {Operator} */
const layernorm = ({widthOut: k}, w, x, n) => {
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
};

/**
 * An activation by its value and its derivative, which is a function of the value.
 * @param {(x: number) => number} f @param {(y: number) => number} slope @returns {Operator}
 */
const activation = (f, slope) => (_layer, _own, x) => {
  const y = x.map(f);
  return [y, (dy) => dy.map((d, i) => d * slope(y[i]))];
};

/** @param {number} z */
const sigmoid = (z) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));

/** @type {{[op: string]: Operator}} */
const OPERATORS = {
  linear: ({widthIn, widthOut, bias}, own, x, n) => affine(own, x, n, widthIn, widthOut, bias, true),
  random: ({widthIn, widthOut}, _own, x, n, frozen) => affine(frozen, x, n, widthIn, widthOut, true, false),
  embedding,
  layernorm,
  dropout: ({rateMicro}, _own, x, _n, words) => {
    const kept = x.map((_, i) => (words[i] * 1e6 >= rateMicro * 2 ** 32 ? 1 / (1 - rateMicro / 1e6) : 0));
    return [x.map((value, i) => value * kept[i]), (dy) => dy.map((d, i) => d * kept[i])];
  },
  relu: activation((x) => Math.max(x, 0), (y) => (y > 0 ? 1 : 0)),
  tanh: activation(Math.tanh, (y) => 1 - y * y),
  sigmoid: activation(sigmoid, (y) => y * (1 - y)),
};

/** Gradient of the mean loss by the output. @type {{[loss: string]: (z: Float64Array, y: Float32Array, n: number) => Float64Array}} */
const LOSSES = {
  mse: (z, y) => z.map((value, i) => (2 * (value - y[i])) / z.length),
  "bce-with-logits": (z, y) => z.map((value, i) => (sigmoid(value) - y[i]) / z.length),
  "softmax-cross-entropy": (z, y, n) => {
    const [dz, width] = [softmax(z, n).map((p) => p / n), z.length / n];
    for (let r = 0; r < n; r += 1) {
      if (!(y[r] >= 0 && y[r] < width)) throw new RangeError("a class number lies outside the model's classes");
      dz[r * width + Math.trunc(y[r])] -= 1 / n;
    }
    return dz;
  },
};

/** @param {Float64Array} z @param {number} n */
function softmax(z, n) {
  const out = z.slice();
  for (const row of rows(out, n)) {
    const most = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const parts = row.map((value) => Math.exp(value - most));
    const total = parts.reduce((a, b) => a + b, 0);
    row.set(parts.map((part) => part / total));
  }
  return out;
}

/**
 * What the outputs mean, as float32: probabilities for yes or no and for classes, values for numbers.
 * @param {Manifest} manifest @param {Float64Array} out @param {number} n
 */
function probabilities({loss}, out, n) {
  return Float32Array.from(loss === "bce-with-logits" ? out.map(sigmoid) : loss === "mse" ? out : softmax(out, n));
}

/**
 * Unit j of record i is dropped when its word · 10⁶ < rate · 2^32.
 * @param {Layer} layer @param {number} n @param {Uint8Array} seed @param {number} number of the layer @param {number} step
 */
async function maskWords({widthOut}, n, seed, number, step) {
  const place = new Uint8Array(5);
  new DataView(place.buffer).setUint32(1, step);
  place[0] = number;
  return words32((await sha256(utf8("cssi/v1/dropout"), seed, place)).subarray(0, 16), n * widthOut);
}
