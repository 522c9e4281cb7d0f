// @ts-check
/** Who may learn from the data: questions that wait, permits, notices. Every text of consent comes from the signed document. */

import { button, careful, facts, field, h, list, when } from "./dom.js";
import { comparing, pairing } from "./pairing.js";
import { scanning } from "./qr.js";

/** @type {Record<string, string>} the three answers to a notice, in the same words wherever it is shown */
const CHOICES = { with: "Continue with it", without: "Continue without it", leave: "Leave the collective" };

/** @param {import("./shell.js").App} app */
export async function today(app) {
  const seen = await app.wallet.read("overview");
  const { health } = seen;
  return [
    h("div", { class: "stack" }, h("h1", {}, "Today")),
    comparing(app),
    seen.questions.map((/** @type {any} */ one) => question(app, one)),
    seen.questions.length ? null : h("p", { class: "lead" }, "Nothing waits for your answer."),
    unsaved(health.backup),
    seen.open_notices ? h("p", { class: "note wait" }, h("a", { href: "#/notices" }, `${seen.open_notices} announced changes are open.`)) : null,
    h("section", { class: "card" }, h("h2", {}, "How it is"), facts([
      ["Connection", health.connected ? h("span", { class: "good" }, "connected") : health.paired ? "not connected; tried again" : "not paired yet"],
      ["Sandbox", sandbox(health)],
      ["Permits", h("a", { href: "#/permits" }, String(seen.permits))],
      ["Journal", health.journal_intact ? "unbroken" : h("span", { class: "bad" }, "was changed")],
    ])),
    health.paired ? null : pairing(app),
    joining(app),
  ].flat().filter(Boolean);
}

/** What would be lost with this machine. @param {{at: number, newer_permits: number}} backup */
function unsaved({ at, newer_permits: newer }) {
  if (at && !newer) return null;
  const what = at ? `${newer} ${newer === 1 ? "subscription is" : "subscriptions are"} newer than your last backup.` : "There is no backup of this wallet: with this machine you would lose it.";
  return h("p", { class: "note wait" }, `${what} `, h("a", { href: "#/health" }, "Save a backup"));
}

/** @param {any} health */
export function sandbox(health) {
  if (health.sandbox === "full") return h("span", { class: "good" }, "full: every wall stands");
  if (health.sandbox === "starting") return "being tested…";
  if (health.sandbox === "reduced") return h("span", { class: "wait" }, `reduced, missing: ${health.missing.join(", ")}`);
  return h("span", { class: "bad" }, "does not hold; no task is run");
}

/** @param {import("./shell.js").App} app @param {any} one */
function question(app, one) {
  /** @param {string} answer */
  const give = (answer) => app.attempt(() => app.wallet.act("answer", { id: one.id, answer }), `Answered: ${answer}.`);
  return h("section", { class: "card calls" }, h("h2", {}, one.title),
    h("p", { class: "muted small" }, "These words are made from the signed document, not from a page."), list(one.sentences),
    h("div", { class: "equal" }, one.answers.map((/** @type {string} */ answer) => button(CHOICES[answer] ?? answer[0].toUpperCase() + answer.slice(1), () => give(answer)))));
}

/** @param {import("./shell.js").App} app */
export function joining(app) {
  const wanted = h("input", { type: "text", autocomplete: "off", spellcheck: "false", required: true, value: app.kept.wanted ?? "" });
  const place = h("div", { class: "stack", "data-asked": true });
  const form = h("form", {}, field("Link or id of the collective", wanted, "A link starts with cssi://subscribe; the id stands on the collective's page."),
    scanning((text) => { wanted.value = text; }, (text) => app.say(text)), h("div", {}, h("button", { class: "button" }, "Review its terms")));
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

/** @param {import("./shell.js").App} app @param {any} terms */
const asking = (app, terms) => h("div", { class: "stack" }, h("p", { class: "good" }, "Everything it asks for is in your wallet."),
  h("div", {}, button("Go on to the question", async () => {
    /** @type {HTMLElement | null} */ (document.activeElement)?.blur(); // the question takes this place
    await app.attempt(() => app.wallet.act("subscribe", { collective: terms.collective }));
  }, "primary")));

/** @param {import("./shell.js").App} app */
export async function permits(app) {
  const held = await app.wallet.read("permits");
  return [
    h("div", { class: "stack" }, h("h1", {}, "Permits"),
      h("p", { class: "lead" }, held.length ? "Only these may learn from your data, and only as agreed." : "Nobody may learn from your data."),
      held.length ? everybody(app, held) : null),
    held.map((/** @type {any} */ permit) => h("section", { class: "card" },
      h("div", { class: "row" }, h("h2", {}, permit.name), permit.paused ? h("span", { class: "wait" }, "paused") : null),
      standing(app, permit),
      facts([["Per visit", `${permit.rate} tokens`], ["Visits", String(permit.visits)], ["Last use", when(permit.last_use)], ["Until", when(permit.expires)]]),
      h("details", {}, h("summary", {}, "What you agreed to"), list(permit.terms)),
      h("details", {}, h("summary", {}, "Your own limits"), list(permit.sentences), limiting(app, permit)),
      h("div", { class: "row" },
        button(permit.paused ? "Take part again" : "Pause", () => app.attempt(() => app.wallet.act("pause", { collective: permit.collective, paused: !permit.paused }),
          permit.paused ? `${permit.name} may ask again.` : `${permit.name} gets “later” to everything.`)),
        careful("Delete now", `Delete the permit for ${permit.name}? It gets nothing from then on.`, () => remove(app, permit))))),
  ].flat();
}

/** One switch for all permits. @param {import("./shell.js").App} app @param {any[]} held */
function everybody(app, held) {
  const asking = held.filter((permit) => !permit.paused), stop = asking.length > 0;
  const work = async () => {
    for (const permit of stop ? asking : held) await app.wallet.act("pause", { collective: permit.collective, paused: stop });
  };
  return h("div", { class: "row" }, button(stop ? "Pause everything" : "Take part again everywhere", () => app.attempt(work,
    stop ? "Everybody gets “later” to everything, until you take part again." : "All of them may ask again.")));
}

/** What the aggregator says about this wallet, and what the holder says to that. @param {import("./shell.js").App} app @param {any} permit */
function standing(app, permit) {
  const said = permit.standing;
  if (!said) return null;
  const note = h("div", { class: said.state === "reinstated" ? "note" : "note wait" }, said.sentences.map((/** @type {string} */ one) => h("p", {}, one)));
  if (said.state !== "excluded") return note;
  const words = h("textarea", { rows: "3", maxlength: "1000", required: true });
  const form = h("form", {}, field("Why is this wrong?", words, "An administrator reads it and answers. You may say it anew until then."),
    h("div", {}, h("button", { class: "button" }, "Object")));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    return app.attempt(() => app.wallet.act("appeal", { collective: permit.collective, text: words.value }), "Your objection is sent to the administrator.");
  });
  return h("div", { class: "stack" }, note, form);
}

/** @param {import("./shell.js").App} app @param {any} permit */
function remove(app, permit) {
  return app.attempt(async () => {
    const done = await app.wallet.act("delete-permit", { collective: permit.collective });
    const told = done.servers_told ? "The servers were told." : "The servers could not be reached and will be told; the permit is gone already.";
    setTimeout(() => app.say(`The permit for ${done.name} was deleted in ${Math.round(done.milliseconds)} ms and its keys were erased. ${told}`), 100);
  });
}

/** @param {import("./shell.js").App} app @param {any} permit */
function limiting(app, permit) {
  /** @type {[string, string, string][]} */
  const known = [["visits_per_day", "Visits per day", ""], ["visits_total", "Visits in all", ""], ["privacy_micro", "Privacy budget, in millionths of ρ", ""],
    ["bucket_min", "Fewest wallets in a sum", ""], ["release_min", "Fewest wallets in what a buyer gets", ""]];
  const controls = known.map(([name, label, help]) => {
    const made = h("input", { type: "number", min: "0", step: "1", value: permit.limits[name] });
    return { name, made, shown: field(label, made, help) };
  });
  const form = h("form", {}, h("p", { class: "muted small" }, "0 means no limit of your own."), controls.map((one) => one.shown), h("div", {}, h("button", { class: "button" }, "Save limits")));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const values = Object.fromEntries(controls.map((one) => [one.name, Number(one.made.value || 0)]));
    return app.attempt(() => app.wallet.act("limit", { collective: permit.collective, ...values }), "Your limits are in force from the next task on.");
  });
  return form;
}

/** @param {import("./shell.js").App} app */
export async function notices(app) {
  const seen = await app.wallet.read("notices");
  return [
    h("div", { class: "stack" }, h("h1", {}, "Notices"),
      h("p", { class: "lead" }, seen.length ? "Every new algorithm is announced before it may run. You can refuse each one." : "No collective has announced a change.")),
    seen.map((/** @type {any} */ notice) => h("section", { class: `card ${notice.choice ? "" : "calls"}` },
      h("h2", {}, `${notice.name} announces a change`), list(notice.sentences),
      facts([["Not before", when(notice.runs_from)], ["First seen here", when(notice.first_seen)],
        ["Your answer", notice.choice ? h("strong", {}, notice.choice) : "open"], ["Its fingerprint", h("span", { class: "code" }, notice.manifest_hash.slice(0, 16))]]),
      h("div", { class: "equal" }, ["with", "without", "leave"].map((choice) => choosing(app, notice, choice))))),
  ].flat();
}

/** @param {import("./shell.js").App} app @param {any} notice @param {string} choice */
function choosing(app, notice, choice) {
  const label = CHOICES[choice] ?? choice;
  const give = () => app.attempt(() => app.wallet.act("choose", { collective: notice.collective, notice: notice.notice_ref, choice }), `Your answer: ${choice}.`);
  return choice === "leave" ? careful(label, "This deletes the permit.", give) : button(label, give);
}
