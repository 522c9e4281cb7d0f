// From a record to numbers, by the requirement's public constants alone. Twin: collectives/training/features.py, which lists the encodings.
//
// Nothing is fitted on anybody's data. A field that may be absent has one more column, 1 when it is absent; targets have no such column,
// and their numbers are scaled to [0, 1] instead of [−1, 1]. A manifest's `task` may choose another range, scale, bins or combination.

import {TermsError} from "./errors.js";

/** @typedef {{width: number, column: (value: any) => number[]}} Encoding */
/** @typedef {import("./manifest.js").Preparation} Preparation */

/**
 * Encodes records for one requirement and manifest; throws TermsError `wrong_fields` when they do not fit.
 * @param {any} requirement @param {import("./manifest.js").Manifest} manifest
 * @returns {(record: any) => {x: Float32Array, y: Float32Array}} y is one class number for softmax
 */
export function encoder(requirement, manifest) {
  const task = (/** @type {string} */ name) => (Object.hasOwn(manifest.task, name) ? manifest.task[name] : {});
  const inputs = manifest.inputs.map((name) => input(requirement, name, task(name)));
  const targets = manifest.target.map((name) => target(requirement, name, task(name)));
  /** @type {[number, Encoding[], string][]} */
  const widths = [[manifest.widthIn, inputs, "width_in"], [manifest.widthOut, targets, "width_out"]];
  for (const [said, encodings, what] of widths) {
    const found = encodings.reduce((sum, {width}) => sum + width, 0);
    ensure(said === found, `The manifest says ${what} ${said}; its fields give ${found}.`);
  }
  checkBlocks(requirement, manifest, inputs);
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

/**
 * An embedding's blocks are the columns of whole fields of listed values.
 * @param {any} requirement @param {import("./manifest.js").Manifest} manifest @param {Encoding[]} encodings
 */
function checkBlocks(requirement, {inputs, layers}, encodings) {
  const blocks = layers?.[0]?.blocks ?? [];
  let at = 0;
  const spans = inputs.map((name, i) => {
    const listed = ["one-hot", "multi-hot"].includes(specOf(requirement, name).spec["x-feature"]?.encode);
    return {at: (at += encodings[i].width) - encodings[i].width, columns: listed ? encodings[i].width : -1};
  });
  for (const block of blocks) {
    const whole = spans.some((span) => span.at === block.at && span.columns === block.columns);
    ensure(whole, `The embedding's block at column ${block.at} is not one field of listed values.`);
  }
}

/** @param {any} requirement @param {string} name @param {Preparation} task @returns {Encoding} */
function input(requirement, name, task) {
  const {spec, required} = specOf(requirement, name);
  const {width, column} = encoding(spec, name, -1, task);
  if (required) return {width, column};
  return {width: width + 1, column: (value) => (value === null ? [...zeros(width), 1] : [...column(value), 0])};
}

/** @param {any} requirement @param {string} name @param {Preparation} task @returns {Encoding} */
function target(requirement, name, task) {
  const {spec, required} = specOf(requirement, name);
  ensure(required, `The target ${name} must be a required field.`);
  ensure(!task.bins_micro, `The target ${name} cannot be put into bins.`);
  return encoding({...spec, "x-feature": {...spec["x-feature"], bins: []}}, name, 0, task);
}

/** @param {number} length */
const zeros = (length) => Array.from({length}, () => 0);

/** A one at this place. @param {number} length @param {number} place */
const oneHot = (length, place) => zeros(length).fill(1, place, place + 1);

/**
 * @param {any} spec @param {string} name @param {number} low what the least value becomes @param {Preparation} task @returns {Encoding}
 */
function encoding(spec, name, low, task) {
  const feature = spec["x-feature"] ?? {};
  ensure(Object.hasOwn(ENCODINGS, feature.encode), `The field ${name} says no way (x-feature) to become numbers.`);
  const stranger = Object.keys(task).find((word) => !(TASK_WORDS[feature.encode] ?? []).includes(word));
  ensure(stranger === undefined, `The task of ${name} says ${stranger}, which this kind of field lacks.`);
  return ENCODINGS[feature.encode](spec, feature, low, name, task);
}

/** What a task may say of a kind of field. @type {{[encode: string]: string[]}} */
const TASK_WORDS = {
  number: ["scale", "low_micro", "high_micro", "bins_micro"], "mean-of-measurements": ["combine", "scale", "low_micro", "high_micro"],
};

/**
 * x → [bottom, 1] over the public range, the task's ends before the requirement's; a range of one point gives the bottom.
 * @param {any} spec @param {string} name @param {number} bottom @param {Preparation} task @param {boolean} log
 */
function scale(spec, name, bottom, task, log) {
  const least = task.low_micro === undefined ? spec.minimum : task.low_micro / 1e6;
  const most = task.high_micro === undefined ? spec.maximum : task.high_micro / 1e6;
  ensure(least !== undefined && most !== undefined, `The number ${name} needs a public minimum and maximum.`);
  ensure(least <= most, `The range of ${name} is empty.`);
  ensure(!log || least > -1, `log1p of ${name} needs a range above -1.`);
  const t = log ? Math.log1p : (/** @type {number} */ x) => x;
  const start = t(least);
  const span = t(most) - start || 1;
  return (/** @type {number} */ x) => bottom + ((1 - bottom) * (t(Math.min(Math.max(x, least), most)) - start)) / span;
}

/** What stands for all measurements of an entry. @type {{[combine: string]: (numbers: number[]) => number}} */
const COMBINED = {
  mean: (numbers) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length,
  median: (numbers) => {
    const [sorted, half] = [[...numbers].sort((a, b) => a - b), numbers.length >> 1];
    return numbers.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  },
  minimum: (numbers) => Math.min(...numbers),
  maximum: (numbers) => Math.max(...numbers),
  last: (numbers) => numbers[numbers.length - 1],
};

/** @type {{[encode: string]: (spec: any, feature: any, low: number, name: string, task: Preparation) => Encoding}} */
const ENCODINGS = {
  number(spec, feature, low, name, task) {
    const scaled = scale(spec, name, low, task, (task.scale ?? feature.transform) === "log1p");
    const edges = task.bins_micro?.map((edge) => edge / 1e6) ?? feature.bins ?? [];
    if (edges.length === 0) return {width: 1, column: (value) => [scaled(value)]};
    const bin = (/** @type {number} */ value) => edges.filter((/** @type {number} */ edge) => edge <= value).length;
    return {width: edges.length + 2, column: (value) => [scaled(value), ...oneHot(edges.length + 1, bin(value))]};
  },
  boolean: () => ({width: 1, column: (value) => [value ? 1 : 0]}),
  "one-hot"({enum: values}, {unlisted_to: other}) {
    const place = (/** @type {any} */ value) => {
      const found = values.indexOf(values.includes(value) ? value : other);
      ensure(found >= 0, "A value is not one of the listed ones.");
      return found;
    };
    return {width: values.length, column: (value) => oneHot(values.length, place(value))};
  },
  "multi-hot"({items: {enum: values}}) {
    return {width: values.length, column: (chosen) => values.map((/** @type {any} */ value) => (chosen.includes(value) ? 1 : 0))};
  },
  "mean-of-measurements"(spec, feature, low, field, task) {
    const {name = "name", value = "measurements"} = feature;
    const item = spec.items.properties;
    const [scaled, combined] = [scale(item[value].items, field, low, task, task.scale === "log1p"), COMBINED[task.combine ?? "mean"]];
    /** The scaled combination of every listed name, or null. @param {any[]} entries @returns {(number | null)[]} */
    const found = (entries) => {
      const known = new Map(entries.filter((entry) => entry[value].length).map((entry) => [entry[name], combined(entry[value])]));
      return item[name].enum.map((/** @type {any} */ one) => (known.has(one) ? scaled(/** @type {number} */ (known.get(one))) : null));
    };
    const count = item[name].enum.length;
    if (low === 0) return {width: count, column: (entries) => found(entries).map((one) => one ?? 0)}; // a target: "not there" is "none of it"
    return {width: 2 * count, column: (entries) => found(entries).flatMap((one) => (one === null ? [0, 0] : [one, 1]))};
  },
};
