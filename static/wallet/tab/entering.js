// The person's own data out of a form or a file, typed as a collective's requirement says. Python twins: wallets/agent/credentials.py and
// collectives/datatool/saved.py (the file of the data creation tool).

import {hex} from "../bytes.js";
import {TermsError} from "../errors.js";
import {WalletError, badData} from "../failures.js";
import {canonical, digest, parseJson} from "../json.js";
import {requirementHash} from "../requirement.js";

const LARGEST_FILE = 4 * 1024 * 1024, NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const WORDS = {true: true, yes: true, 1: true, false: false, no: false, 0: false};
const some = (names, most = 8) => names.slice(0, most).join(", ") + (names.length > most ? ", …" : "");

/** A record from the texts of a form; lists and objects are JSON text, empty texts are left out. @param {Record<string, string>} words @param {any} requirement */
export function fromWords(words, requirement) {
  const fields = requirement.properties, unknown = Object.keys(words).filter((name) => !Object.hasOwn(fields, name)).sort();
  if (unknown.length) throw badData(`Fields nobody asked for: ${some(unknown)}. Asked for: ${Object.keys(fields).join(", ")}.`);
  const given = Object.entries(words).filter(([, text]) => text.trim());
  return carried(Object.fromEntries(given.map(([name, text]) => [name, typed(name, text.trim(), fields[name])])));
}

/** The record in a file's text; `name` decides between CSV and JSON. @param {string} name @param {string} text @param {any} requirement */
export async function fromText(name, text, requirement) {
  if (text.length > LARGEST_FILE) throw badData(`${name} is larger than 4 MiB. One wallet holds one person's record.`);
  const plain = text.replace(/^\ufeff/, "");
  if (!plain.trim()) throw badData(`${name} is empty. Export your data again and check that the file has content.`);
  if (name.toLowerCase().endsWith(".csv")) return fromCsv(plain, requirement);
  const value = fromJson(plain), record = isSaved(value) ? await unpack(value, requirement) : value;
  const unknown = Object.keys(record).filter((field) => !Object.hasOwn(requirement.properties, field)).sort();
  if (unknown.length) {
    throw badData(`${name} has fields nobody asked for: ${some(unknown)}. Take them out of the file. `
      + `Asked for: ${some(Object.keys(requirement.properties), 40)}.`);
  }
  return carried(record);
}

function fromJson(text) {
  let value;
  try {
    value = parseJson(text);
  } catch (error) {
    if (!(error instanceof TermsError)) throw error;
    throw badData(`This is not JSON that can be used: ${error.message} Check the file or save it as CSV.`);
  }
  if (Array.isArray(value) && value.length === 1) [value] = value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw badData('The file must hold one object with your fields, for example {"age": 41}.');
  }
  return value;
}

const isSaved = (value) => Object.keys(value).sort().join() === "data,hash,requirement_id";

/** The record in a file of the data creation tool, if it was made for this requirement and is whole. */
async function unpack({requirement_id: made, hash, data}, requirement) {
  if (made !== await requirementHash(requirement)) {
    throw badData("The file was made for another data requirement. Get the tool from this collective's page and fill it again.", "wrong_requirement");
  }
  const whole = typeof data === "object" && data !== null && !Array.isArray(data) && hex(await digest(data)) === hash;
  if (!whole) {
    throw badData("The file was changed after it was saved: its hash does not fit its data. Save it again with the tool.", "changed_file");
  }
  return data;
}

/** One row of CSV; the header names the requirement's fields, empty cells are left out. */
function fromCsv(text, requirement) {
  const rows = cells(text), fields = requirement.properties;
  if (!rows.length) throw badData("The file is empty. Export your data again and check that it has content.");
  const header = rows[0].map((name) => name.trim()), [, row] = rows;
  const mark = header.length === 1 && [";", "\t"].find((other) => header[0].includes(other));
  if (mark) throw badData(`The columns are separated by ${mark === "\t" ? "tabs" : "“;”"}. Save the file as CSV with commas between the values.`);
  checkHeader(header, requirement);
  if (!row) throw badData("The file has a header but no row with your values. Add one row below the header.");
  if (row.length !== header.length) throw badData(`The row has ${row.length} values for ${header.length} columns. Check quotes and separators.`);
  const given = header.map((name, i) => /** @type {[string, string]} */ ([name, row[i].trim()])).filter(([, cell]) => cell);
  return carried(Object.fromEntries(given.map(([name, cell]) => [name, typed(name, cell, fields[name])])));
}

function checkHeader(header, {properties, required = []}) {
  const twice = header.filter((name, i) => header.indexOf(name) !== i), unknown = header.filter((name) => !Object.hasOwn(properties, name));
  const absent = required.filter((name) => !header.includes(name));
  const problems = [["columns named twice", twice], ["columns nobody asked for", unknown], ["columns missing", absent]]
    .filter(([, names]) => names.length).map(([what, names]) => `${what}: ${some(/** @type {string[]} */ (names))}`);
  if (problems.length) {
    throw badData(`The columns do not match the requirement: ${problems.join("; ")}. Expected columns: ${some(Object.keys(properties), 40)}.`);
  }
}

/** RFC 4180; lines that hold nothing are left out. @param {string} text @returns {string[][]} */
function cells(text) {
  const rows = [[""]];
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at], row = rows[rows.length - 1], last = row.length - 1;
    if (quoted) {
      if (letter !== '"') row[last] += letter;
      else if (text[at + 1] === '"') row[last] += text[at += 1];
      else quoted = false;
    } else if (letter === '"' && row[last] === "") quoted = true;
    else if (letter === ",") row.push("");
    else if (letter === "\n") rows.push([""]);
    else if (letter !== "\r") row[last] += letter;
  }
  if (quoted) throw badData("This is not well-formed CSV: a quote is not closed. Save it again as CSV.");
  return rows.filter((row) => row.length > 1 || row[0] !== "");
}

function typed(name, text, spec) {
  if (spec.enum && !spec.enum.includes(text)) {
    const found = spec.enum.find((option) => typeof option !== "string" && JSON.stringify(option) === text);
    if (found === undefined) throw badData(`${name}: “${text}” is not one of the allowed values (${some(spec.enum.map(String))}).`);
    return found;
  }
  if (spec.type === "boolean") {
    if (!Object.hasOwn(WORDS, text.toLowerCase())) throw badData(`${name}: “${text}” is neither true nor false.`);
    return WORDS[text.toLowerCase()];
  }
  if (spec.type === "number" || spec.type === "integer") return number(name, text, spec.type === "integer");
  if (spec.type !== "array" && spec.type !== "object") return text;
  try {
    return parseJson(text);
  } catch {
    throw badData(`${name}: a list or object is written as JSON, for example ["a", "b"].`);
  }
}

function number(name, text, whole) {
  if (!NUMBER.test(text)) throw badData(`${name}: “${text}” is not a number. Use a point for decimals and no unit.`);
  const value = Number(text);
  if (!Number.isFinite(value)) throw badData(`${name}: “${text}” is not a finite number.`);
  if (whole && !Number.isInteger(value)) throw badData(`${name}: “${text}” is not a whole number.`);
  return value;
}

/** The record itself, if its commitment can be made of it. */
function carried(record) {
  for (const [name, value] of Object.entries(record)) {
    const broken = new WalletError("bad_data", `${name}: holds a number that is too large, or a broken character. Correct it or leave the field out.`);
    if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) throw broken;
    try {
      canonical({[name]: value});
    } catch {
      throw broken;
    }
  }
  return record;
}
