// Who says yes, on which document, and the signed receipt the holder keeps. Python twins: wallets/agent/consent.py and receipts.py.
// Receipts have the field names of ISO/IEC TS 27560:2023; a withdrawal is a further event, signed before the key is erased.

import {fromHex} from "./bytes.js";
import {duration, signEnvelope, wordsForAgreement} from "./terms.js";

/** @type {[string, string]} */
export const RULE = ["meta", "consent-rule"];

/**
 * Whether the holder agrees to terms, and how. `rule` is the standing answer: "ask", or "confirmed-on-web" for offers through the own pairing.
 * @param {string} rule @param {((question: any) => Promise<string>) | null} ask @param {any} terms @param {boolean} throughPairing
 */
export async function toTerms(rule, ask, terms, throughPairing) {
  if (rule === "confirmed-on-web" && throughPairing) return {agreed: true, how: "rule: accept what I confirmed on the web"};
  if (!ask) return {agreed: false, how: "nobody to ask"};
  const question = {
    kind: "terms", title: `Subscribe to ${terms.name}?`, sentences: wordsForAgreement(terms), answers: ["not now", "subscribe"], terms,
  };
  return {agreed: await ask(question) === "subscribe", how: "asked"};
}

/** The holder's choice on a notice, or null to leave it open. @param {((question: any) => Promise<string>) | null} ask @param {any} notice as announced @returns {Promise<string | null>} */
export async function toNotice(ask, notice) {
  if (!ask) return null;
  const choices = ["with", "without", "leave"], {name, sentences} = notice;
  const answer = await ask({kind: "notice", title: `${name} announces a change`, sentences, answers: ["decide later", ...choices], notice});
  return choices.includes(answer) ? answer : null;
}

/** The receipt of a consent that has just been given. */
export function given({terms, permit, fields, how, now}) {
  const {agreement_hash: agreement, subscription_key: holder} = permit;
  return {
    schema_version: "ISO/IEC TS 27560:2023; profile cssi/1", record_id: `urn:cssi:consent:${agreement}`,
    receipt_id: `urn:cssi:receipt:${agreement}:1`, pii_principal_id: holder, language: "en", privacy_notice: `urn:cssi:terms:${permit.terms_hash}`,
    purposes: [purpose(terms, fields)],
    party_identification: [{
      party_id: terms.collective_id, party_name: terms.name, party_role: "pii_controller", party_type: "collective", party_key: terms.collective_key,
    }],
    events: [{
      event_time: rfc3339(now), event_type: "explicit", event_state: "consent_given", entity_id: holder,
      validity_duration: rfc3339(permit.expires), method: how,
    }],
    extension: {
      terms_hash: permit.terms_hash, requirement_hash: permit.requirement_hash, agreement_hash: agreement,
      rate_base_units_per_visit: String(permit.rate), token: terms.token, bucket_min: permit.bucket_min, release_min: permit.release_min,
      privacy_level: terms.privacy_level, sandbox: terms.sandbox, notice_period: duration(permit.notice_seconds),
      silence_means: permit.silence, sentences_shown: wordsForAgreement(terms),
    },
  };
}

const purpose = (terms, fields) => ({
  purpose: terms.purpose, purpose_excluded: terms.not_for, purpose_type: "training of a shared model", lawful_basis: "consent",
  pii_information: [...fields].sort().map((name) => ({pii_type: name, pii_optional: false})), pii_controllers: [terms.collective_id],
  collection_method: "none: the data stays in the holder's wallet",
  processing_method: "computed in the wallet; one clipped, noised and masked list of numbers leaves per visit, readable only in sums",
  processing_locations: ["the holder's own device"], storage_locations: ["the holder's own device"],
  retention_period: "until the holder revokes; results already added to a model cannot be taken out",
  withdrawal_method: "revoke in the wallet; effective at once, with or without any server",
  recipient_third_parties: ["buyers of the collective's models, which are made of released sums only"],
});

/** Add the withdrawal to a receipt and sign it again; without a receipt there is nothing to do. @param {any} records @param {any} keys as stored */
export async function withdraw(records, subscriptionKey, keys, now, by) {
  const stored = await records.get("consent", subscriptionKey);
  if (!stored) return;
  const event = {
    event_time: rfc3339(now), event_type: "explicit", event_state: "consent_withdrawn", entity_id: subscriptionKey, method: by,
  };
  const {document} = stored, events = [...document.events, event];
  const receipt_id = `${String(document.receipt_id).replace(/:[^:]*$/, "")}:${events.length}`;
  await records.put("consent", subscriptionKey, await signEnvelope("consent", {...document, events, receipt_id}, fromHex(keys.subscription)));
}

/** Unix seconds as UTC text; a year no calendar has becomes the last one that has. @param {number} moment */
export const rfc3339 = (moment) =>
  (moment > 253_402_300_799 ? "9999-12-31T23:59:59Z" : new Date(moment * 1000).toISOString().replace(".000Z", "Z"));
