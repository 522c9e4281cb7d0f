// @ts-check
/** Before a wallet in this browser is open: make one and keep a backup of it, unlock it, or bring one back from a backup. */

import { limits } from "./about.js";
import { button, field, h, onSubmit, save } from "./dom.js";
import { bytesOf, choosing, restoring, unlock } from "./opening.js";

const BINARY = "application/octet-stream";
const GONE = "Had you a wallet here and it is gone? A browser may delete what a site keeps, when room runs short or when you clear it. Your backup brings it back.";

/** @param {import("./shell.js").App} app @param {string} state @param {number} lockedUntil */
export function start(app, state, lockedUntil) {
  if (state === "busy") return busy(app);
  if (state === "open") return secure(app);
  return state === "none" ? create(app) : unlock(app, lockedUntil);
}

/** @param {import("./shell.js").App} app */
function busy(app) {
  return [
    h("div", { class: "stack" }, h("h1", {}, "Your wallet is open in another tab"),
      h("p", { class: "lead" }, "One tab at a time answers for a wallet, so that nothing is answered twice. Go on there, or close that tab and try again.")),
    h("div", {}, button("Try again here", () => app.show(), "primary")),
  ];
}

/** @param {import("./shell.js").App} app */
function create(app) {
  const form = choosing(app, "At least 10 characters. It never leaves this browser and nobody can reset it.", (passphrase) => {
    app.say("Your wallet is being made. This takes a second or two.");
    return app.attempt(async () => {
      const made = await app.wallet.act("create", { passphrase });
      app.kept.code = made.recovery_code;
      app.kept.passphrase = passphrase; // until the backup is kept, then it is forgotten
      await navigator.storage.persist?.();
    }, "Your wallet is made. Now keep a way back to it.");
  });
  return [
    h("div", { class: "stack" }, h("h1", {}, "A wallet in this browser"),
      h("p", { class: "lead" }, "Your data stays here, encrypted. Collectives may ask to learn from it; you decide, and only masked sums leave."),
      app.kept.wanted ? h("p", { class: "note" }, "First make a wallet; then it shows you what this collective asks for.") : null),
    h("section", { class: "card" }, h("h2", {}, "Create a wallet"), form),
    h("section", { class: "card" }, h("h2", {}, "What a wallet in a browser cannot do"), limits()),
    h("section", { class: "card" }, h("h2", {}, "Bring one back from a backup"), h("p", { class: "muted" }, GONE), restoring(app, (bytes) => bytes, "Of a wallet in a browser, or of an always-on agent.")),
  ];
}

/** The way back, before any data can be entered: the code on paper, a backup that was kept and opens. @param {import("./shell.js").App} app */
function secure(app) {
  const { code } = app.kept, asked = app.kept.passphrase === undefined;
  const typed = h("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: "7", required: true });
  const secret = h("input", { type: "password", autocomplete: "current-password", required: true });
  const file = h("input", { type: "file", required: true });
  const passphrase = () => app.kept.passphrase ?? secret.value;
  const form = h("form", {},
    code ? field("The first five characters of your recovery code", typed, "So that we both know you wrote it down.") : null,
    field("The backup file you saved", file, "Choose it from where you keep it. The wallet opens it, to be sure it can be read again."),
    h("div", {}, h("button", { class: "button primary" }, "Check, and go to my wallet")));
  onSubmit(form, () => {
    if (code && typed.value.trim().toUpperCase() !== code.slice(0, 5)) return app.say("These are not the first five characters of the code above.");
    return app.attempt(async () => {
      await app.wallet.act("confirm-backup", { file: await bytesOf(file), passphrase: passphrase() });
      delete app.kept.code;
      delete app.kept.passphrase;
      await app.go("data");
    }, "Your backup opens. Your wallet is ready.");
  });
  return [
    h("div", { class: "stack" }, h("h1", {}, "First, so that you never lose it"),
      h("p", { class: "lead" }, "A browser may forget what it keeps. Two things lead back to this wallet; no data can be entered before you have them.")),
    h("ol", { class: "steps" },
      code ? step("Write down the recovery code", h("p", { class: "big-code" }, code), h("p", { class: "muted" }, "It is shown only now. Keep it on paper, away from this machine.")) : null,
      step("Save an encrypted backup", h("p", {}, "One file with everything. It opens with the passphrase or the recovery code, and with nothing else."),
        asked ? field("Your passphrase", secret) : null,
        h("div", {}, button("Save the backup", () => download(app, passphrase()), "primary"))),
      step("Show it to your wallet", form)),
    code ? null : h("p", { class: "muted" }, "Lost the recovery code? Make a new one under “Backup” afterwards."),
  ];
}

/** @param {string} title @param {...any} content */
const step = (title, ...content) => h("li", { class: "card" }, h("h2", {}, title), content);

/** @param {import("./shell.js").App} app @param {string} passphrase */
export async function download(app, passphrase) {
  try {
    const made = await app.wallet.act("backup", { passphrase });
    save(made.name, made.file, BINARY);
    app.say("The backup was saved. Keep it on another machine.");
  } catch (problem) {
    app.say(/** @type {Error} */ (problem).message);
  }
}
