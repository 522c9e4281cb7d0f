// @ts-check
/** Values as a person enters and reads them. The form is that of the data creation tool, made from the requirement; nobody writes JSON. */

import { h } from "./dom.js";
import { group, judge } from "./form.js";

const WRONG = "Correct what is marked; nothing was saved.";

/**
 * A form for what the holder may state. Saving an unfinished one is fine, a wrong one is not.
 * @param {any} requirement
 * @param {Record<string, any>} record what the wallet holds
 * @param {any} draft what was entered and not yet saved, when this form takes the place of another
 * @param {(words: Record<string, string>) => Promise<any>} save
 * @param {(sentence: string) => void} say
 * @returns {any} the form; `draft()` is what is entered and not saved, or null, and `saved()` says that it is
 */
export function entering(requirement, record, draft, save, say) {
  const asked = stated(requirement);
  const state = h("p", { class: "muted", "aria-live": "polite" });
  let tried = false, touched = Boolean(draft);
  const look = () => {
    const seen = judge(parts, asked, tried);
    const sentence = summary(seen.problems);
    if (state.textContent !== sentence) state.textContent = sentence;
    return seen;
  };
  const changed = () => {
    touched = true;
    look();
  };
  const parts = group(asked, undefined, changed);
  parts.write(fitting(asked, draft ?? record) ?? {});
  const form = h("form", { novalidate: true, autocomplete: "off" }, parts.element, state,
    h("p", { class: "help" }, "A field you leave empty changes nothing. To delete a value, look at your data above."),
    h("div", {}, h("button", { class: "button primary" }, "Check and save")));
  form.addEventListener("input", changed);
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    tried = true;
    const { data, places } = look();
    const wrong = [...places].find(([, own]) => own.some(isWrong));
    if (!wrong) return save(worded(asked, data));
    wrong[0].focus();
    return say(WRONG);
  });
  form.draft = () => (touched ? parts.read() : null);
  form.saved = () => { touched = false; };
  look();
  return form;
}

/** The fields that an issuer must attest; what a holder types counts for none of them. @param {any} requirement @returns {[string, any][]} */
export function attested(requirement) {
  return Object.entries(requirement.properties).filter(([, spec]) => (spec["x-assurance"] ?? "declared") !== "declared");
}

/** The requirement without those. @param {any} requirement */
function stated(requirement) {
  const others = new Set(attested(requirement).map(([name]) => name));
  const own = (/** @type {string} */ name) => !others.has(name);
  return { ...requirement, properties: Object.fromEntries(Object.entries(requirement.properties).filter(([name]) => own(name))),
    required: (requirement.required ?? []).filter(own) };
}

/** @param {any} problem */
function isWrong(problem) {
  return problem.missing === undefined && !problem.few;
}

/** @param {any[]} problems */
function summary(problems) {
  const wrong = problems.filter(isWrong).length, open = problems.length - wrong;
  const parts = [open ? `${open} ${open === 1 ? "thing is" : "things are"} missing` : "", wrong ? `${wrong} ${wrong === 1 ? "is" : "are"} wrong` : ""].filter(Boolean);
  return parts.length ? `${parts.join(", ")}. You can save what is here and go on later.` : "Everything asked for is entered.";
}

/** What is sent to the wallet: the text of each field, of lists and objects as JSON. Lists that are too short because nothing was entered stay out.
 * @param {any} asked @param {Record<string, any>} data */
function worded(asked, data) {
  const entered = Object.entries(data).filter(([name, value]) => !(Array.isArray(value) && !value.length && asked.properties[name].minItems));
  return Object.fromEntries(entered.map(([name, value]) => [name, typeof value === "object" ? JSON.stringify(value) : String(value)]));
}

/** The part of a value that the form has places for: another collective may have asked for the same field in another form.
 * @param {any} schema @param {any} value @returns {any} */
function fitting(schema, value) {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (schema.type === "object") {
    if (!isObject) return undefined;
    const known = Object.entries(schema.properties).filter(([name]) => Object.hasOwn(value, name)).map(([name, child]) => [name, fitting(child, value[name])]);
    return Object.fromEntries(known.filter(([, part]) => part !== undefined));
  }
  if (schema.type === "array") return Array.isArray(value) ? value.map((item) => fitting(schema.items, item)).filter((item) => item !== undefined) : undefined;
  return typeof value === "object" ? undefined : value;
}

/** A value to be read: lists as lists, never as JSON. @param {any} value @returns {any} */
export function shown(value) {
  if (Array.isArray(value)) {
    if (!value.length) return "nothing";
    if (value.every((item) => typeof item !== "object")) return value.map(shown).join(", ");
    return h("ul", {}, value.map((item) => h("li", {}, shown(item))));
  }
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).map(([name, part], i) => [i ? "; " : "", `${name}: `, shown(part)]);
  }
  return typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
}
