// The table of decisions against the tab's machine: what comes in is read from the JSON, what comes out is compared with it.

import {fromHex} from "../../../static/wallet/bytes.js";
import {decide, memoryOf} from "../../../static/wallet/machine.js";
import {read} from "../../../static/wallet/messages.js";
import {wireWord} from "../../../static/wallet/refusals.js";
import {parsePermit, parseTask, termsHash, wordsForAgreement} from "../../../static/wallet/terms.js";

const BYTES = ["body", "signature", "leaf", "root", "manifest_hash", "checkpoint_hash"];

function heard(event) {
  const made = {...event};
  for (const name of BYTES) if (typeof made[name] === "string") made[name] = fromHex(made[name]);
  if (made.proof) made.proof = made.proof.map((hash) => fromHex(hash));
  if (made.permit) made.permit = parsePermit(made.permit);
  if (made.memory) made.memory = memoryOf(made.memory);
  if (made.visit) {
    const task = parseTask(fromHex(made.visit.task));
    made.visit = {...made.visit, task, header: read("header", task.header)};
  }
  return made;
}

async function said(decision) {
  if (decision.kind === "Refused") return {...decision, wire: wireWord(decision.refusal)};
  if (decision.kind === "AskHolder") {
    return {kind: "AskHolder", terms_hash: await termsHash(decision.terms), words: wordsForAgreement(decision.terms)};
  }
  if (decision.kind !== "Accept") return decision;
  const {task: _, header: __, ...visit} = decision.visit;
  return {...decision, visit};
}

const sorted = (value) => (Array.isArray(value) ? value.map(sorted) : value !== null && typeof value === "object"
  ? Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])])) : value);

export async function decisions(data, checks) {
  for (const {why, event, policy, decision} of data.cases) {
    checks.same(`${event.kind}, ${why}`, sorted(await said(await decide(heard(event), policy))), sorted(decision));
  }
}
