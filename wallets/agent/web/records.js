// @ts-check
/** What happened, what it earned, what it cost in privacy, and how the wallet itself is doing. */

import { button, careful, facts, field, h, list, save, table, when } from "./dom.js";
import { sandbox } from "./permits.js";
import { download } from "./start.js";

/** @param {import("./shell.js").App} app */
export async function journal(app) {
  const wanted = { kind: app.kept.kind ?? "", collective: app.kept.collective ?? "" };
  const book = await app.wallet.read("journal", wanted);
  const kind = h("select", {}, h("option", { value: "" }, "everything"), book.kinds.map((/** @type {string} */ name) => h("option", { value: name }, name)));
  const collective = h("select", {}, h("option", { value: "" }, "every collective"),
    book.collectives.map((/** @type {any} */ one) => h("option", { value: one.id }, one.name)));
  for (const [name, control] of /** @type {[string, any][]} */ ([["kind", kind], ["collective", collective]])) {
    control.value = app.kept[name] ?? "";
    control.addEventListener("change", () => {
      app.kept[name] = control.value;
      return app.show();
    });
  }
  /** @param {string} format */
  const exported = (format) => app.attempt(async () => {
    const file = await app.wallet.act("export-journal", { format });
    save(file.name, file.text, "text/plain");
  }, "Exported.");
  return [
    h("div", { class: "stack" }, h("h1", {}, "Journal"),
      h("p", { class: "lead" }, "What was asked, answered and owed. Without any value of your data."),
      book.broken_at === null ? h("p", { class: "good" }, "The chain of entries is unbroken.")
        : h("p", { class: "bad" }, `The chain does not hold at entry ${book.broken_at}: something was changed.`)),
    h("div", { class: "row ends" }, field("Show", kind), field("Of", collective), button("Export as JSON", () => exported("json")), button("Export as CSV", () => exported("csv"))),
    table(`${book.entries.length} entries, newest first`, ["When", "What", "Collective", "Round", "Code", "Tokens", "In words", "Entry"],
      book.entries.slice(0, 300).map((/** @type {any} */ entry) => [
        entry.deleted ? "" : when(entry.at), entry.kind, entry.name, entry.round || "", entry.code, entry.amount === "0" ? "" : entry.tokens, entry.sentence,
        entry.deleted ? "" : careful("Delete", "For good?", () => app.attempt(() => app.wallet.act("delete-entry", { seq: entry.seq }), "The entry is blank now; its place in the chain remains.")),
      ])),
  ];
}

/** @param {import("./shell.js").App} app */
export async function earnings(app) {
  const seen = await app.wallet.read("earnings");
  const asked = seen.addresses.filter((/** @type {any} */ one) => one.asked);
  /** @param {string} name */
  const sum = (name) => asked.reduce((/** @type {bigint} */ all, /** @type {any} */ one) => all + units(one[name]), 0n);
  const available = sum("pending"), paid = sum("paid"), rest = units(seen.own.tokens) - available - paid;
  return [
    h("div", { class: "stack" }, h("h1", {}, "Earnings"),
      h("p", { class: "lead" }, `By your own journal: ${seen.own.visits} visits, ${seen.own.tokens} tokens.`)),
    facts([["Pending", inTokens(rest > 0n ? rest : 0n)], ["Available", inTokens(available)], ["Paid", inTokens(paid)]]),
    h("p", { class: "muted" }, "Pending: earned and in no payment yet, because its epoch is open, it is below a lot, or it is held over so that few payments cannot say whose they are. Available: in a closed epoch and on its way to your address; there is nothing left to do. Paid: confirmed on the chain."),
    asked.length < seen.addresses.length ? h("p", { class: "muted" }, `${asked.length} of your ${seen.addresses.length} payout addresses were asked about so far; what the others got still counts as pending here.`) : null,
    seen.note ? h("p", {}, seen.note) : null,
    seen.next_epoch ? facts([["Next payment", when(seen.next_epoch)]]) : null,
    seen.addresses.length ? [
      table("By payout address, as the market said last", ["Collective", "Address", "Available", "Paid", "As of", "Now"],
        seen.addresses.map((/** @type {any} */ one) => [one.name, h("span", { class: "code" }, one.address), one.pending || "?", one.paid || "?",
          one.asked ? when(one.asked) : "not asked yet", asking(app, one)])),
      h("p", { class: "muted small" }, "Each address is asked about alone, by and by: asked together, a reader of the market's log could tell that they are one person's."),
    ] : null,
  ].flat().filter(Boolean);
}

/** Tokens as text in base units. @param {string} text */
function units(text) {
  const [whole, part = ""] = text.split(".");
  return BigInt(whole + part.padEnd(18, "0"));
}

/** @param {bigint} amount */
const inTokens = (amount) => `${amount / 10n ** 18n}.${String(amount % 10n ** 18n).padStart(18, "0")}`.replace(/\.?0+$/, "");

/** @param {import("./shell.js").App} app @param {any} one */
function asking(app, one) {
  return button("Ask now", () => app.attempt(() => app.wallet.act("ask-earnings", { address: one.address }), `Asked about ${one.name}.`), "small");
}

/** @param {import("./shell.js").App} app */
export async function privacy(app) {
  const spent = await app.wallet.read("privacy");
  return [
    h("div", { class: "stack" }, h("h1", {}, "Privacy"),
      h("p", { class: "lead" }, "What each collective's visits cost you at most. Noise and summing protect you; every visit adds a little."),
      h("p", { class: "muted" }, "Counted as ρ, which adds up, for the smallest sum you may be part of. The ε belongs to δ = 10⁻⁶; above about 10 it promises nothing formal.")),
    spent.map((/** @type {any} */ one) => h("section", { class: "card" }, h("h2", {}, one.name),
      facts([["Visits", String(one.visits)], ["Spent", `ρ = ${one.rho}, ε = ${one.epsilon}`], ["Your limit", one.limit_rho ? `ρ = ${one.limit_rho}` : "none set"]]),
      one.words ? h("p", {}, one.words) : null,
      one.share === null ? null : h("meter", { min: "0", max: "1", high: "0.8", value: one.share, "aria-label": `Share of your privacy limit for ${one.name}` }))),
  ].flat();
}

/** @param {import("./shell.js").App} app */
export async function health(app) {
  const [seen, consents] = await Promise.all([app.wallet.read("health"), app.wallet.read("receipts")]);
  const results = h("div", { class: "stack" });
  const probe = button("Try every way out of the sandbox", async () => {
    app.say("This takes a few seconds.");
    const probes = await app.wallet.act("selftest");
    results.replaceChildren(table("Attempts to break out", ["Attempt", "Result", "By"],
      probes.map((/** @type {any} */ one) => [one.name, one.blocked ? h("span", { class: "good" }, "blocked") : h("span", { class: "bad" }, "got out"), one.how])));
    app.say(probes.every((/** @type {any} */ one) => one.blocked) ? "Every attempt was blocked." : "An attempt got out.");
  });
  return [
    h("div", { class: "stack" }, h("h1", {}, "Health")),
    h("section", { class: "card" }, h("h2", {}, "The wallet"), facts([
      ["Sandbox", sandbox(seen)], ["Its walls", seen.layers.join(", ") || "not started"], ["Connection", seen.connected ? "connected" : "not connected"],
      ["Letters waiting", String(seen.waiting_letters)], ["Journal", seen.journal_intact ? "unbroken" : h("span", { class: "bad" }, "was changed")],
    ]), h("div", { class: "row" }, probe, reading(app)), results),
    h("section", { class: "card" }, h("h2", {}, "Versions"), facts(Object.entries(seen.versions))),
    h("section", { class: "card" }, h("h2", {}, "Settings"), changing(app, seen.settings)),
    h("section", { class: "card" }, h("h2", {}, "Passphrase and recovery code"), secrets(app, " If a secret may have leaked, lock this wallet and run `rekey`.")),
    h("section", { class: "card" }, h("h2", {}, "Backup"), facts([["Last backup", when(seen.backup.at)]]), backing(app)),
    h("section", { class: "card" }, h("h2", {}, "Consent receipts"), receipts(consents)),
  ];
}

/** @param {any} consents */
export function receipts(consents) {
  if (!consents.receipts.length) return h("p", { class: "muted" }, "None yet. Each subscription leaves one: signed proof of what you agreed to, and when you withdrew it.");
  return [
    h("p", {}, "Signed proof of what you agreed to and when you withdrew it. They are yours."),
    list(consents.receipts.map((/** @type {any} */ one) => {
      const last = one.document.events.at(-1);
      return `${one.document.party_identification[0].party_name}: ${last.event_state.replaceAll("_", " ")}, ${last.event_time}${one.genuine ? "" : " – SIGNATURE DOES NOT HOLD"}`;
    })),
    h("div", {}, button("Export them", () => save("consent-receipts.json", consents.export, "application/json"))),
  ];
}

/** @param {import("./shell.js").App} app */
export function reading(app) {
  return button("Check everything in the wallet", async () => {
    const found = await app.wallet.act("check-store");
    app.say(found.problems.join(" ") || `${found.records} records can be read; journal, permits and receipts are what was written.`);
  });
}

/** @param {import("./shell.js").App} app @param {any} kept */
function changing(app, kept) {
  const perDay = h("input", { type: "number", min: "0", value: kept.visits_per_day });
  const after = h("input", { type: "number", min: "0", value: kept.lock_after_minutes });
  const level = h("select", {}, h("option", { value: "full" }, "full: refuse when a wall is missing"), h("option", { value: "reduced" }, "reduced: run with fewer walls"));
  level.value = kept.sandbox;
  const form = h("form", {}, field("Visits per collective and day", perDay), field("Lock after so many minutes without me", after, "0 is never."),
    field("Sandbox", level, "Lower it only if you must; collectives that ask for full are then declined."), h("div", {}, h("button", { class: "button" }, "Save settings")));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    return app.attempt(() => app.wallet.act("settings", { visits_per_day: Number(perDay.value), lock_after_minutes: Number(after.value), sandbox: level.value }), "Saved.");
  });
  return form;
}

/** New passphrase, new recovery code. @param {import("./shell.js").App} app @param {string} [more] what else to do where the wallet lives */
export function secrets(app, more = "") {
  const old = h("input", { type: "password", autocomplete: "current-password", required: true });
  const fresh = h("input", { type: "password", autocomplete: "new-password", minlength: "10" });
  const again = h("input", { type: "password", autocomplete: "new-password" });
  const code = h("div", {});
  const form = h("form", {}, field("Passphrase now", old), field("New passphrase", fresh, "At least 10 characters."), field("The new one again", again),
    h("div", { class: "row" }, h("button", { class: "button" }, "Change the passphrase"),
      button("Make a new recovery code", async () => {
        try {
          const made = await app.wallet.act("recovery-code", { passphrase: old.value });
          code.replaceChildren(h("p", { class: "big-code" }, made.recovery_code), h("p", { class: "muted" }, "Write it down: it is shown only now, and the old one opens nothing any more."));
          app.say("Your new recovery code is shown.");
        } catch (problem) {
          app.say(/** @type {Error} */ (problem).message);
        }
      })), code, h("p", { class: "muted small" }, `Backups made before still open with what was true then.${more}`));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    if (fresh.value !== again.value) return app.say("The two new passphrases differ. Nothing was changed.");
    return app.attempt(() => app.wallet.act("passphrase", { passphrase: old.value, new_passphrase: fresh.value }), "The passphrase was changed.");
  });
  return form;
}

/** @param {import("./shell.js").App} app */
function backing(app) {
  const secret = h("input", { type: "password", autocomplete: "current-password", required: true });
  const form = h("form", {}, field("Passphrase of today", secret, "Asked again, so that an open page alone cannot copy your wallet."), h("div", {}, h("button", { class: "button" }, "Save a backup")));
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    return download(app, secret.value);
  });
  return form;
}
