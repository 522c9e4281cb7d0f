// @ts-check
/** Before the wallet is open: make one (and back it up first), unlock it, or bring one back from a backup. */

import { button, check, field, h, save } from "./dom.js";

/** @param {import("./app.js").App} app @param {string} state @param {number} lockedUntil */
export function start(app, state, lockedUntil) {
  if (app.kept.onboarding) return secure(app);
  return state === "none" ? create(app) : unlock(app, lockedUntil);
}

/** @param {import("./app.js").App} app */
function create(app) {
  const first = h("input", { type: "password", autocomplete: "new-password", minlength: "10", required: true });
  const second = h("input", { type: "password", autocomplete: "new-password", required: true });
  const form = h("form", {},
    field("Passphrase", first, "At least 10 characters. It never leaves this machine and nobody can reset it."),
    field("The same again", second),
    h("div", {}, h("button", { class: "button primary" }, "Create my wallet")));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    if (first.value !== second.value) return app.say("The two passphrases differ. Nothing was created.");
    return app.attempt(async () => {
      const made = await app.wallet.act("create", { passphrase: first.value });
      app.kept.onboarding = made.recovery_code;
      app.kept.passphrase = first.value;
    });
  });
  return [
    h("div", { class: "stack" }, h("h1", {}, "Your own wallet"),
      h("p", { class: "lead" }, "Your data stays here, encrypted. Collectives may ask to learn from it; you decide, and only masked sums leave.")),
    h("section", { class: "card" }, h("h2", {}, "Create a wallet"), form),
    h("section", { class: "card" }, h("h2", {}, "Bring one back from a backup"), restoring(app)),
  ];
}

/** @param {import("./app.js").App} app */
function restoring(app) {
  const file = h("input", { type: "file", required: true });
  const secret = h("input", { type: "password", autocomplete: "current-password", required: true });
  const code = h("input", { type: "checkbox" });
  const form = h("form", {}, field("Backup file", file), field("Passphrase or recovery code", secret, "What opened the wallet on the day of the backup."),
    check("This is the recovery code", code), h("div", {}, h("button", { class: "button" }, "Restore")));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    return app.attempt(async () => {
      const bytes = new Uint8Array(await file.files[0].arrayBuffer());
      await app.wallet.act("restore", { file: base64(bytes), [code.checked ? "recovery_code" : "passphrase"]: secret.value });
    }, "Your wallet is back. Running jobs were left out; it takes part again from the next one.");
  });
  return form;
}

/** The recovery code once, then a backup, before anything else can be done. @param {import("./app.js").App} app */
function secure(app) {
  const code = app.kept.onboarding;
  const typed = h("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: "7" });
  const done = h("button", { class: "button primary" }, "Go to my wallet");
  const form = h("form", {}, field("The first five characters of your recovery code", typed, "So that we both know you wrote it down."), h("div", {}, done));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!app.kept.backedUp) return app.say("Save the backup first.");
    if (typed.value.trim().toUpperCase() !== code.slice(0, 5)) return app.say("These are not the first five characters of the code above.");
    delete app.kept.onboarding;
    delete app.kept.passphrase;
    return app.go("data");
  });
  return [
    h("div", { class: "stack" }, h("h1", {}, "First, so that you never lose it"),
      h("p", { class: "lead" }, "Two things open this wallet if the passphrase is forgotten or this machine is lost.")),
    h("section", { class: "card" }, h("h2", {}, "1. Write down the recovery code"), h("p", { class: "big-code" }, code),
      h("p", { class: "muted" }, "It is shown only now. Keep it on paper, away from this machine.")),
    h("section", { class: "card" }, h("h2", {}, "2. Save an encrypted backup"),
      h("p", {}, "One file with everything. It opens with the passphrase or the code above, and with nothing else."),
      h("div", {}, button("Save the backup", () => download(app, app.kept.passphrase), "primary"))),
    h("section", { class: "card" }, h("h2", {}, "3. Go on"), form),
  ];
}

/** @param {import("./app.js").App} app @param {string} passphrase */
export async function download(app, passphrase) {
  try {
    const made = await app.wallet.act("backup", { passphrase });
    save(made.name, Uint8Array.from(atob(made.file), (letter) => letter.charCodeAt(0)), "application/octet-stream");
    app.kept.backedUp = "yes";
    app.say("The backup was saved. Keep it on another machine.");
  } catch (problem) {
    app.say(/** @type {Error} */ (problem).message);
  }
}

/** @param {import("./app.js").App} app @param {number} lockedUntil */
function unlock(app, lockedUntil) {
  const secret = h("input", { type: "password", autocomplete: "current-password", required: true });
  const code = h("input", { type: "checkbox" });
  const form = h("form", {}, field("Passphrase", secret), check("Use the recovery code instead", code),
    h("div", {}, h("button", { class: "button primary" }, "Unlock")));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    return app.attempt(() => app.wallet.act("unlock", { [code.checked ? "recovery_code" : "passphrase"]: secret.value }), "Unlocked.");
  });
  const wait = Math.max(0, lockedUntil - Math.floor(Date.now() / 1000));
  return [
    h("div", { class: "stack" }, h("h1", {}, "Locked"), h("p", { class: "lead" }, "Nobody answers for this wallet while it is locked.")),
    h("section", { class: "card" }, wait ? h("p", { class: "note wait" }, `Too many wrong attempts. Wait ${wait} seconds.`) : null, form),
  ];
}

/** @param {Uint8Array} bytes */
function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}
