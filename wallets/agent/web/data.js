// @ts-check
/** The person's own data, and what each collective's requirement still lacks. */

import { credentials } from "./credentials.js";
import { button, careful, field, h, list, table } from "./dom.js";
import { attested, entering, shown } from "./values.js";

/** @param {import("./shell.js").App} app */
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

/** What is there, and a way to delete it. @param {import("./shell.js").App} app @param {string[]} own @param {Record<string, any>} record */
function kept(app, own, record) {
  /** @param {string} name */
  const forget = (name) => app.attempt(() => app.wallet.act("forget-data", { fields: [name] }), `${name} was deleted and erased from the wallet's file.`);
  return h("details", {}, h("summary", {}, "Look at them"),
    table("Your data, shown on this machine only", ["Field", "Value", "For good"], own.map((name) => [
      name, shown(record[name]), careful("Delete", `Delete ${name}? Collectives that ask for it get no visit then.`, () => forget(name)),
    ])));
}

/** @param {import("./shell.js").App} app @param {any} one @param {Record<string, any>} record */
function asked(app, one, record) {
  const lacks = one.missing.length;
  const draft = drafted(one.collective);
  const form = entering(one.requirement, record, draft, (words) => settle(app, form, { collective: one.collective, words }, form.saved), (sentence) => app.say(sentence));
  form.dataset.collective = one.collective;
  const others = attested(one.requirement).map(([name, spec]) => spec.title || name);
  return h("section", { class: "card" }, h("h2", {}, one.name),
    lacks ? [h("p", { class: "wait" }, `Still missing for ${one.name}:`), list(one.missing)]
      : h("p", { class: "good" }, "Everything it asks for is here."),
    others.length ? h("p", { class: "note" }, `An issuer must attest: ${others.join(", ")}. These come with a credential; receive it above.`) : null,
    others.length === Object.keys(one.requirement.properties).length ? null
      : h("details", { open: lacks > 0 || draft }, h("summary", {}, "Enter or change values"), form),
    h("details", {}, h("summary", {}, "Import a file"), importing(app, one, form.saved)));
}

/** What stands in the form of that collective and is not saved: drawing the page anew must not take it away. @param {string} collective */
function drafted(collective) {
  const forms = /** @type {any[]} */ ([...document.querySelectorAll("form[data-collective]")]);
  return forms.find((form) => form.dataset.collective === collective)?.draft();
}

/** Show what would change; values already there are replaced only after a second yes.
 * @param {import("./shell.js").App} app @param {any} form where the question appears @param {Record<string, any>} asked
 * @param {() => void} done the wallet has it, before the page is drawn anew */
async function settle(app, form, asked, done) {
  try {
    const change = await app.wallet.act("save-data", asked);
    const keep = () => app.attempt(async () => {
      await app.wallet.act("save-data", { ...asked, confirm: true });
      done();
    }, "Saved in your wallet.");
    if (!change.added.length && !change.replaced.length) {
      done();
      return app.say("Nothing would change.");
    }
    if (!change.replaced.length) return keep();
    form.querySelector(".confirm")?.remove();
    form.append(h("div", { class: "confirm note wait" }, careful("Replace", `This replaces: ${change.replaced.join(", ")}.`, keep)));
    return app.say("Look at what would be replaced.");
  } catch (problem) {
    return app.say(/** @type {Error} */ (problem).message);
  }
}

/** @param {import("./shell.js").App} app @param {any} one @param {() => void} done */
function importing(app, one, done) {
  const file = h("input", { type: "file", accept: ".json,.csv", required: true });
  const form = h("form", {}, field("JSON or CSV file", file, "What the collective's data tool saved, or your own export."), h("div", {}, h("button", { class: "button" }, "Look at it")));
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    const chosen = file.files[0];
    await settle(app, form, { collective: one.collective, name: chosen.name, file: await chosen.text() }, done);
  });
  return form;
}

/** @param {import("./shell.js").App} app */
function looking(app) {
  const wanted = h("input", { type: "text", autocomplete: "off", value: app.kept.wanted ?? "" });
  return h("div", { class: "stack" }, field("Id of the collective", wanted, "It stands on the collective's page."),
    h("div", {}, button("Show what it asks for", () => {
      app.kept.wanted = wanted.value.trim();
      return app.attempt(async () => {});
    })));
}
