// @ts-check
/** The person's own data, and what each collective's requirement still lacks. */

import { credentials } from "./credentials.js";
import { button, careful, field, h, list, table } from "./dom.js";

/** @param {import("./app.js").App} app */
export async function data(app) {
  const known = await app.wallet.read("data", app.kept.wanted ? { collective: app.kept.wanted } : {});
  const own = Object.keys(known.record).sort();
  return [
    h("div", { class: "stack" }, h("h1", {}, "My data"),
      h("p", { class: "lead" }, "It lies here, encrypted, and is never sent to anyone. Algorithms come to it.")),
    own.length ? h("section", { class: "card" }, h("h2", {}, `${own.length} fields are in your wallet`), kept(app, own, known.record)) : null,
    await credentials(app),
    known.collectives.map((/** @type {any} */ one) => asked(app, one, known.record)),
    h("section", { class: "card" }, h("h2", {}, "What would a collective need?"), looking(app)),
  ].flat().filter(Boolean);
}

/** What is there, and a way to delete it. @param {import("./app.js").App} app @param {string[]} own @param {Record<string, any>} record */
function kept(app, own, record) {
  /** @param {string} name */
  const forget = (name) => app.attempt(() => app.wallet.act("forget-data", { fields: [name] }), `${name} was deleted and erased from the wallet's file.`);
  return h("details", {}, h("summary", {}, "Look at them"),
    table("Your data, shown on this machine only", ["Field", "Value", "For good"], own.map((name) => [
      name, h("span", { class: "code" }, JSON.stringify(record[name])), careful("Delete", `Delete ${name}? Collectives that ask for it get no visit then.`, () => forget(name)),
    ])));
}

/** @param {import("./app.js").App} app @param {any} one @param {Record<string, any>} record */
function asked(app, one, record) {
  const lacks = one.missing.length;
  return h("section", { class: "card" }, h("h2", {}, one.name),
    lacks ? [h("p", { class: "wait" }, `Still missing for ${one.name}:`), list(one.missing)]
      : h("p", { class: "good" }, "Everything it asks for is here."),
    h("details", { open: lacks > 0 }, h("summary", {}, "Enter or change values"), entering(app, one, record)),
    h("details", {}, h("summary", {}, "Import a file"), importing(app, one)));
}

/** @param {import("./app.js").App} app @param {any} one @param {Record<string, any>} record */
function entering(app, one, record) {
  /** @type {Record<string, any>} */
  const controls = {};
  const fields = Object.entries(one.requirement.properties).map(([name, wanted]) => {
    const spec = /** @type {any} */ (wanted);
    controls[name] = control(spec, record[name]);
    return field(spec.title || name, controls[name], help(spec));
  });
  const words = () => Object.fromEntries(Object.entries(controls).map(([name, made]) => [name, made.value]));
  const form = h("form", {}, fields, h("div", {}, h("button", { class: "button primary" }, "Check and save")));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    return settle(app, form, { collective: one.collective, words: words() });
  });
  return form;
}

/** Show what would change; values already there are replaced only after a second yes.
 * @param {import("./app.js").App} app @param {any} form @param {Record<string, any>} asked */
async function settle(app, form, asked) {
  try {
    const change = await app.wallet.act("save-data", asked);
    const keep = () => app.attempt(() => app.wallet.act("save-data", { ...asked, confirm: true }), "Saved in your wallet.");
    if (!change.added.length && !change.replaced.length) return app.say("Nothing would change.");
    if (!change.replaced.length) return keep();
    form.querySelector(".confirm")?.remove();
    form.append(h("div", { class: "confirm note wait" }, careful("Replace", `This replaces: ${change.replaced.join(", ")}.`, keep)));
    return app.say("Look at what would be replaced.");
  } catch (problem) {
    return app.say(/** @type {Error} */ (problem).message);
  }
}

/** @param {any} spec @param {any} value */
function control(spec, value) {
  const shown = value === undefined ? "" : typeof value === "object" ? JSON.stringify(value, null, 1) : String(value);
  const options = spec.type === "boolean" ? ["true", "false"] : spec.enum?.map(String);
  if (options) {
    const made = h("select", {}, h("option", { value: "" }, "–"), options.map((/** @type {string} */ option) => h("option", { value: option }, option)));
    made.value = shown;
    return made;
  }
  if (spec.type === "array" || spec.type === "object") {
    const made = h("textarea", { spellcheck: "false" });
    made.value = shown;
    return made;
  }
  const numeric = spec.type === "number" || spec.type === "integer";
  return h("input", { type: "text", inputmode: numeric ? "decimal" : null, value: shown, autocomplete: "off" });
}

/** @param {any} spec */
function help(spec) {
  const parts = [spec.description ?? ""];
  if (spec.minimum !== undefined && spec.maximum !== undefined) parts.push(`${spec.minimum} to ${spec.maximum}.`);
  if (spec.minItems) parts.push(`At least ${spec.minItems}, written as a JSON list.`);
  return parts.filter(Boolean).join(" ");
}

/** @param {import("./app.js").App} app @param {any} one */
function importing(app, one) {
  const file = h("input", { type: "file", accept: ".json,.csv", required: true });
  const form = h("form", {}, field("JSON or CSV file", file, "What the collective's data tool saved, or your own export."), h("div", {}, h("button", { class: "button" }, "Look at it")));
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    const chosen = file.files[0];
    await settle(app, form, { collective: one.collective, name: chosen.name, file: await chosen.text() });
  });
  return form;
}

/** @param {import("./app.js").App} app */
function looking(app) {
  const wanted = h("input", { type: "text", autocomplete: "off", value: app.kept.wanted ?? "" });
  return h("div", { class: "stack" }, field("Id of the collective", wanted, "It stands on the collective's page."),
    h("div", {}, button("Show what it asks for", () => {
      app.kept.wanted = wanted.value.trim();
      return app.attempt(async () => {});
    })));
}
