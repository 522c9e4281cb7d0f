// @ts-check
/** Keeping the wallet: backup, moving to an always-on agent, locking, secrets, receipts, and deleting it from this browser. */

import { careful, field, h, onSubmit } from "./dom.js";
import { reading, receipts, secrets } from "./records.js";
import { download } from "./start.js";

/** @param {import("./shell.js").App} app */
export async function safety(app) {
  const [seen, consents] = await Promise.all([app.wallet.read("health"), app.wallet.read("receipts")]);
  return [
    h("div", { class: "stack" }, h("h1", {}, "Backup"), h("p", { class: "lead" }, "A browser may forget. A backup opens here, in another browser, and in an always-on agent.")),
    h("section", { class: "card" }, h("h2", {}, "Save a backup"), backing(app)),
    h("section", { class: "card" }, h("h2", {}, "Move to an always-on agent"), moving()),
    h("section", { class: "card" }, h("h2", {}, "Settings"), changing(app, seen.settings)),
    h("section", { class: "card" }, h("h2", {}, "Passphrase and recovery code"), secrets(app)),
    h("section", { class: "card" }, h("h2", {}, "Consent receipts"), receipts(consents)),
    h("section", { class: "card" }, h("h2", {}, "Check or delete"), ending(app)),
  ];
}

const passphraseNow = () => h("input", { type: "password", autocomplete: "current-password", required: true });

/** @param {import("./shell.js").App} app */
function backing(app) {
  const secret = passphraseNow();
  const form = h("form", {}, field("Passphrase of today", secret, "Asked again, so that an open page alone cannot copy your wallet."), h("div", {}, h("button", { class: "button primary" }, "Save a backup")));
  return onSubmit(form, () => download(app, secret.value));
}

function moving() {
  return [
    h("p", {}, "An agent on your own machine answers day and night, walls algorithms in with more layers, and does not take its scripts from a site. It opens the very same backup."),
    h("ol", {}, ["Save a backup here and bring it to that machine.", h("span", {}, "There: ", h("code", { class: "code" }, "python -m wallets.agent restore browser-wallet.cssi-backup")),
      "When it is connected there, delete the wallet here: two copies must not answer for one person."].map((line) => h("li", {}, line))),
  ];
}

/** @param {import("./shell.js").App} app @param {any} kept */
function changing(app, kept) {
  const perDay = h("input", { type: "number", min: "0", max: "10000", value: kept.visits_per_day });
  const after = h("input", { type: "number", min: "0", max: "10080", value: kept.lock_after_minutes });
  const year = h("input", { type: "number", min: "0", value: kept.privacy_micro_year });
  const form = h("form", {}, field("Visits per collective and day", perDay), field("Lock after so many minutes without me", after, "0 is never. Locked, your wallet takes part in nothing."),
    field("Privacy budget of a year, in millionths of ρ", year, "Over all collectives together. 0 means no limit of your own."), h("div", {}, h("button", { class: "button" }, "Save settings")));
  return onSubmit(form, () => app.attempt(() => app.wallet.act("settings", {
    visits_per_day: Number(perDay.value), lock_after_minutes: Number(after.value), privacy_micro_year: Number(year.value),
  }), "Saved."));
}

/** @param {import("./shell.js").App} app */
function ending(app) {
  const secret = passphraseNow();
  return [
    h("div", {}, reading(app)),
    field("Passphrase, to delete the wallet", secret),
    careful("Delete this wallet", "Everything here is overwritten. Only a backup leads back.", () =>
      app.attempt(() => app.wallet.act("destroy", { passphrase: secret.value }), "The wallet was deleted from this browser.")),
  ];
}
