// Algorithms are data: a JSON manifest from a closed vocabulary, never code. Twin: collectives/terms/algorithm/ (layers, outputs, task, manifest).
//
// Parameters lie in one flat float32 vector, layer by layer in manifest order, each layer's weight row-major [out][in] and then its bias.
// A `random` layer is frozen: its values come from a public seed and are not part of the vector. Unknown names are refused, so an old
// wallet never half-understands a new manifest. Every kind of answer has a length that the manifest alone decides.

import {hex} from "./bytes.js";
import {TermsError} from "./errors.js";
import {digest, exactly, flag, hexBytes, integer, oneOf, parseJson, text} from "./json.js";

const [MAX_LAYERS, MAX_WIDTH, MAX_PARAMETERS, MAX_FROZEN, MAX_STEPS, MAX_BLOCKS] = [16, 4096, 2_000_000, 2_000_000, 1000, 200];
const [MOST_BINS, MOST_EDGES, LATEST, GAIN] = [64, 63, Number.MAX_SAFE_INTEGER, 1_000_000];
const LOSSES = ["mse", "bce-with-logits", "softmax-cross-entropy"];
const TRAINED = ["gradient", "delta"];
const QUERIES = ["mean", "histogram", "covariance"];
const FEATURES = ["random", "relu", "tanh", "sigmoid"];
const MODEL = ["target", "width_out", "layers", "loss"];

/**
 * @typedef {{at: number, columns: number, out: number}} Block
 * @typedef {{op: string, widthIn: number, widthOut: number, parameters: number, bias: boolean, seed: string, gain: number, rateMicro: number, blocks: Block[]}} Layer
 * @typedef {{combine?: string, scale?: string, low_micro?: number, high_micro?: number, bins_micro?: number[]}} Preparation
 * @typedef {{name: string, purpose: string, inputs: string[], target: string[], widthIn: number, widthOut: number, layers: Layer[], loss: string,
 *   learningRate: number, steps: number, kind: string, clipMicro: number, bins: number, task: {[field: string]: Preparation}, document: any}} Manifest
 */

/** The algorithm's identity: SHA-256 of the document's RFC 8785 form, hex. @param {any} document */
export const manifestHash = async (document) => hex(await digest(document));

/** Identity of what is asked of a wallet, hex: the same however the algorithm is called, clipped or solved. @param {Manifest} manifest */
export async function questionHash({document}) {
  const {version, name, purpose, training, output: {kind, bins}, ...asked} = document;
  return hex(await digest({...asked, output: bins === undefined ? {kind} : {kind, bins}}));
}

/** Entries of the upper triangle of a symmetric matrix. @param {number} size */
const triangle = (size) => (size * (size + 1)) / 2;

/** Whether the manifest asks about the data without a model. @param {Manifest} manifest */
export const isQuery = ({kind}) => QUERIES.includes(kind);

/** Scalars of a checkpoint: the flat weight vector, or of a query its answer. @param {Manifest} manifest @returns {number} */
export function parameterCount(manifest) {
  return isQuery(manifest) ? outputLength(manifest) : manifest.layers.reduce((sum, layer) => sum + layer.parameters, 0);
}

/** d: scalars in what a wallet sends, whatever its data is. @param {Manifest} manifest @returns {number} */
export function outputLength(manifest) {
  const {kind, bins, widthIn, widthOut: out, loss, layers} = manifest;
  if (TRAINED.includes(kind)) return parameterCount(manifest);
  if (kind === "elm-statistics") {
    const features = layers[layers.length - 1].widthIn + Number(layers[layers.length - 1].bias);
    return triangle(features) + features * out;
  }
  if (kind === "evaluation") return loss === "mse" ? 4 * out : loss === "bce-with-logits" ? (2 + 2 * bins) * out : 2 + out * out;
  return kind === "mean" ? widthIn : kind === "histogram" ? widthIn * bins : triangle(widthIn + 1);
}

/** ρ: scalars released in one sum over so many wallets, per wallet and field read. @param {Manifest} manifest @param {number} wallets */
export const releaseRatio = (manifest, wallets) => outputLength(manifest) / (wallets * (manifest.inputs.length + manifest.target.length));

/** Whether a wallet answers this kind once only, so that no two sums can be subtracted. @param {Manifest} manifest */
export const isOneShot = (manifest) => manifest.kind === "elm-statistics" || isQuery(manifest);

/** ρ beyond which this kind of answer may only leave under formal privacy. @param {Manifest} manifest */
export const mostRatio = (manifest) => (isOneShot(manifest) ? 1 : 3);

/** For each layer its [start, end) in the flat vector. @param {Manifest} manifest */
export function layout({layers}) {
  let start = 0;
  return layers.map(({parameters}) => [start, start += parameters]);
}

/** The manifest in a JSON object or in its text; throws TermsError `bad_manifest`. @param {any} source @returns {Manifest} */
export function parseManifest(source) {
  try {
    const manifest = parse(typeof source === "string" || source instanceof Uint8Array ? parseJson(source, {floats: false}) : source);
    check(manifest);
    return manifest;
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
  const kind = source?.output?.kind;
  const query = QUERIES.includes(kind);
  const names = ["version", "name", "purpose", "inputs", "width_in", "output", ...(query ? [] : MODEL)];
  if (!query && !["elm-statistics", "evaluation"].includes(kind)) names.push("training");
  if (Object.hasOwn(Object(source), "task")) names.push("task");
  const m = exactly(source, names, "A manifest");
  ensure(m.version === 1, "version must be 1.");
  const [inputs, widthIn] = [fieldNames(m, "inputs"), integer(m, "width_in", 1, MAX_WIDTH)];
  const [target, widthOut] = query ? [[], 0] : [fieldNames(m, "target"), integer(m, "width_out", 1, MAX_WIDTH)];
  const binned = {"elm-statistics": ["ridge_micro"], evaluation: ["bins"], histogram: ["bins"]}[/** @type {string} */ (kind)] ?? [];
  const output = exactly(m.output, ["kind", "clip_micro", ...binned], "output");
  if (binned[0] === "ridge_micro") integer(output, "ridge_micro", 0, 1e12);
  const training = "training" in m ? exactly(m.training, ["learning_rate_micro", "steps"], "training") : null;
  return {
    name: text(m, "name", 1, 120),
    purpose: text(m, "purpose", 1, 500),
    inputs,
    target,
    widthIn,
    widthOut,
    layers: query ? [] : layersOf(m.layers, widthIn, widthOut),
    loss: query ? "" : oneOf(m, "loss", LOSSES),
    learningRate: training ? integer(training, "learning_rate_micro", 1, 10_000_000) / 1e6 : 0,
    steps: training ? integer(training, "steps", 1, MAX_STEPS) : 0,
    kind: oneOf(output, "kind", [...TRAINED, "elm-statistics", "evaluation", ...QUERIES]),
    clipMicro: integer(output, "clip_micro", 1, 1_000_000_000),
    bins: binned[0] === "bins" ? integer(output, "bins", 2, MOST_BINS) : 0,
    task: "task" in m ? taskOf(m.task, [...inputs, ...target]) : {},
    document: m,
  };
}

/** Rules across the parts of a manifest. @param {Manifest} manifest */
function check(manifest) {
  const {inputs, target, kind, steps, layers, loss} = manifest;
  ensure(!inputs.some((name) => target.includes(name)), "a field is both input and target.");
  const count = parameterCount(manifest);
  ensure(count >= 1 && count <= MAX_PARAMETERS, `it must have 1 to ${MAX_PARAMETERS} parameters.`);
  ensure(kind !== "gradient" || steps === 1, "a gradient comes from exactly one step; use a delta for more.");
  if (kind === "elm-statistics") {
    const fits = layers[layers.length - 1].op === "linear" && layers.slice(0, -1).every(({op}) => FEATURES.includes(op));
    ensure(fits, `elm-statistics solve one linear layer, behind none but ${FEATURES.join(", ")} layers.`);
    ensure(loss === "mse", "elm-statistics solve the loss mse.");
  }
  ensure(outputLength(manifest) <= MAX_PARAMETERS, `a wallet's answer may hold ${MAX_PARAMETERS} values at most.`);
}

/** @param {any} document @param {string} name @returns {string[]} */
function fieldNames(document, name) {
  const value = document[name];
  const listed = Array.isArray(value) && value.length >= 1 && value.length <= 200 && new Set(value).size === value.length;
  const fine = listed && value.every((item) => typeof item === "string" && item !== "" && [...item].length <= 120);
  ensure(fine, `${name} must list 1 to 200 different field names.`);
  return value;
}

// --- layers ---------------------------------------------------------------------------------------------------------

/**
 * By operator: the names a layer has besides `op`, and what follows from them.
 * @type {{[op: string]: [string[], (m: any, width: number, first: boolean) => Partial<Layer>]}}
 */
const OPS = {
  linear: [["out", "bias"], (m, width) => {
    const [widthOut, bias] = [outOf(m), flag(m, "bias")];
    return {widthOut, bias, parameters: width * widthOut + (bias ? widthOut : 0)};
  }],
  embedding: [["blocks"], embedding],
  random: [["out", "seed"], (m) => ({
    widthOut: outOf(m), bias: true, seed: hexBytes(m, "seed", 32), gain: "gain_micro" in m ? integer(m, "gain_micro", 1, 100 * GAIN) / GAIN : 1,
  })],
  layernorm: [[], (_m, width) => ({parameters: 2 * width})],
  dropout: [["rate_micro"], (m) => ({rateMicro: integer(m, "rate_micro", 0, 900_000)})],
  relu: [[], () => ({})],
  tanh: [[], () => ({})],
  sigmoid: [[], () => ({})],
};

/** @param {any} m */
const outOf = (m) => integer(m, "out", 1, MAX_WIDTH);

/** @param {any} value @param {number} widthIn @param {number} widthOut @returns {Layer[]} */
function layersOf(value, widthIn, widthOut) {
  ensure(Array.isArray(value) && value.length >= 1 && value.length <= MAX_LAYERS, `layers must list 1 to ${MAX_LAYERS} layers.`);
  let [width, frozen] = [widthIn, 0];
  const layers = value.map((/** @type {any} */ item, /** @type {number} */ i) => {
    const op = item?.op;
    ensure(typeof op === "string" && Object.hasOwn(OPS, op), `a layer's op must be one of ${Object.keys(OPS).join(", ")}.`);
    const [names, read] = OPS[op];
    const later = op === "random" && Object.hasOwn(item, "gain_micro") ? ["gain_micro"] : [];
    const own = read(exactly(item, ["op", ...names, ...later], `A ${op} layer`), width, i === 0);
    const layer = {op, widthIn: width, widthOut: width, parameters: 0, bias: false, seed: "", gain: 1, rateMicro: 0, blocks: [], ...own};
    width = layer.widthOut;
    if (op === "random") frozen += (layer.widthIn + 1) * layer.widthOut;
    return layer;
  });
  ensure(width === widthOut, `the last layer gives ${width} values, but width_out says ${widthOut}.`);
  ensure(frozen <= MAX_FROZEN, `its random layers may hold ${MAX_FROZEN} values together at most.`);
  return layers;
}

/**
 * Blocks of neighbouring input columns, each mapped by a matrix of its own; every other column passes.
 * @param {any} m @param {number} width @param {boolean} first
 */
function embedding(m, width, first) {
  ensure(first, "an embedding reads the fields' own columns: make it first.");
  const listed = Array.isArray(m.blocks) && m.blocks.length >= 1 && m.blocks.length <= MAX_BLOCKS;
  ensure(listed, `an embedding lists 1 to ${MAX_BLOCKS} blocks of columns.`);
  let free = 0;
  const blocks = /** @type {any[]} */ (m.blocks).map((item) => {
    const b = exactly(item, ["at", "columns", "out"], "A block of an embedding");
    const block = {at: integer(b, "at", free, width - 1), columns: integer(b, "columns", 1, MAX_WIDTH), out: outOf(b)};
    free = block.at + block.columns;
    return block;
  });
  ensure(free <= width, `the blocks reach column ${free} of ${width}.`);
  const widthOut = blocks.reduce((sum, {columns, out}) => sum + out - columns, width);
  ensure(widthOut <= MAX_WIDTH, `an embedding may give ${MAX_WIDTH} values at most.`);
  return {blocks, widthOut, parameters: blocks.reduce((sum, {columns, out}) => sum + columns * out, 0)};
}

// --- the task: how an algorithm wants a field's values combined and scaled ------------------------------------------------

/** @param {any} value @param {string[]} fields @returns {{[field: string]: Preparation}} */
function taskOf(value, fields) {
  const said = Object.entries(Object(value));
  ensure(!Array.isArray(value) && said.length > 0, "task must say something about at least one field; leave it out.");
  for (const [name, item] of said) {
    ensure(fields.includes(name), `task names ${name}, which is neither input nor target.`);
    const known = ["combine", "scale", "low_micro", "high_micro", "bins_micro"].filter((word) => Object.hasOwn(Object(item), word));
    const m = exactly(item, known, `The task of ${name}`);
    ensure(known.length > 0, `the task of ${name} says nothing; leave it out.`);
    for (const end of ["low_micro", "high_micro"]) if (end in m) integer(m, end, -LATEST, LATEST);
    ensure(!(m.low_micro >= m.high_micro), `low_micro of ${name} must be below high_micro.`);
    if ("combine" in m) oneOf(m, "combine", ["mean", "median", "minimum", "maximum", "last"]);
    if ("scale" in m) oneOf(m, "scale", ["linear", "log1p"]);
    if ("bins_micro" in m) ensure(areEdges(m.bins_micro), `bins_micro of ${name} lists 1 to ${MOST_EDGES} rising edges.`);
  }
  return value;
}

/** @param {any} edges */
const areEdges = (edges) => Array.isArray(edges) && edges.length >= 1 && edges.length <= MOST_EDGES &&
  edges.every((edge, i) => Number.isSafeInteger(edge) && (i === 0 || edges[i - 1] < edge));
