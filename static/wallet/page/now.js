// @ts-check
/** What the wallet does now: whether it takes part, what it was paid for, what waits for an answer, and the way into a collective. */

import { button, check, facts, field, h, list, table, when } from "./dom.js";

/** Consent first, refusal beside it, both alike; the words of a notice as on its own page. @type {Record<string, string>} */
const ANSWERS = {
  subscribe: "Subscribe", "not now": "Not now", with: "Continue with it", without: "Continue without it", leave: "Leave the collective",
  "decide later": "Decide later",
};

const OFFLINE = "This machine has no network. Your wallet goes on by itself when it is back.";

/** @param {import("./app.js").App} app */
export async function now(app) {
  const [seen, doing] = await Promise.all([app.wallet.read("overview"), app.wallet.read("live")]);
  return [
    h("div", { class: "stack" }, h("h1", {}, "Now"), standing(seen, doing)),
    comparing(app),
    seen.questions.map((/** @type {any} */ one) => question(app, one)),
    seen.open_notices ? h("p", { class: "note wait" }, h("a", { href: "#/notices" }, `${seen.open_notices} announced changes are open.`)) : null,
    doing.permits || doing.visits ? visits(doing) : null,
    joining(app),
    seen.health.paired ? null : pairing(app),
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

/** The question as the wallet puts it: its words are made in the wallet from the signed document. @param {import("./app.js").App} app @param {any} one */
function question(app, one) {
  const answers = Object.keys(ANSWERS).filter((answer) => one.answers.includes(answer));
  /** @param {string} answer */
  const give = (answer) => app.attempt(() => app.wallet.act("answer", { id: one.id, answer }), `Your answer: ${ANSWERS[answer].toLowerCase()}.`);
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

/** @param {import("./app.js").App} app */
function joining(app) {
  const wanted = h("input", { type: "text", autocomplete: "off", spellcheck: "false", required: true, value: app.kept.wanted ?? "" });
  const place = h("div", { class: "stack", "data-asked": true });
  const form = h("form", {}, field("Link or id of the collective", wanted, "A link starts with cssi://subscribe; the id stands on the collective's page."),
    h("div", {}, h("button", { class: "button" }, "Review its terms")));
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      const terms = await app.wallet.act("review", { collective: wanted.value.trim() });
      app.kept.wanted = terms.collective;
      const heading = h("h3", { tabindex: "-1" }, terms.name);
      place.replaceChildren(heading, list(terms.sentences), terms.missing.length ? lacking(terms) : asking(app, terms));
      heading.focus();
    } catch (problem) {
      app.say(/** @type {Error} */ (problem).message);
    }
  });
  return h("section", { class: "card" }, h("h2", {}, "Join a collective"), form, place);
}

/** @param {any} terms */
const lacking = (terms) => h("div", { class: "note wait" }, h("p", {}, "Your data still lacks:"), list(terms.missing),
  h("p", {}, h("a", { href: "#/data" }, "Enter it under “My data”")));

/** @param {import("./app.js").App} app @param {any} terms */
const asking = (app, terms) => h("div", { class: "stack" }, h("p", { class: "good" }, "Everything it asks for is in your wallet."),
  h("div", {}, button("Go on to the question", async () => {
    /** @type {HTMLElement | null} */ (document.activeElement)?.blur(); // the question takes this place
    await app.attempt(() => app.wallet.act("subscribe", { collective: terms.collective }));
  }, "primary")));

/** @param {import("./app.js").App} app */
function pairing(app) {
  const link = h("input", { type: "text", autocomplete: "off", spellcheck: "false", value: app.kept.link ?? "" });
  const code = h("input", { type: "text", autocomplete: "one-time-code", spellcheck: "false" });
  const trust = h("input", { type: "checkbox" });
  const form = h("form", {}, h("p", {}, "An account of the market may then send offers here and show whether this wallet is connected. It is not needed to take part."),
    field("Pairing link", link, "The whole link that starts with cssi://pair, from the page “Pair your wallet”."),
    field("Or the one-time code from that page", code, "With the code alone you compare the server's fingerprint afterwards."),
    check("What I confirm on the web counts as my yes", trust), h("div", {}, h("button", { class: "button" }, "Pair")));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const how = link.value.trim() ? { link: link.value } : { url: location.origin, code: code.value };
    return app.attempt(async () => {
      const made = await app.wallet.act("pair", { ...how, trust_web: trust.checked });
      delete app.kept.link;
      app.kept.compare = made.compare;
    }, "Paired. The server's keys are pinned.");
  });
  return h("section", { class: `card ${app.kept.link ? "calls" : ""}` }, h("h2", {}, "Pair with your account"), form);
}

/** A typed code names no key, so the person compares. @param {import("./app.js").App} app */
function comparing(app) {
  if (!app.kept.compare) return null;
  return h("section", { class: "card calls" }, h("h2", {}, "Compare the server's fingerprint"),
    h("p", {}, "The fingerprint on the page “Pair your wallet” must begin with:"), h("p", { class: "big-code" }, app.kept.compare),
    h("p", {}, "If it does not, somebody stands between: delete this wallet and create a new one."),
    h("div", {}, button("It begins the same", () => {
      delete app.kept.compare;
      return app.show();
    })));
}
