// Data requirements: what may stand in one, and what a record lacks for it, in words. Python twins: collectives/terms/profile.py and
// requirements.py. The sentences about a record are those of the wallet everywhere; of a bad requirement only the place is named.

import {canonical, digest} from "./json.js";
import {hex} from "./bytes.js";
import {TermsError} from "./errors.js";

const TYPES = ["object", "array", "string", "integer", "number", "boolean"];
const WORDS = new Set([
  "type", "enum", "const", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "uniqueItems", "required", "properties",
  "items", "additionalProperties", "title", "description", "x-unique-by", "x-assurance", "x-issuers", "x-feature",
]);
const FEATURE_WORDS = ["encode", "transform", "bins", "absent", "unlisted_to", "name", "value", "min", "max"];
const ISSUER = /^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{40,48}$/;
const MAX_DEPTH = 4, MAX_FIELDS = 200, MAX_ENUM = 500, MAX_BINS = 100, MAX_ISSUERS = 50, MAX_NAME = 120, MAX_TEXT = 2000, LARGEST = 1e15;
const MAX_BYTES = 128 * 1024;

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const length = (text) => [...text].length;
const isText = (value, most) => typeof value === "string" && length(value) <= most;
const isNumber = (value) => typeof value === "number" && Number.isFinite(value) && Math.abs(value) <= LARGEST;
const same = (a, b) => JSON.stringify(plain(a)) === JSON.stringify(plain(b));
const plain = (value) => (Array.isArray(value) ? value.map(plain)
  : isObject(value) ? Object.keys(value).sort().map((name) => [name, plain(value[name])]) : value);
const different = (values) => new Set(values.map((value) => JSON.stringify(plain(value)))).size === values.length;
const FITS = {
  object: isObject, array: Array.isArray, string: (v) => typeof v === "string", integer: Number.isInteger,
  number: (v) => typeof v === "number", boolean: (v) => typeof v === "boolean",
};
const constant = (value, type) => ({ string: isText(value, MAX_TEXT), boolean: typeof value === "boolean", number: isNumber(value),
  integer: Number.isInteger(value) && isNumber(value) }[type] ?? false);

/** Throws TermsError `bad_requirement`. @param {any} requirement */
export function checkProfile(requirement) {
  ensure(isObject(requirement) && requirement.type === "object", "A data requirement is a JSON Schema of type object.");
  ensure(canonical(requirement).length <= MAX_BYTES, `A data requirement holds at most ${MAX_BYTES / 1024} KiB.`);
  checkNode(requirement, "the requirement", MAX_DEPTH);
}

/** The requirement's id, hex. @param {any} requirement */
export const requirementHash = async (requirement) => hex(await digest(requirement));

function ensure(good, sentence) {
  if (!good) throw new TermsError("bad_requirement", sentence);
}

function checkNode(node, place, depth) {
  const fine = (good, what) => ensure(good, `${what} of ${place} is not as a data requirement has it.`);
  fine(isObject(node) && TYPES.includes(node.type), "the type");
  fine(depth > 0 || !["object", "array"].includes(node.type), "the depth");
  fine(Object.keys(node).every((word) => WORDS.has(word)), "a word");
  for (const [least, most] of [["minItems", "maxItems"], ["minLength", "maxLength"]]) {
    for (const word of [least, most]) {
      fine(!(word in node) || (Number.isInteger(node[word]) && node[word] >= 0 && node[word] < 2 ** 31), word);
    }
    fine((node[least] ?? 0) <= (node[most] ?? LARGEST), least);
  }
  for (const word of ["minimum", "maximum"]) fine(!(word in node) || isNumber(node[word]), word);
  fine(!("minimum" in node && "maximum" in node) || node.minimum <= node.maximum, "minimum");
  if ("enum" in node) {
    fine(Array.isArray(node.enum) && node.enum.length >= 1 && node.enum.length <= MAX_ENUM, "enum");
    fine(node.enum.every((value) => constant(value, node.type)) && different(node.enum), "enum");
  }
  fine(!("const" in node) || constant(node.const, node.type), "const");
  for (const word of ["title", "description"]) fine(!(word in node) || isText(node[word], MAX_TEXT), word);
  fine(typeof (node.uniqueItems ?? false) === "boolean", "uniqueItems");
  if (depth === MAX_DEPTH - 1) checkAssurance(node, fine);
  else fine(!("x-assurance" in node) && !("x-issuers" in node), "x-assurance");
  if (node.type === "object") checkObject(node, fine, depth);
  if (node.type === "array") {
    fine("items" in node, "items");
    checkNode(node.items, `the items of ${place}`, depth - 1);
  }
  fine(!("x-unique-by" in node) || Object.hasOwn(itemProperties(node), node["x-unique-by"]), "x-unique-by");
  if ("x-feature" in node) checkFeature(node, node["x-feature"], fine);
}

function checkObject(node, fine, depth) {
  const {properties, required = []} = node;
  fine(isObject(properties) && Object.keys(properties).length >= 1 && Object.keys(properties).length <= MAX_FIELDS, "properties");
  fine(Object.keys(properties).every((name) => name && length(name) <= MAX_NAME), "properties");
  fine(node.additionalProperties === false, "additionalProperties");
  fine(Array.isArray(required) && required.every((name) => typeof name === "string" && Object.hasOwn(properties, name)), "required");
  fine(different(required), "required");
  for (const [name, child] of Object.entries(properties)) checkNode(child, name, depth - 1);
}

function checkAssurance(field, fine) {
  const assurance = field["x-assurance"] ?? "declared", issuers = field["x-issuers"] ?? [];
  fine(["declared", "attested", "unlinkable"].includes(assurance), "x-assurance");
  fine(Array.isArray(issuers) && issuers.length <= MAX_ISSUERS, "x-issuers");
  fine(issuers.every((issuer) => typeof issuer === "string" && ISSUER.test(issuer)) && different(issuers), "x-issuers");
  fine((assurance !== "declared") === issuers.length > 0, "x-issuers");
}

const itemProperties = (node) => (node.type === "array" && node.items.type === "object" ? node.items.properties : {});
const isRanged = (node) => ["integer", "number"].includes(node.type) && "minimum" in node && "maximum" in node;

function checkFeature(node, feature, fine) {
  const good = (condition) => fine(condition, "x-feature");
  good(isObject(feature) && Object.keys(feature).every((word) => FEATURE_WORDS.includes(word)));
  const {encode, transform = "linear", bins = [], unlisted_to: unlisted = null} = feature;
  if (encode === "number") {
    good(isRanged(node) && ["linear", "log1p"].includes(transform) && (transform !== "log1p" || node.minimum > -1));
    good(Array.isArray(bins) && bins.length <= MAX_BINS && bins.every(isNumber) && bins.every((edge, i) => i === 0 || bins[i - 1] < edge));
  } else if (encode === "one-hot") good("enum" in node && (unlisted === null || node.enum.some((value) => same(value, unlisted))));
  else if (encode === "multi-hot") good(node.type === "array" && "enum" in node.items);
  else if (encode === "boolean") good(node.type === "boolean");
  else if (encode === "mean-of-measurements") {
    const item = itemProperties(node), name = item[feature.name ?? "name"], value = item[feature.value ?? "measurements"];
    good(name !== undefined && "enum" in name && value?.type === "array" && isRanged(value.items));
  } else good(encode === "none");
}

/** The part of a record a requirement asks for; nothing else is ever encoded or committed to. @param {any} record @param {any} requirement */
export const project = (record, requirement) =>
  Object.fromEntries(Object.keys(requirement.properties).filter((name) => Object.hasOwn(record, name)).map((name) => [name, record[name]]));

/** What a record lacks, in words; empty when it is met. @param {any} requirement @param {any} record @returns {string[]} */
export function problems(requirement, record) {
  const found = [];
  lacks(requirement, record, [], (path, sentence) => {
    const place = path.map((part) => (typeof part === "number" ? `entry ${part + 1}` : part)).join(", ");
    found.push(place ? `${place}: ${sentence}` : sentence);
  });
  return [...new Set(found)];
}

const KINDS = {
  object: "must be an object", array: "must be a list", string: "must be text", integer: "must be a whole number", number: "must be a number",
  boolean: "must be true or false",
};

function lacks(schema, value, path, tell) {
  const say = (wrong, sentence) => { if (wrong) tell(path, sentence); };
  say(!FITS[schema.type](value), KINDS[schema.type]);
  say("enum" in schema && !schema.enum.some((one) => same(one, value)), "is not one of the listed values");
  say("const" in schema && !same(schema.const, value), "is not the expected value");
  if (typeof value === "number") {
    say(value < schema.minimum, `must be at least ${schema.minimum}`);
    say(value > schema.maximum, `must be at most ${schema.maximum}`);
  }
  if (typeof value === "string") {
    say(length(value) < schema.minLength, `needs at least ${schema.minLength} characters`);
    say(length(value) > schema.maxLength, `has more than ${schema.maxLength} characters`);
  }
  if (Array.isArray(value)) {
    const key = schema["x-unique-by"], named = value.filter((item) => isObject(item) && Object.hasOwn(item, key)).map((item) => item[key]);
    say(value.length < schema.minItems, `${value.length} of at least ${schema.minItems}`);
    say(value.length > schema.maxItems, `${value.length}, at most ${schema.maxItems} are allowed`);
    say(schema.uniqueItems && !different(value), "holds the same item twice");
    say(key !== undefined && !different(named), `two entries have the same ${key}`);
    if (schema.items) value.forEach((item, i) => lacks(schema.items, item, [...path, i], tell));
  } else if (isObject(value)) {
    const known = schema.properties ?? {}, unexpected = Object.keys(value).filter((name) => !Object.hasOwn(known, name));
    for (const name of schema.required ?? []) say(!Object.hasOwn(value, name), `${name} is missing`);
    say(schema.additionalProperties === false && unexpected.length > 0, `${unexpected.join(", ")} is not asked for`);
    for (const [name, child] of Object.entries(known)) if (Object.hasOwn(value, name)) lacks(child, value[name], [...path, name], tell);
  }
}
