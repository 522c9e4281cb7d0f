// @ts-check
/** Before the wallet is open: make one (and back it up first), unlock it, or bring one back from a backup. */

import { button, field, h, save } from "./dom.js";
import { choosing, restoring, unlock } from "./opening.js";

/** @param {import("./shell.js").App} app @param {string} state @param {number} lockedUntil */
export function start(app, state, lockedUntil) {
  if (app.kept.onboarding) return secure(app);
  return state === "none" ? create(app) : unlock(app, lockedUntil);
}

/** @param {import("./shell.js").App} app */
function create(app) {
  const form = choosing(app, "At least 10 characters. It never leaves this machine and nobody can reset it.", (passphrase) => app.attempt(async () => {
    const made = await app.wallet.act("create", { passphrase });
    app.kept.onboarding = made.recovery_code;
    app.kept.passphrase = passphrase;
  }));
  return [
    h("div", { class: "stack" }, h("h1", {}, "Your own wallet"),
      h("p", { class: "lead" }, "Your data stays here, encrypted. Collectives may ask to learn from it; you decide, and only masked sums leave.")),
    h("section", { class: "card" }, h("h2", {}, "Create a wallet"), form),
    h("section", { class: "card" }, h("h2", {}, "Bring one back from a backup"), restoring(app, base64)),
  ];
}

/** The recovery code once, then a backup, before anything else can be done. @param {import("./shell.js").App} app */
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

/** @param {import("./shell.js").App} app @param {string} passphrase */
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

/** @param {Uint8Array} bytes */
function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}
