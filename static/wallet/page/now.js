// @ts-check
/** What the wallet does now: whether it takes part, what it was paid for, what waits for an answer, and the way into a collective. */

import { button, facts, h, list, table, when } from "./dom.js";
import { comparing, pairing } from "./pairing.js";
import { joining } from "./permits.js";

/** Consent first, refusal beside it, both alike; the words of a notice as on its own page. @type {Record<string, string>} */
const ANSWERS = {
  subscribe: "Subscribe", "not now": "Not now", with: "Continue with it", without: "Continue without it", leave: "Leave the collective",
  "decide later": "Decide later",
};

const OFFLINE = "This machine has no network. Your wallet goes on by itself when it is back.";

/** @param {import("./shell.js").App} app */
export async function now(app) {
  const [seen, doing] = await Promise.all([app.wallet.read("overview"), app.wallet.read("live")]);
  return [
    h("div", { class: "stack" }, h("h1", {}, "Now"), standing(seen, doing)),
    comparing(app),
    seen.questions.map((/** @type {any} */ one) => question(app, one)),
    seen.open_notices ? h("p", { class: "note wait" }, h("a", { href: "#/notices" }, `${seen.open_notices} announced changes are open.`)) : null,
    doing.permits || doing.visits ? visits(doing) : null,
    joining(app),
    seen.health.paired ? null : pairing(app, "An account of the market may then send offers here and show whether this wallet is connected. It is not needed to take part."),
  ].flat().filter(Boolean);
}

/** @param {any} seen @param {any} doing */
function standing(seen, doing) {
  const { health } = seen;
  if (!doing.permits && !health.paired) {
    return h("p", { class: "lead" }, "Nobody may learn from your data yet. Look at what a collective asks for, or pair this wallet with your account.");
  }
  const state = doing.running ? "Taking part in a round at this moment." : doing.connected ? "Connected. Ready for the next round." : "Not connected.";
  return [
    h("p", { class: `state ${doing.connected ? "good" : "wait"}` }, state),
    doing.connected || !doing.trouble ? null : h("p", { class: "note wait" }, navigator.onLine ? doing.trouble : OFFLINE),
    h("p", {}, h("strong", {}, "Keep this tab open. "), "Your wallet takes part and earns while it is; another tab in front does no harm. Closed, it answers nobody."),
    health.journal_intact ? null : h("p", { class: "note bad" }, "The journal was changed from outside. Restore this wallet from your backup."),
    health.waiting_letters ? h("p", { class: "muted" }, `${health.waiting_letters} letters to the server wait and are sent when it answers.`) : null,
  ];
}

/** @param {any} doing */
function visits(doing) {
  return h("section", { class: "card" }, h("h2", {}, "Your visits"),
    facts([["Taken part in", doing.visits === 1 ? "1 round" : `${doing.visits} rounds`], ["Earned, by your journal", `${doing.earned} tokens`]]),
    doing.recent.length
      ? h("ul", { class: "visits", "aria-label": "The last visits, newest first" }, doing.recent.map((/** @type {any} */ one) =>
        h("li", {}, h("span", {}, `Your wallet took part in round ${one.round} of ${one.name}, earned ${one.earned}.`), h("span", { class: "when" }, when(one.at)))))
      : h("p", { class: "muted" }, "No round yet. A collective asks when somebody pays for a training; that may take days."));
}

/** The question as the wallet puts it: its words are made in the wallet from the signed document. @param {import("./shell.js").App} app @param {any} one */
function question(app, one) {
  const answers = Object.keys(ANSWERS).filter((answer) => one.answers.includes(answer));
  /** @param {string} answer */
  const give = (answer) => app.attempt(() => app.wallet.act("answer", { id: one.id, answer }), `Your answer: ${ANSWERS[answer]}.`);
  return h("section", { class: "card calls consent" }, h("h2", {}, one.title),
    h("p", { class: "muted small" }, "These words are made in your wallet from the signed document, not from a page of the market."),
    list(one.sentences), h("div", { class: "equal" }, answers.map((answer) => button(ANSWERS[answer], () => give(answer)))), exactly(one));
}

/** Folded below the answers: every field, and the fingerprint of what is signed. @param {any} one */
function exactly({ reads, terms_hash: hash }) {
  if (!reads.length) return null;
  const rows = reads.map((/** @type {any} */ field) => [field.title, field.description || h("span", { class: "code" }, field.name)]);
  return h("details", {}, h("summary", {}, "Every field, and what exactly is signed"), table("What your wallet would read", ["Field", "Meaning"], rows),
    facts([["Fingerprint of the terms", h("span", { class: "code" }, hash)]]));
}
