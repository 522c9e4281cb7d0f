// Algorithms are data: a JSON manifest from a closed vocabulary, never code. Twin: collectives/terms/algorithm.py.
//
// Parameters lie in one flat float32 vector, layer by layer in manifest order, each layer's weight row-major [out][in] and then its bias.
// A `random` layer is frozen: its values come from a public seed and are not part of the vector. Unknown names are refused.

import {hex} from "./bytes.js";
import {TermsError} from "./errors.js";
import {digest, exactly, flag, hexBytes, integer, oneOf, parseJson, text} from "./json.js";

const [MAX_LAYERS, MAX_WIDTH, MAX_PARAMETERS, MAX_STEPS] = [16, 4096, 2_000_000, 1000];
const LOSSES = ["mse", "bce-with-logits", "softmax-cross-entropy"];
/** The names a layer has besides `op`, by operator. @type {{[op: string]: string[]}} */
const OPS = {
  linear: ["out", "bias"], random: ["out", "seed"], layernorm: [], dropout: ["rate_micro"], relu: [], tanh: [], sigmoid: [],
};

/**
 * @typedef {{op: string, widthIn: number, widthOut: number, bias: boolean, seed: string, rateMicro: number, parameters: number}} Layer
 * @typedef {{name: string, purpose: string, inputs: string[], target: string[], widthIn: number, widthOut: number, layers: Layer[], loss: string,
 *   learningRate: number, steps: number, kind: string, clipMicro: number, document: any}} Manifest
 */

/** The algorithm's identity: SHA-256 of the document's RFC 8785 form, hex. @param {any} document */
export const manifestHash = async (document) => hex(await digest(document));

/** d: scalars in the flat weight vector. @param {Manifest} manifest */
export const parameterCount = ({layers}) => layers.reduce((sum, layer) => sum + layer.parameters, 0);

/** For each layer its [start, end) in the flat vector. @param {Manifest} manifest */
export function layout({layers}) {
  let start = 0;
  return layers.map(({parameters}) => [start, start += parameters]);
}

/** The manifest in a JSON object or in its text; throws TermsError `bad_manifest`. @param {any} source @returns {Manifest} */
export function parseManifest(source) {
  try {
    return parse(typeof source === "string" || source instanceof Uint8Array ? parseJson(source) : source);
  } catch (error) {
    if (error instanceof TermsError) throw new TermsError("bad_manifest", `The manifest is refused: ${error.message}`);
    throw error;
  }
}

/** @param {boolean} fine @param {string} sentence */
function ensure(fine, sentence) {
  if (!fine) throw new TermsError("bad_manifest", sentence);
}

/** @param {any} source @returns {Manifest} */
function parse(source) {
  const names = ["version", "name", "purpose", "inputs", "target", "width_in", "width_out", "layers", "loss", "training", "output"];
  const document = exactly(source, names, "A manifest");
  ensure(document.version === 1, "version must be 1.");
  const [widthIn, widthOut] = [integer(document, "width_in", 1, MAX_WIDTH), integer(document, "width_out", 1, MAX_WIDTH)];
  const training = exactly(document.training, ["learning_rate_micro", "steps"], "training");
  const output = exactly(document.output, ["kind", "clip_micro"], "output");
  const manifest = {
    name: text(document, "name", 1, 120),
    purpose: text(document, "purpose", 1, 500),
    inputs: fieldNames(document, "inputs"),
    target: fieldNames(document, "target"),
    widthIn,
    widthOut,
    layers: layersOf(document.layers, widthIn, widthOut),
    loss: oneOf(document, "loss", LOSSES),
    learningRate: integer(training, "learning_rate_micro", 1, 10_000_000) / 1e6,
    steps: integer(training, "steps", 1, MAX_STEPS),
    kind: oneOf(output, "kind", ["gradient", "delta"]),
    clipMicro: integer(output, "clip_micro", 1, 1_000_000_000),
    document,
  };
  ensure(!manifest.inputs.some((name) => manifest.target.includes(name)), "a field is both input and target.");
  const count = parameterCount(manifest);
  ensure(count >= 1 && count <= MAX_PARAMETERS, `it must have 1 to ${MAX_PARAMETERS} parameters.`);
  ensure(manifest.kind !== "gradient" || manifest.steps === 1, "a gradient comes from exactly one step; use a delta for more.");
  return manifest;
}

/** @param {any} document @param {string} name @returns {string[]} */
function fieldNames(document, name) {
  const value = document[name];
  const listed = Array.isArray(value) && value.length >= 1 && value.length <= 200 && new Set(value).size === value.length;
  const fine = listed && value.every((item) => typeof item === "string" && item !== "" && [...item].length <= 120);
  ensure(fine, `${name} must list 1 to 200 different field names.`);
  return value;
}

/** @param {any} value @param {number} widthIn @param {number} widthOut */
function layersOf(value, widthIn, widthOut) {
  ensure(Array.isArray(value) && value.length >= 1 && value.length <= MAX_LAYERS, `layers must list 1 to ${MAX_LAYERS} layers.`);
  let width = widthIn;
  const layers = value.map((/** @type {any} */ item) => {
    const layer = layerOf(item, width);
    width = layer.widthOut;
    return layer;
  });
  ensure(width === widthOut, `the last layer gives ${width} values, but width_out says ${widthOut}.`);
  return layers;
}

/** @param {any} item @param {number} widthIn @returns {Layer} */
function layerOf(item, widthIn) {
  const op = item?.op;
  ensure(typeof op === "string" && Object.hasOwn(OPS, op), `a layer's op must be one of ${Object.keys(OPS).join(", ")}.`);
  exactly(item, ["op", ...OPS[op]], `A ${op} layer`);
  const widthOut = "out" in item ? integer(item, "out", 1, MAX_WIDTH) : widthIn;
  const bias = op === "linear" ? flag(item, "bias") : op === "random";
  const weights = op === "linear" ? widthIn * widthOut + (bias ? widthOut : 0) : 0;
  return {
    op,
    widthIn,
    widthOut,
    bias,
    seed: op === "random" ? hexBytes(item, "seed", 32) : "",
    rateMicro: op === "dropout" ? integer(item, "rate_micro", 0, 900_000) : 0,
    parameters: op === "layernorm" ? 2 * widthOut : weights,
  };
}
