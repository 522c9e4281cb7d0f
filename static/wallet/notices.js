// Announced changes: the signed notice as this wallet keeps it, and what it says in words. Python twin: wallets/agent/notices.py.

import {memoryOf} from "./machine.js";
import {permitOf} from "./terms.js";

const WHO_ORDERS = {
  owner: (name) => `Only the owner of ${name} may order a training with it, and gets the model.`,
  approval: (name) => `Whoever orders a training with it gets the model; the owner of ${name} must agree to each order.`,
  open: () => "Anybody may order and pay for a training with it, and gets the model.",
};
const nameOf = (id, reference) => `${id}:${reference}`;

/** Keep the signed notice itself, so that it can be read again at every later answer. @param {any} records @param {string} id */
export const keep = (records, id, reference, envelope) => records.put("notice", nameOf(id, reference), {collective_id: id, envelope});

/** A notice with its words; `stored` is the record of the permit it was sent under. @param {any} records @param {string} id @param {any} stored @param {any} seen */
export async function announced(records, id, stored, seen) {
  const kept = await records.get("notice", nameOf(id, seen.notice_ref)), permit = permitOf(stored);
  const from = runsFrom(seen, permit), manifest = kept?.envelope.document.manifest ?? null;
  return {collective_id: id, name: permit.name, seen, runs_from: from, sentences: sentences(seen, permit, stored.terms.document, manifest)};
}

/** All notices of all permits, newest first. @param {any} records */
export async function every(records) {
  const found = [];
  for (const [id, stored] of Object.entries(await records.list("permit"))) {
    for (const seen of memoryOf(await records.get("memory", id)).notices) found.push(await announced(records, id, stored, seen));
  }
  return found.sort((a, b) => b.seen.first_seen - a.seen.first_seen || (a.name < b.name ? -1 : 1));
}

const runsFrom = (seen, permit) => Math.max(seen.effective, seen.first_seen + permit.notice_seconds);

/** Unix seconds as a readable UTC time. @param {number} moment */
const when = (moment) => (moment > 253_402_300_799 ? "no end" : new Date(moment * 1000).toISOString().slice(0, 19).replace("T", " "));

/** What a holder must know to choose, from signed documents. @param {any} seen @param {any} permit @param {any} terms @param {any} manifest or null */
export function sentences(seen, permit, terms, manifest) {
  const titles = (names) => {
    const shown = names.map((name) => String(terms.requirement.properties[name]?.title || name));
    return shown.slice(0, 12).join(", ") + (shown.length > 12 ? ` and ${shown.length - 12} more` : "");
  };
  const learned = manifest?.target?.length ? `It learns to tell: ${titles(manifest.target)}.`
    : "It learns no model; it counts and averages what it reads, over many wallets.";
  return [
    /[\p{L}\p{N}]$/u.test(seen.subject) ? `${seen.subject}.` : seen.subject,
    ...(manifest ? [`What it is for: ${manifest.purpose}`] : []),
    `Reason given: ${seen.reason}`,
    ...(manifest ? [`It would read: ${titles(manifest.inputs)}. ${learned}`] : []),
    WHO_ORDERS[terms.order_policy](permit.name),
    `A model holds sums of at least ${permit.release_min} wallets, never your data.`,
    `It does not run in your wallet before ${when(runsFrom(seen, permit))} UTC.`,
    `If you do not answer, you continue ${permit.silence} it.`,
    "You can change your answer until that date and after it.",
  ];
}
