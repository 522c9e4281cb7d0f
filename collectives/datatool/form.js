// A form made from the requirement, for the data creation tool and for the pages of a wallet. Everything shown comes in as text, never as markup.

import { told } from "./phrases.js";
import { KINDS, canonical, check } from "./rules.js";

let serial = 0;
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
};
const unique = (stem) => { serial += 1; return `${stem}-${serial}`; };

// What a part has to say: a mistake, or only how much is still to come.
const speak = (complaint, sentences, wrong) => {
  complaint.hidden = sentences.length === 0;
  complaint.className = wrong ? "problem" : "hint";
  complaint.textContent = sentences.map((said) => told(said)).join("; ");
};

// A part of the form: {element, read() -> value or undefined, write(value), at(path) -> part, say(sentences, wrong), focus()}; `title` is the
// element that names it, where it has one.
const leaf = (control, read, write, parts) => {
  const complaint = make("p", { id: unique("problem"), class: "problem", hidden: true });
  const described = [parts.hint?.id, complaint.id].filter(Boolean).join(" ");
  control.setAttribute("aria-describedby", described);
  return {
    element: make("div", { class: "field" }, parts.label, control, parts.hint, complaint),
    title: parts.label ?? control.querySelector("legend"),
    read,
    write,
    at() { return this; },
    say(sentences, wrong) {
      speak(complaint, sentences, wrong);
      control.setAttribute("aria-invalid", String(wrong));
    },
    focus: () => (control.matches("fieldset") ? control.querySelector("input, button, select") : control).focus(),
    children: () => [],
  };
};

const named = (schema, name) => schema.title || name;
const star = (needed) => (needed ? make("span", { class: "needed" }, told(" (required)")) : undefined);
const hinted = (text) => (text ? make("p", { id: unique("hint"), class: "hint" }, text) : undefined);

const range = (schema) => {
  const { minimum: least, maximum: most } = schema;
  if (least !== undefined && most !== undefined) return ` from ${least} to ${most}`;
  if (least !== undefined) return `, at least ${least}`;
  return most !== undefined ? `, at most ${most}` : "";
};
const size = ({ minLength: least, maxLength: most }) => {
  if (least && most) return ` of ${least} to ${most} characters`;
  if (least) return ` of at least ${least} characters`;
  return most ? ` of at most ${most} characters` : "";
};
const kind = (schema) => told(({
  integer: () => `a whole number${range(schema)}`, number: () => `a number${range(schema)}`, string: () => `text${size(schema)}`,
})[schema.type]());
const amount = (schema) => {
  const { minItems: least, maxItems: most } = schema;
  if (least && most) return least === most ? `exactly ${least}` : `${least} to ${most}`;
  if (least) return `at least ${least}`;
  return most ? `at most ${most}` : "";
};
const entriesOf = (schema) => {
  const words = amount(schema);
  return words && told(`${words} ${(schema.maxItems ?? schema.minItems) === 1 ? "entry" : "entries"}`);
};
const chosenOf = (schema) => amount(schema) && told(`choose ${amount(schema)}`);
const sentence = (...parts) => parts.filter(Boolean).map((part) => part[0].toUpperCase() + part.slice(1)).join(". ");

const choice = (schema, name, needed) => {
  const options = schema.type === "boolean" && !schema.enum ? [true, false] : schema.enum ?? [schema.const];
  const words = (value) => (typeof value === "boolean" ? told(value ? "yes" : "no") : String(value));
  const control = make("select", { id: unique("field") }, make("option", { value: "" }, told("choose…")),
    ...options.map((value) => make("option", { value: canonical(value) }, words(value))));
  const listed = (text) => options.find((option) => canonical(option) === text);
  const write = (value) => { control.value = listed(canonical(value)) === undefined ? "" : canonical(value); };
  const label = make("label", { for: control.id }, named(schema, name), star(needed));
  return leaf(control, () => listed(control.value), write, { label, hint: hinted(schema.description) });
};

const text = (schema, name, needed) => {
  const numeric = schema.type !== "string";
  const control = make("input", {
    id: unique("field"), type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off",
    inputmode: numeric ? (schema.type === "integer" && schema.minimum >= 0 ? "numeric" : "decimal") : undefined,
  });
  const read = () => {
    const typed = numeric ? control.value.trim() : control.value;
    if (typed === "") return undefined;
    return numeric && Number.isFinite(Number(typed)) ? Number(typed) : typed;
  };
  const label = make("label", { for: control.id }, named(schema, name), star(needed));
  const hint = hinted(sentence(schema.description, kind(schema)));
  return leaf(control, read, (value) => { control.value = String(value); }, { label, hint });
};

const several = (schema, name, needed) => {
  const boxes = schema.items.enum.map((value) => {
    const box = make("input", { type: "checkbox", id: unique("box") });
    return { box, value, line: make("div", { class: "box" }, box, make("label", { for: box.id }, String(value))) };
  });
  const legend = make("legend", {}, named(schema, name), star(needed));
  const control = make("fieldset", {}, legend, make("div", { class: "boxes" }, ...boxes.map(({ line }) => line)));
  const read = () => {
    const chosen = boxes.filter(({ box }) => box.checked).map(({ value }) => value);
    return chosen.length || needed ? chosen : undefined;
  };
  const write = (values) => boxes.forEach(({ box, value }) => {
    box.checked = values.some((chosen) => canonical(chosen) === canonical(value));
  });
  return leaf(control, read, write, { hint: hinted(sentence(schema.description, chosenOf(schema))) });
};

const isChoice = (schema) => schema.enum || "const" in schema || schema.type === "boolean";
const partFor = (schema, name, needed, changed) => {
  if (schema.type === "object") return group(schema, name, changed);
  if (schema.type === "array") {
    return schema.items.enum && schema.uniqueItems ? several(schema, name, needed) : list(schema, name, needed, changed);
  }
  return isChoice(schema) ? choice(schema, name, needed) : text(schema, name, needed);
};

const complaintOf = () => {
  const element = make("p", { class: "problem", hidden: true, id: unique("problem") });
  return { element, say: (sentences, wrong) => speak(element, sentences, wrong) };
};

const group = (schema, name, changed) => {
  const parts = Object.entries(schema.properties).map(([key, child]) =>
    [key, partFor(child, key, (schema.required ?? []).includes(key), changed)]);
  const byName = Object.fromEntries(parts);
  const complaint = complaintOf();
  const shown = name === undefined ? make("div", { class: "parts" }) : make("fieldset", { class: "parts" }, make("legend", {}, named(schema, name)));
  shown.append(...parts.map(([, part]) => part.element), complaint.element);
  return {
    element: shown,
    read() {
      const pairs = parts.map(([key, part]) => [key, part.read()]).filter(([, value]) => value !== undefined);
      const empty = pairs.every(([, value]) => Array.isArray(value) && value.length === 0);
      return empty && name !== undefined ? undefined : Object.fromEntries(pairs);
    },
    write(value) { for (const [key, part] of parts) if (Object.hasOwn(value, key)) part.write(value[key]); },
    at([key, ...rest]) { return key !== undefined && Object.hasOwn(byName, key) ? byName[key].at(rest) : this; },
    say: complaint.say,
    focus: () => parts[0][1].focus(),
    children: () => parts.map(([, part]) => part),
  };
};

const MOST_AT_FIRST = 10;
const list = (schema, name, needed, changed) => {
  let entries = [];
  let kept = [];
  const complaint = complaintOf();
  const rows = make("div", { class: "rows" });
  const add = make("button", { type: "button", class: "button small" }, told(`Add to ${named(schema, name)}`));
  const hint = hinted(sentence(schema.description, entriesOf(schema)));
  const legend = make("legend", {}, named(schema, name), star(needed));
  const element = make("fieldset", { "aria-describedby": [hint?.id, complaint.element.id].filter(Boolean).join(" ") },
    legend, hint, rows, add, complaint.element);
  const number = () => entries.forEach((entry, i) => {
    const words = `${named(schema, name)}, entry ${i + 1}`;
    entry.title.textContent = told(words);
    entry.remove.setAttribute("aria-label", told(`Remove ${words}`));
  });
  const append = () => {
    const remove = make("button", { type: "button", class: "button small remove" }, told("Remove"));
    const part = partFor(schema.items, schema.items.type === "object" ? undefined : "", false, changed);
    const title = part.title ?? make("legend", { class: "entry" });
    const row = part.title ? make("div", { class: "item" }) : make("fieldset", { class: "item" }, title);
    row.append(part.element, remove);
    const entry = { part, remove, title, row };
    remove.addEventListener("click", () => {
      entries = entries.filter((other) => other !== entry);
      entry.row.remove();
      number();
      add.focus();
      changed();
    });
    entries.push(entry);
    rows.append(entry.row);
    number();
    return entry;
  };
  add.addEventListener("click", () => { append().part.focus(); changed(); });
  for (let i = 0; i < Math.min(schema.minItems ?? 0, MOST_AT_FIRST); i += 1) append();
  const filled = (value) => value !== undefined && !(KINDS.object[1](value) && Object.values(value).every((v) => Array.isArray(v) && !v.length));
  return {
    element,
    title: legend,
    read() {
      const read = entries.map(({ part }) => [part, part.read()]).filter(([, value]) => filled(value));
      kept = read.map(([part]) => part);
      return read.length || needed ? read.map(([, value]) => value) : undefined;
    },
    write(values) {
      entries.forEach(({ row }) => row.remove());
      entries = [];
      values.forEach((value) => append().part.write(value));
    },
    at([index, ...rest]) { return index === undefined || !kept[index] ? this : kept[index].at(rest); },
    say: complaint.say,
    focus: () => (entries[0] ? entries[0].part.focus() : add.focus()),
    children: () => entries.map(({ part }) => part),
  };
};

// What was entered, what is wrong or missing in it, and where; each part says its own. What is still empty is no mistake before the person
// tried to save.
const judge = (form, schema, tried) => {
  const flatten = (part) => [part, ...part.children().flatMap(flatten)];
  const data = form.read();
  const problems = check(schema, data);
  const places = new Map();
  for (const problem of problems) {
    const part = form.at(problem.missing === undefined ? problem.path : [...problem.path, problem.missing]);
    places.set(part, [...(places.get(part) ?? []), problem]);
  }
  for (const part of flatten(form)) {
    const own = (places.get(part) ?? []).filter((problem) => tried || problem.missing === undefined);
    part.say(own.map((problem) => problem.sentence), own.some((problem) => tried || !problem.few));
  }
  return { data, problems, places };
};

export { group, judge };
