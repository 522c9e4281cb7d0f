// @ts-check
/** What issuers attested: receive it by its link, see whether it was revoked, delete it. */

import { scanning } from "./qr.js";
import { button, careful, check, field, h, table, when } from "./dom.js";

const STATES = /** @type {Record<string, string>} */ ({ good: "good", revoked: "revoked by its issuer", expired: "expired", unknown: "not checked yet" });

/** @param {import("./shell.js").App} app */
export async function credentials(app) {
  const held = await app.wallet.read("credentials");
  const shown = held.map((/** @type {any} */ one) => [
    one.fields.join(", "), h("span", { class: "code" }, one.issuer),
    h("span", { class: one.state === "good" ? "good" : one.state === "unknown" ? "wait" : "bad" }, STATES[one.state] ?? one.state),
    one.checked ? when(one.checked) : "never", when(one.expires), deleting(app, one),
  ]);
  return h("section", { class: "card" }, h("h2", {}, "What issuers attested"),
    held.length ? table("Credentials in your wallet", ["Fields", "Issuer", "State", "Checked", "Until", "For good"], shown)
      : h("p", { class: "muted" }, "Nothing: all your values are your own word."),
    held.length ? h("div", { class: "row" }, button("Ask the issuers now", () => app.attempt(() => app.wallet.act("check-credentials"), "Asked.")), restating(app)) : null,
    h("details", {}, h("summary", {}, "Receive a credential"), receiving(app)));
}

/** @param {import("./shell.js").App} app @param {any} one */
function deleting(app, one) {
  return careful("Delete", "The values stay, as your own word.", () => app.attempt(() => app.wallet.act("delete-credential", { name: one.name }), "The credential and its key were erased."));
}

/** @param {import("./shell.js").App} app */
function restating(app) {
  return button("Show collectives my changed data", () => app.attempt(async () => {
    const { told } = await app.wallet.act("restate");
    const lines = Object.entries(told).map(([name, happened]) => `${name} ${happened}.`);
    setTimeout(() => app.say(lines.join(" ") || "Every collective knows the data as it is."), 100);
  }));
}

/** @param {import("./shell.js").App} app */
function receiving(app) {
  const link = h("input", { type: "text", autocomplete: "off", spellcheck: "false", required: true });
  const replace = h("input", { type: "checkbox" });
  const form = h("form", {}, field("Link of the credential", link, "It starts with cssi://credential; your issuer gave it to you."),
    scanning((text) => { link.value = text; }, (text) => app.say(text)),
    check("Replace values that I already have", replace), h("div", {}, h("button", { class: "button" }, "Receive")));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    return app.attempt(async () => {
      const got = await app.wallet.act("receive-credential", { link: link.value, confirm: replace.checked });
      setTimeout(() => app.say(`Received: ${got.credential.fields.join(", ")}.`), 100);
    });
  });
  return form;
}
