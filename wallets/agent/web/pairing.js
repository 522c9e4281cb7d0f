// @ts-check
/** Pairing with an account: by the link, by what its QR code holds, or by the address and the one-time code typed by hand. */

import { scanning } from "./qr.js";
import { check, field, h } from "./dom.js";

/** @param {import("./shell.js").App} app @param {string} [why] what an account adds to this wallet */
export function pairing(app, why = "") {
  const trust = h("input", { type: "checkbox" });
  /** @param {Record<string, unknown>} how */
  const pair = (how) => app.attempt(async () => {
    const made = await app.wallet.act("pair", { ...how, trust_web: trust.checked });
    delete app.kept.link;
    app.kept.compare = made.compare;
  }, "Paired. The server's keys are pinned.");
  return h("section", { class: `card ${app.kept.link ? "calls" : ""}` }, h("h2", {}, "Pair with your account"), why ? h("p", {}, why) : null,
    check("What I confirm on the web counts as my yes", trust), byLink(app, pair),
    h("details", {}, h("summary", {}, "Type the one-time code instead"), byCode(app, pair)));
}

/** Shown until it was confirmed: a typed code names no key, so the person compares. @param {import("./shell.js").App} app */
export function comparing(app) {
  const shown = app.kept.compare;
  if (!shown) return null;
  const done = h("button", { type: "button", class: "button" }, "It begins the same");
  done.addEventListener("click", () => {
    delete app.kept.compare;
    return app.show();
  });
  return h("section", { class: "card calls" }, h("h2", {}, "Compare the server's fingerprint"),
    h("p", {}, "You typed a code, which does not say whose server answered. The fingerprint on the page “Pair your wallet” must begin with:"),
    h("p", { class: "big-code" }, shown),
    h("p", {}, "If it does not, somebody stands between: delete this wallet and create a new one."), h("div", {}, done));
}

/** @param {import("./shell.js").App} app @param {(how: Record<string, unknown>) => unknown} pair */
function byLink(app, pair) {
  const link = h("input", { type: "text", autocomplete: "off", spellcheck: "false", required: true, value: app.kept.link ?? "" });
  const scan = scanning((text) => { link.value = text; }, (text) => app.say(text));
  const form = h("form", {}, field("Pairing link", link, "The whole link that starts with cssi://pair, from the page “Pair your wallet”, or what its QR code holds."),
    scan, h("div", {}, h("button", { class: "button primary" }, "Pair")));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    return pair({ link: link.value });
  });
  return form;
}

/** @param {import("./shell.js").App} app @param {(how: Record<string, unknown>) => unknown} pair */
function byCode(app, pair) {
  const url = h("input", { type: "url", autocomplete: "off", spellcheck: "false", required: true, value: app.kept.site ?? "" });
  const code = h("input", { type: "text", autocomplete: "one-time-code", spellcheck: "false", required: true });
  const form = h("form", {}, field("Address of the site", url, "As your browser shows it on the page “Pair your wallet”."),
    field("One-time code", code, "It stands on the page “Pair your wallet” and works once."), h("div", {}, h("button", { class: "button" }, "Pair with the code")));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    return pair({ url: new URL(url.value).origin, code: code.value });
  });
  return form;
}
