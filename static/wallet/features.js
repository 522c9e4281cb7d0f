// From a record to numbers, by the requirement's public constants alone. Twin: collectives/training/features.py, which lists the encodings.
//
// Nothing is fitted on anybody's data. A field that may be absent has one more column, 1 when it is absent; targets have no such column,
// and their numbers are scaled to [0, 1] instead of [−1, 1].

import {TermsError} from "./errors.js";

/** @typedef {{width: number, column: (value: any) => number[]}} Encoding */

/**
 * Encodes records for one requirement and manifest; throws TermsError `wrong_fields` when they do not fit.
 * @param {any} requirement @param {import("./manifest.js").Manifest} manifest
 * @returns {(record: any) => {x: Float32Array, y: Float32Array}} y is one class number for softmax
 */
export function encoder(requirement, manifest) {
  const inputs = manifest.inputs.map((name) => input(requirement, name));
  const targets = manifest.target.map((name) => target(requirement, name));
  for (const [said, encodings, what] of [[manifest.widthIn, inputs, "width_in"], [manifest.widthOut, targets, "width_out"]]) {
    const found = encodings.reduce((sum, {width}) => sum + width, 0);
    ensure(said === found, `The manifest says ${what} ${said}; its fields give ${found}.`);
  }
  const classes = manifest.loss === "softmax-cross-entropy";
  return (record) => {
    const value = (/** @type {string} */ name) => (Object.hasOwn(record, name) ? record[name] : null);
    const x = manifest.inputs.flatMap((name, i) => inputs[i].column(value(name)));
    const y = manifest.target.flatMap((name, i) => targets[i].column(value(name)));
    return {x: Float32Array.from(x), y: Float32Array.from(classes ? [y.indexOf(Math.max(...y))] : y)};
  };
}

/** @param {boolean} fine @param {string} sentence */
function ensure(fine, sentence) {
  if (!fine) throw new TermsError("wrong_fields", sentence);
}

/** @param {any} requirement @param {string} name */
function specOf(requirement, name) {
  ensure(Object.hasOwn(requirement.properties, name), `The requirement has no field ${name}.`);
  return {spec: requirement.properties[name], required: (requirement.required ?? []).includes(name)};
}

/** @param {any} requirement @param {string} name @returns {Encoding} */
function input(requirement, name) {
  const {spec, required} = specOf(requirement, name);
  const {width, column} = encoding(spec, name, -1);
  if (required) return {width, column};
  return {width: width + 1, column: (value) => (value === null ? [...zeros(width), 1] : [...column(value), 0])};
}

/** @param {any} requirement @param {string} name @returns {Encoding} */
function target(requirement, name) {
  const {spec, required} = specOf(requirement, name);
  ensure(required, `The target ${name} must be a required field.`);
  return encoding({...spec, "x-feature": {...spec["x-feature"], bins: []}}, name, 0);
}

/** @param {number} length */
const zeros = (length) => Array.from({length}, () => 0);

/** A one at this place. @param {number} length @param {number} place */
const oneHot = (length, place) => zeros(length).fill(1, place, place + 1);

/** @param {any} spec @param {string} name @param {number} low what the least value becomes @returns {Encoding} */
function encoding(spec, name, low) {
  const feature = spec["x-feature"] ?? {};
  const encode = Object.hasOwn(ENCODINGS, feature.encode) ? ENCODINGS[feature.encode] : null;
  ensure(encode !== null, `The field ${name} says no way (x-feature) to become numbers.`);
  return /** @type {any} */ (encode)(spec, feature, low, name);
}

/** x → [bottom, 1] over the public range; a range of one point gives the bottom. @param {any} spec @param {number} bottom @param {(x: number) => number} t */
function scale({minimum, maximum}, bottom, t = (x) => x) {
  const start = t(minimum);
  const span = t(maximum) - start || 1;
  return (/** @type {number} */ x) => bottom + ((1 - bottom) * (t(Math.min(Math.max(x, minimum), maximum)) - start)) / span;
}

/** @type {{[encode: string]: (spec: any, feature: any, low: number, name: string) => Encoding}} */
const ENCODINGS = {
  number(spec, feature, low, name) {
    ensure("minimum" in spec && "maximum" in spec, `The number ${name} needs a public minimum and maximum.`);
    const scaled = scale(spec, low, feature.transform === "log1p" ? Math.log1p : undefined);
    const edges = feature.bins ?? [];
    if (edges.length === 0) return {width: 1, column: (value) => [scaled(value)]};
    const bin = (/** @type {number} */ value) => edges.filter((/** @type {number} */ edge) => edge <= value).length;
    return {width: edges.length + 2, column: (value) => [scaled(value), ...oneHot(edges.length + 1, bin(value))]};
  },
  boolean: () => ({width: 1, column: (value) => [value ? 1 : 0]}),
  "one-hot"({enum: values}, {unlisted_to: other}) {
    const place = (/** @type {any} */ value) => values.indexOf(values.includes(value) ? value : other);
    return {width: values.length, column: (value) => oneHot(values.length, place(value))};
  },
  "multi-hot"({items: {enum: values}}) {
    return {width: values.length, column: (chosen) => values.map((/** @type {any} */ value) => (chosen.includes(value) ? 1 : 0))};
  },
  "mean-of-measurements"(spec, feature, low) {
    const {name = "name", value = "measurements"} = feature;
    const item = spec.items.properties;
    const scaled = scale(item[value].items, low);
    /** The scaled mean of every listed name, or null. @param {any[]} entries @returns {(number | null)[]} */
    const means = (entries) => {
      const found = new Map(entries.filter((entry) => entry[value].length).map((entry) => [entry[name], mean(entry[value])]));
      return item[name].enum.map((/** @type {any} */ one) => (found.has(one) ? scaled(found.get(one)) : null));
    };
    const count = item[name].enum.length;
    if (low === 0) return {width: count, column: (entries) => means(entries).map((one) => one ?? 0)}; // a target: "not there" is "none of it"
    return {width: 2 * count, column: (entries) => means(entries).flatMap((one) => (one === null ? [0, 0] : [one, 1]))};
  },
};

/** @param {number[]} numbers */
const mean = (numbers) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
