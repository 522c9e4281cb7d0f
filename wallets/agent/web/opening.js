// @ts-check
/** The forms before a wallet is open, the same in both hosts: choose a passphrase, unlock, bring one back from a backup. */

import { check, field, h, onSubmit } from "./dom.js";

const passphraseNow = () => h("input", { type: "password", autocomplete: "current-password", required: true });

/**
 * A passphrase for a new wallet, typed twice.
 * @param {import("./shell.js").App} app
 * @param {string} help what to know of it in this host
 * @param {(passphrase: string) => unknown} make
 */
export function choosing(app, help, make) {
  const first = h("input", { type: "password", autocomplete: "new-password", minlength: "10", required: true });
  const second = h("input", { type: "password", autocomplete: "new-password", required: true });
  const form = h("form", {}, field("Passphrase", first, help), field("The same again", second),
    h("div", {}, h("button", { class: "button primary" }, "Create my wallet")));
  return onSubmit(form, () => (first.value === second.value ? make(first.value) : app.say("The two passphrases differ. Nothing was created.")));
}

/**
 * @param {import("./shell.js").App} app
 * @param {(bytes: Uint8Array) => unknown} carried the file as this host's door takes it
 * @param {string} [help]
 */
export function restoring(app, carried, help = "") {
  const file = h("input", { type: "file", required: true }), secret = passphraseNow(), code = h("input", { type: "checkbox" });
  const form = h("form", {}, field("Backup file", file, help), field("Passphrase or recovery code", secret, "What opened the wallet on the day of the backup."),
    check("This is the recovery code", code), h("div", {}, h("button", { class: "button" }, "Restore")));
  return onSubmit(form, () => app.attempt(async () => {
    await app.wallet.act("restore", { file: carried(await bytesOf(file)), [code.checked ? "recovery_code" : "passphrase"]: secret.value });
  }, "Your wallet is back. Running jobs were left out; it takes part again from the next one."));
}

/** @param {import("./shell.js").App} app @param {number} lockedUntil */
export function unlock(app, lockedUntil) {
  const secret = passphraseNow(), code = h("input", { type: "checkbox" });
  const form = h("form", {}, field("Passphrase", secret), check("Use the recovery code instead", code), h("div", {}, h("button", { class: "button primary" }, "Unlock")));
  onSubmit(form, () => app.attempt(() => app.wallet.act("unlock", { [code.checked ? "recovery_code" : "passphrase"]: secret.value }), "Unlocked."));
  const wait = Math.max(0, lockedUntil - Math.floor(Date.now() / 1000));
  return [
    h("div", { class: "stack" }, h("h1", {}, "Locked"), h("p", { class: "lead" }, "Nobody answers for this wallet while it is locked.")),
    h("section", { class: "card" }, wait ? h("p", { class: "note wait" }, `Too many wrong attempts. Wait ${wait} seconds.`) : null, form),
  ];
}

/** @param {any} input */
export const bytesOf = async (input) => new Uint8Array(await input.files[0].arrayBuffer());
