// What the distributor sends, decided: mail, jobs, places in logs, invitations, deliveries. Python twin: wallets/agent/inbox.py.
// Every decision follows one pattern: in one transaction read the permit and the memory, let the machine decide, write the new memory
// and the journal; only after the commit does an answer leave.

import {fromHex, hex} from "./bytes.js";
import {toNotice} from "./consent.js";
import {publicKey} from "./crypto.js";
import {Unreachable, WalletError, notFound} from "./failures.js";
import * as journal from "./journal.js";
import {LEDGER, budgetsOf, charge} from "./ledger.js";
import {parseJson} from "./json.js";
import {decide, memoryOf, uuidBytes, uuidText} from "./machine.js";
import {RECORD, missingFor, revoke, subscribe} from "./membership.js";
import {logLeaf, read, signed} from "./messages.js";
import * as notices from "./notices.js";
import {queueNoticeAnswer} from "./outbox.js";
import {pause} from "./patience.js";
import * as standing from "./standing.js";
import {REFUSALS, wireWord} from "./refusals.js";
import {permitOf} from "./terms.js";

const OFFER_ATTEMPTS = 20;
const ANSWERED = {
  with: "You continue with the announced algorithm", without: "You continue without the announced algorithm",
  leave: "You leave because of the announced algorithm",
};

export class Mailbox {
  /** @type {Map<string, any>} accepted invitations by id */ #invited = new Map();

  /** @param {import("./agent.js").Agent} agent */
  constructor(agent) { this.agent = agent; }

  #route(to) { return this.agent.routes.get(hex(to)) ?? ""; }

  /** Whether one more frame of this kind for this key may be looked at now. */
  async #admitted(kind, to) {
    if (this.agent.gate.admits(kind, hex(to), this.agent.now())) return true;
    await this.agent.noteRefusal("too_many", {collective_id: this.#route(to)});
    return false;
  }

  /** The outcome to acknowledge with, or null to have the mail delivered again later. @returns {Promise<"done" | "refused" | null>} */
  async onMail(to, kind, body) {
    if (!await this.#admitted("mail", to)) return null;
    const document = parseJson(body), id = this.#route(to);
    if (hex(to) === this.agent.mailboxKey) {
      if (kind === "offer") return this.#onOffer(document);
      return kind === "notice" ? this.#onChoice(document) : "refused";
    }
    if (id && kind === "notice") return this.#onNotice(id, document);
    if (id && kind === "standing") return standing.onLetter(this.agent, {to, collectiveId: id, document});
    if (!id || kind !== "revoked") return "refused";
    // The holder revoked on the web; the servers know already.
    await revoke(this.agent, id, {tell: false}).catch((error) => { if (error.code !== "not_found") throw error; });
    return "done";
  }

  async #onOffer(offer) {
    try {
      await subscribe(this.agent, offer, {throughPairing: true, attempts: OFFER_ATTEMPTS});
      return "done";
    } catch (error) {
      if (error instanceof Unreachable) return null;
      if (!(error instanceof WalletError) || error.code === "store_closed") throw error;
      this.agent.event("not_subscribed", {code: error.code});
      return "refused";
    }
  }

  /** The holder answered a notice on the web; taken as said only where a rule of the holder's covers it. */
  async #onChoice({collective_id: id, notice_ref: reference, choice}) {
    if (await this.agent.rule() === "ask" || !Object.hasOwn(ANSWERED, choice)) return "refused";
    try {
      await this.answerNotice(String(id), String(reference), choice, "on the web");
      return "done";
    } catch (error) {
      if (error.code === "not_found") return null; // the notice itself has not come yet
      throw error;
    }
  }

  async #onNotice(id, envelope) {
    const {decision, known} = await this.agent.vault.transaction(async (records) => {
      const standing = await standingOf(records, id), now = this.agent.now();
      const made = await decide({kind: "NoticeArrived", envelope, ...standing, now}, this.agent.policy);
      if (made.kind === "Refused") await this.#refuse(records, made, id);
      else if (!made.repeated) {
        await records.put("memory", id, made.memory);
        await notices.keep(records, id, made.seen.notice_ref, envelope);
        await journal.append(records, now, "notice", {collective_id: id, sentence: journal.cut(made.seen.reason, 200)});
      }
      if (made.kind === "Refused") return {decision: made, known: null};
      return {decision: made, known: await notices.announced(records, id, await records.get("permit", id), made.seen)};
    });
    if (decision.kind === "Refused") return "refused";
    if (!decision.seen.choice) {
      const choice = await toNotice(this.agent.ask, known);
      if (choice) await this.answerNotice(id, decision.seen.notice_ref, /** @type {any} */ (choice));
    }
    return "done";
  }

  /** Keep the holder's choice, tell the collective when it can be reached, and leave when asked to. @param {"with" | "without" | "leave"} choice */
  async answerNotice(id, reference, choice, how = "in the wallet") {
    const leave = await this.agent.vault.transaction(async (records) => {
      const {memory} = await standingOf(records, id), keys = await records.get("keys", id), now = this.agent.now();
      const decision = await decide({kind: "NoticeAnswered", notice_ref: reference, choice, memory}, this.agent.policy);
      if (decision.kind === "Refused" || !keys) throw notFound("There is no such notice.");
      await records.put("memory", id, decision.memory);
      await queueNoticeAnswer(records, keys, {collectiveId: id, noticeRef: reference, choice, now});
      await journal.append(records, now, "notice", { collective_id: id, code: choice, sentence: `${ANSWERED[choice]} (answered ${how}).` });
      return decision.leave;
    });
    if (leave) await revoke(this.agent, id);
    else await this.agent.flushOutgoing();
  }

  /** The signed enrolment in a job, or null to decline. @returns {Promise<Uint8Array | null>} */
  async onJob(to, body) {
    if (!await this.#admitted("job", to)) return null;
    const id = this.#route(to), envelope = parseJson(body);
    for (;;) {
      const {decision, enrolment} = await this.agent.vault.transaction(async (records) => {
        const made = await decide({kind: "JobArrived", envelope, ...await standingOf(records, id), now: this.agent.now()}, this.agent.policy);
        if (made.kind === "Refused") await this.#refuse(records, made, id);
        return {decision: made, enrolment: made.kind === "Enrol" ? await this.#enrol(records, id, made) : null};
      });
      if (decision.kind !== "EnrolLater") return enrolment;
      await pause(Math.min(3600, Math.max(0.05, decision.at - this.agent.now())));
    }
  }

  async #enrol(records, id, {job, memory}) {
    const known = await records.get("jobkey", job.job_id);
    if (known) return fromHex(known.enrolment);
    const secret = this.agent.rng(32), keys = await records.get("keys", id), expires = job.expires;
    if (!keys) throw notFound("This subscription has ended.", "no_permit");
    const enrolment = await signed("enrolment", fromHex(keys.subscription), {
      job: uuidBytes(job.job_id), collective: uuidBytes(id), manifest_hash: fromHex(job.manifest_hash), job_key: await publicKey(secret), expires,
    });
    await records.put("jobkey", job.job_id, {private: hex(secret), enrolment: hex(enrolment), collective_id: id});
    await records.put("memory", id, memory);
    await journal.append(records, this.agent.now(), "enrolled", {collective_id: id, job: job.job_id});
    this.agent.event("enrolled");
    return enrolment;
  }

  /** Check and keep our place in a job's frozen log. */
  async onEnrolled({to, job, index, size, root, proof, sig: signature}) {
    if (!await this.#admitted("enrolled", to)) return;
    const id = this.#route(to), jobId = uuidText(job);
    await this.agent.vault.transaction(async (records) => {
      const {memory} = await standingOf(records, id), key = await records.get("jobkey", jobId);
      const leaf = key ? logLeaf(/** @type {any} */ (read("enrolment", fromHex(key.enrolment)))) : new Uint8Array();
      const event = {kind: "LogFrozen", job_id: jobId, leaf, index, size, root, proof, signature, memory};
      const decision = await decide(event, this.agent.policy);
      if (decision.kind === "Refused") await this.#refuse(records, decision, id, {job: jobId});
      else await records.put("memory", id, decision.memory);
    });
  }

  /** Null to accept, else the vague word to decline with. @returns {Promise<"no" | "later" | null>} */
  async onInvite(ident, to, body, signature) {
    const known = this.#invited.get(hex(ident));
    if (known) return this.#acceptAgain(known);
    if (!await this.#admitted("invite", to)) return wireWord("too_many");
    const id = this.#route(to);
    const decision = await this.agent.vault.transaction(async (records) => {
      const stored = await records.get("permit", id), now = this.agent.now();
      const made = await decide({
        kind: "TaskArrived", body, signature, permit: permitOf(stored), memory: memoryOf(await records.get("memory", id)), now,
        missing: stored ? await missingFor(stored, await records.get(...RECORD) ?? {}) : [],
        sandbox_fits: this.agent.sandboxFits(stored?.terms.document.sandbox ?? "any"),
      }, this.agent.policy);
      const accounted = made.kind === "Refused" ? made : await account(records, made.visit, stored, now);
      if (accounted.refusal) {
        const refused = {kind: "Refused", sentence: REFUSALS[accounted.refusal], ...accounted};
        await this.#refuse(records, refused, id);
        return refused;
      }
      await records.put(...LEDGER, accounted.ledger);
      await records.put("memory", id, made.memory);
      await journal.append(records, now, "accepted", {collective_id: id, job: made.visit.job.job_id, round: made.visit.task.round});
      return made;
    });
    if (decision.kind === "Refused") return wireWord(decision.refusal);
    this.#invited.set(hex(ident), decision.visit);
    this.agent.event("accepted", {round: decision.visit.task.round});
    return null;
  }

  /** The acceptance may have been lost with the socket: the round is used up, but for this very invitation. */
  async #acceptAgain(visit) {
    const permit = await this.agent.permit(visit.collective_id);
    const decision = await decide({kind: "AboutToLeave", visit, permit, now: this.agent.now()});
    return decision.kind === "Refused" ? wireWord(decision.refusal) : null;
  }

  /** Start the visit of an accepted task; a repeated delivery changes nothing. */
  onDeliver(ident, delivery) {
    const visit = this.#invited.get(hex(ident));
    this.#invited.delete(hex(ident));
    if (visit) this.agent.start(visit, delivery);
  }

  /** Fewer accepted than needed: nothing was delivered and nothing is owed. */
  async onCancelled(ident, reason) {
    const visit = this.#invited.get(hex(ident));
    if (!this.#invited.delete(hex(ident))) return;
    const {collective_id, job, task} = visit;
    await this.agent.record("outcome", {collective_id, job: job.job_id, round: task.round, code: "cancelled", sentence: reason});
  }

  /** Drop accepted invitations of a collective: a delivery for them starts nothing. @param {string} id */
  forget(id) {
    for (const [ident, visit] of this.#invited) if (visit.collective_id === id) this.#invited.delete(ident);
  }

  #refuse(records, {refusal, sentence}, id, what = {}) {
    return this.agent.noteRefusal(refusal, {sentence, records, collective_id: id, ...what});
  }
}

async function standingOf(records, id) {
  return {permit: permitOf(await records.get("permit", id)), memory: memoryOf(await records.get("memory", id))};
}

/** The person's ledger with an accepted visit charged, or the budget it would exceed; in the acceptance's own transaction. */
async function account(records, visit, stored, now) {
  const budgets = budgetsOf(await records.get("meta", "settings")), formal = stored.terms.document.privacy_level === "formal";
  return charge(await records.get(...LEDGER) ?? {charges: []}, budgets, {
    header: visit.header, collective_id: visit.collective_id, job_id: visit.job.job_id, formal, now,
  });
}
