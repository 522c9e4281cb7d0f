// @ts-check
/** Elements without HTML text: nothing a server says can become markup here. Texts are shown in the reader's language. */

import { told } from "./words.js";

const SPOKEN = new Set(["aria-label", "placeholder", "title"]);

/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `on…` are listeners, true is an empty attribute, null and false are left out
 * @param {...any} children elements, texts, arrays of both
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : SPOKEN.has(name) ? told(String(value)) : String(value));
  }
  const shown = children.flat(9).filter((child) => child !== null && child !== undefined && child !== false);
  element.append(...shown.map((child) => (typeof child === "string" ? told(child) : child)));
  return element;
}

let counter = 0;

/** A labelled control with help. @param {string} label @param {any} control @param {string} [help] */
export function field(label, control, help = "") {
  const id = `f${(counter += 1)}`;
  control.id = id;
  if (help) control.setAttribute("aria-describedby", `${id}h`);
  return h("div", { class: "field" }, h("label", { for: id }, label), control, help ? h("span", { class: "help", id: `${id}h` }, help) : null);
}

/** A form that does `work` in this page, once per press, instead of being sent away. @param {any} form @param {() => unknown} work */
export function onSubmit(form, work) {
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const pressed = form.querySelector("button:not([type=button])");
    if (!pressed) return work();
    if (!pressed.disabled) return once(pressed, work);
  });
  return form;
}

/** Do `work` while its button cannot be pressed, and leave the focus on it, which a browser takes from what is disabled. @param {any} pressed @param {() => unknown} work */
async function once(pressed, work) {
  pressed.disabled = true;
  try {
    await work();
  } finally {
    pressed.disabled = false;
    if (document.activeElement === document.body) pressed.focus();
  }
}

/** @param {string} label @param {any} box */
export function check(label, box) {
  const id = `f${(counter += 1)}`;
  box.id = id;
  return h("div", { class: "check" }, box, h("label", { for: id }, label));
}

/** A button that runs work once at a time. @param {string} label @param {() => unknown} work @param {string} [kind] */
export function button(label, work, kind = "") {
  const made = h("button", { type: "button", class: `button ${kind}` }, label);
  made.addEventListener("click", () => once(made, work));
  return made;
}

/** A button that asks once more in its own place. @param {string} label @param {string} question @param {() => unknown} work */
export function careful(label, question, work) {
  const place = h("div", { class: "row" });
  const ask = () => {
    const no = button("No, keep it", () => show().focus());
    place.replaceChildren(h("span", {}, question), button(label, work, "danger"), no);
    no.focus();
  };
  const show = () => {
    const first = button(label, ask, "danger");
    place.replaceChildren(first);
    return first;
  };
  show();
  return place;
}

/** @param {string} caption @param {string[]} head @param {any[][]} rows */
export function table(caption, head, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    h("table", {}, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell)))))));
}

/** @param {[string, any][]} pairs */
export function facts(pairs) {
  return h("dl", {}, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** @param {string[]} lines */
export function list(lines) {
  return h("ul", {}, lines.map((line) => h("li", {}, line)));
}

/** Unix seconds as this machine writes dates. @param {number} seconds */
export function when(seconds) {
  return seconds ? new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "never";
}

/** Hand a file to the person. @param {string} name @param {BlobPart} content @param {string} type */
export function save(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
