// One visit: fetch the model, prove presence, train, take part in the phases of the aggregation. Python twins: wallets/agent/rounds.py,
// round_line.py and payload.py.
//
// The socket may be cut at any time; the visit joins again and repeats what was not acknowledged. What was answered once is answered the
// same way again to the same message, and never to another one. The permit is looked up before anything leaves: when it is gone, the
// socket is closed and nothing more is said. Nothing of a round is ever stored but that its unmasking was answered.

import * as cbor from "./cbor.js";
import {equal, fromHex, hex} from "./bytes.js";
import {SecAggClient} from "./client.js";
import {publicKey, seal, sha256, sign} from "./crypto.js";
import {OutputRefused, ProtocolError} from "./errors.js";
import {Unreachable, WalletError, fault, notFound} from "./failures.js";
import {cut} from "./journal.js";
import {decide, uuidBytes} from "./machine.js";
import {isOneShot, questionHash} from "./manifest.js";
import {RECORD, missingFor} from "./membership.js";
import {headerHash, signed} from "./messages.js";
import {contract} from "./output.js";
import {patiently, pause} from "./patience.js";
import {openPayload} from "./payload.js";
import {REFUSALS} from "./refusals.js";
import {project} from "./requirement.js";
import {marked, objection} from "./rules.js";
import {checkChallenge, isMalformed} from "./session.js";
import {Queue, ROUND_FRAME_BYTES} from "./transport.js";

const TRY_AGAIN = [408, 429, 503]; // too slow, one upload runs already, no room
const PAYLOAD_BYTES = 64 * 1024 * 1024, SHORTEST_WAIT = 0.2, LONGEST_WAIT = 5, GRACE_SECONDS = 60, CANNOT_SECONDS = 5;
const FIRST_MOMENT = 0.125, LAST_MOMENT = 32;
const UNCONFIRMED = "The proof that your data was present was on its way when this visit ended. If it arrived, the visit is paid.";
const GONE = ["no_permit", "permit_expired", "permit_changed"];

/** The visit ends here; `code` goes to the journal. */
class VisitOver extends Error {
  /** @param {string} code */
  constructor(code, sentence = "") {
    super(sentence);
    this.code = code;
  }
}

/** When an answer that took so many seconds may leave: 0.125, 0.25, 0.5, … 32 (ADR 0021). @param {number} elapsed */
export function moment(elapsed) {
  let allowed = FIRST_MOMENT;
  while (allowed < Math.min(elapsed, LAST_MOMENT)) allowed *= 2;
  return allowed;
}

export class RoundSession {
  /** @type {import("./transport.js").Socket | null} */ #socket = null;
  #frames = new Queue();
  /** @type {any} */ #pending = null;
  #answers = new Map(); // by hash of what was answered
  #heard = 0;
  #receiptAcknowledged = false;
  #receiptsSent = 0;
  /** @type {string | null} */ #trained = null; // "" when training succeeded, else the fixed code of the failure
  /** @type {SecAggClient | null} */ #client = null;
  /** @type {Uint8Array | null} */ #input = null;
  /** @type {any} */ #slot = null;
  /** @type {Error & {code: string} | null} */ #stopped = null;

  /** @param {import("./agent.js").Agent} agent @param {any} visit @param {{path: string, token: string, ticket: Uint8Array}} delivery */
  constructor(agent, visit, delivery) {
    this.agent = agent;
    this.visit = visit;
    this.delivery = delivery;
    /** @type {any} 32 bytes, read from the vault at the beginning */
    this.jobKey = null;
    /** @type {any} as the job's key */
    this.subscription = null;
    /** @type {any} the permit's record */
    this.stored = null;
    /** @type {any} the person's data */
    this.record = {};
    /** @type {any} the opened model; see `openPayload` */
    this.payload = null;
    /** @type {ArrayLike<number>} */
    this.update = [];
    this.question = "";
    this.over = new Promise((resolve) => { this.finished = () => resolve(undefined); });
  }

  /** Take part from the delivered ticket to the end; never throws on what a server did. */
  async run() {
    const {header, task} = this.visit, seconds = Object.values(header.deadlines).reduce((sum, phase) => sum + phase, GRACE_SECONDS);
    const timer = setTimeout(() => this.#end(new VisitOver("late", "The round took longer than announced.")), seconds * 1000);
    let outcome;
    try {
      await this.#prepare();
      await this.#takePart();
    } catch (error) {
      const expected = [VisitOver, WalletError, ProtocolError].some((kind) => error instanceof kind);
      outcome = this.#stopped ?? (expected ? error : new VisitOver("failed", "The wallet itself failed."));
      if (!expected && !this.#stopped) this.agent.event("failed", {code: String(error)});
    } finally {
      clearTimeout(timer);
      this.#client?.close();
      for (const secret of [this.jobKey, this.subscription]) secret?.fill(0);
      this.#hangUp();
    }
    await this.#close(outcome, task);
    this.finished();
  }

  async #close({code, message}, task) {
    try {
      // The aggregator may have the receipt that was on its way, and then the visit is owed and paid.
      if (this.#receiptsSent && !this.#receiptAcknowledged) await this.#record("outcome", {code: "unconfirmed", sentence: UNCONFIRMED});
      if (code !== "stopped") await this.#record("outcome", {code, sentence: message});
    } catch (error) {
      if (error.code !== "store_closed") throw error; // locked meanwhile
    }
    this.agent.event("visit_over", {code, round: task.round});
  }

  /** The permit was deleted, or the agent stops: nothing more is said, not even goodbye. @returns {Promise<void>} */
  cancel() {
    this.#end(new VisitOver("stopped"));
    return this.over;
  }

  #end(why) {
    this.#stopped ??= why;
    this.#hangUp();
    this.#frames.end(why);
  }

  #live() { if (this.#stopped) throw this.#stopped; }

  /** Fetch and check the model and the data. Whatever is wrong is said before a receipt, so nothing is owed. */
  async #prepare() {
    const {vault} = this.agent, {collective_id: id, job, task} = this.visit;
    const [stored, key, keys] = await Promise.all([vault.get("permit", id), vault.get("jobkey", job.job_id), vault.get("keys", id)]);
    if (!stored || !key || !keys) throw notFound("This subscription has ended.", "no_permit");
    this.jobKey = fromHex(key.private);
    this.subscription = fromHex(keys.subscription);
    this.stored = stored;
    this.record = await vault.get(...RECORD) ?? {};
    const raw = await patiently(() => this.#fetch(), {stopped: () => this.#stopped !== null});
    this.payload = await openPayload(raw, task.round);
    const decision = await decide({
      kind: "PayloadArrived", visit: this.visit, permit: await this.agent.permit(id), manifest_hash: this.payload.manifestHash,
      checkpoint_hash: this.payload.checkpointHash, weights_in_range: this.payload.weightsInRange, trap: this.payload.trap,
      missing: await missingFor(stored, this.record), now: this.agent.now(),
    }, this.agent.policy);
    if (decision.kind === "Refused") await this.#refuse(decision);
    const {manifest} = this.payload;
    if (isOneShot(manifest)) this.question = await questionHash(manifest);
    const answered = this.question && await vault.get("answered", this.question) !== null;
    const refusal = await objection(manifest, this.visit.header) ?? (answered ? "answered_once" : null);
    if (refusal) await this.#refuse({refusal, sentence: REFUSALS[refusal]});
  }

  async #fetch() {
    const {path, token} = this.delivery;
    // Behind the pinned origin "@elsewhere" or ".elsewhere" would name another host.
    if (!path.startsWith("/")) throw fault("The model's address leads elsewhere.", "bad_frame");
    const url = `${this.agent.known().distributorHttp}${path}?${new URLSearchParams({token})}`;
    const {status, body} = await this.agent.transport.request("GET", url, {most: PAYLOAD_BYTES});
    if (status !== 200) throw new VisitOver(`payload_${status}`, "The model of this round could not be fetched.");
    return body;
  }

  async #refuse({refusal, sentence}) {
    await this.#record("refused", {code: refusal, sentence});
    if (!GONE.includes(refusal)) await this.#sayCannot(refusal === "data_missing" ? "requirements" : "declined");
    throw new VisitOver(refusal, sentence);
  }

  async #sayCannot(code) {
    const said = async () => {
      if (!this.#socket) await this.#join();
      await this.#send({t: "cannot", code});
      while (!["ack", "done", "error", "cut"].includes((await this.#frames.get()).t)) {/* until it was heard */}
    };
    await Promise.race([said().catch((error) => { if (!(error instanceof Unreachable)) throw error; }), pause(CANNOT_SECONDS)]);
  }

  async #takePart() {
    for (let wait = SHORTEST_WAIT; ; wait = Math.min(LONGEST_WAIT, wait * 2)) {
      try {
        if (!this.#socket) await this.#join();
        await this.#repeat();
        wait = SHORTEST_WAIT;
        for (;;) await this.#on(await this.#frames.get());
      } catch (error) {
        this.#live();
        if (!(error instanceof Unreachable)) throw error;
        this.#hangUp();
        await pause(wait);
        this.#live();
      }
    }
  }

  async #join() {
    this.#live();
    const {aggregatorSocket, aggregatorKey} = this.agent.known(), {job, round} = this.visit.task;
    const socket = await this.agent.transport.websocket(aggregatorSocket, ROUND_FRAME_BYTES);
    this.#frames = new Queue();
    this.#socket = socket;
    this.#live();
    const {nonce, time, key} = await checkChallenge(socket, aggregatorKey, this.agent.now());
    const sig = await sign(this.jobKey, "cssi/v1/join", {nonce, time, server: key, job, round});
    await this.#send({t: "join", job, round, job_key: await publicKey(this.jobKey), sig});
    const joined = await socket.receive(20);
    if (joined.t !== "joined") throw new VisitOver(word(joined.code ?? "not_joined", 40), "The aggregator did not let this wallet join.");
    this.agent.spawn(pump(socket, this.#frames));
    this.#step("joined");
  }

  /** After joining: the receipt first, or again whatever was not acknowledged before the cut. */
  async #repeat() {
    if (this.#pending) {
      await this.#mayLeave();
      await this.#send(this.#pending);
    } else if (!this.#receiptAcknowledged) await this.#leave({t: "receipt", m: await this.#receipt()}, "receipt");
    else if (this.#trained !== null) this.#frames.put({t: "trained"}); // it may have gone into the queue of the socket that was cut
  }

  async #receipt() {
    const {task, header} = this.visit;
    return signed("presence-receipt", this.subscription, {
      job: task.job, round: task.round, collective: task.collective, requirement_hash: task.requirement,
      data_commitment: fromHex(this.stored.commitment), header_hash: await headerHash(header), job_key: await publicKey(this.jobKey),
      ticket: this.delivery.ticket,
    });
  }

  async #on(message) {
    try {
      await this[`on_${message.t}`]?.(message);
    } catch (error) {
      if (isMalformed(error) && !(error instanceof ProtocolError)) throw fault("The aggregator sent a malformed message.", "bad_frame");
      throw error;
    }
  }

  async on_cut({code}) { throw new Unreachable("The connection was cut.", code ?? "cut"); }

  async on_ack() {
    const acknowledged = this.#pending?.t;
    this.#pending = null;
    if (acknowledged !== "receipt" || this.#receiptAcknowledged) return;
    this.#receiptAcknowledged = true;
    const {rate, round} = this.visit.task, sentence = "Your data was proven present; this visit is owed.";
    await this.#record("visit", {code: "receipt", sentence, amount: String(rate)});
    this.agent.event("visit", {round, amount: String(rate)});
    this.agent.spawn(this.#train());
  }

  async on_trained() {
    if (this.#client || this.#trained === null) return;
    this.#step("trained");
    if (this.#trained) {
      await this.#mayLeave();
      await this.#sayCannot("failed");
      throw new VisitOver(this.#trained, "The algorithm failed after your data was proven present; the visit is owed.");
    }
    const {rng} = this.agent;
    this.#client = await SecAggClient.create(this.visit.header, this.jobKey, {rng, noteRevealed: async (job, round) => this.#revealing(job, round)});
    await this.#leave({t: "secagg", m: await this.#client.advertise()}, "advertise");
  }

  async on_secagg({m: incoming}) {
    const name = hex(await sha256(incoming)), known = this.#answers.get(name);
    if (known !== undefined) {
      if (known) { await this.#mayLeave(); await this.#send(known); }
      return;
    }
    if (!this.#client) throw fault("The aggregator is ahead of this wallet.", "out_of_order");
    await this.#answer(incoming, name);
  }

  /** The four messages of the aggregator come in one order; the client refuses any other. */
  async #answer(incoming, name) {
    this.#heard += 1;
    const client = /** @type {SecAggClient} */ (this.#client);
    if (this.#heard === 2) {
      await client.receiveShares(incoming);
      // Sealed once: a repeated upload must be the same bytes.
      this.#input = await seal(this.agent.known().aggregatorSealKey, "cssi/v1/slot", await client.mask(this.update), this.agent.rng);
      this.#pending = null;
      this.#answers.set(name, null);
      if (this.#slot) await this.on_slot(this.#slot);
      return;
    }
    if (this.#heard > 3) await this.#mayLeave();
    const [made, step] = this.#heard === 1 ? [client.receiveList(incoming, this.agent.now()), "share_keys"]
      : this.#heard === 3 ? [client.receiveSurvivors(incoming), "consistency"] : [client.receiveConsistency(incoming), "unmask"];
    const message = {t: "secagg", m: await made};
    this.#answers.set(name, message);
    await this.#leave(message, step);
  }

  /** Durable before the answer leaves: after a crash this wallet never answers a second time. */
  async #revealing(job, round) {
    return equal(job, uuidBytes(this.visit.job.job_id)) && round === this.visit.task.round && this.agent.noteRevealed(this.visit);
  }

  async on_slot(message) {
    this.#slot = message;
    if (!this.#input) return; // taken up when the shares have come
    await this.#mayLeave();
    const path = String(message.path), content = this.#input;
    if (!path.startsWith("/")) throw fault("The slot's address leads elsewhere.", "bad_frame");
    const {job, task} = this.visit;
    if (this.question) await this.agent.vault.put("answered", this.question, {at: this.agent.now(), job: job.job_id, round: task.round});
    const put = async () => {
      this.#live();
      const {status} = await this.agent.transport.request("PUT", this.agent.known().aggregatorHttp + path, {content});
      if (TRY_AGAIN.includes(status)) throw new Unreachable("The aggregator had no time for the masked input; it is sent again.");
      return status;
    };
    const status = await patiently(put, {stopped: () => this.#stopped !== null});
    if (![200, 201].includes(status)) throw new VisitOver(`slot_${status}`, "The aggregator did not take the masked input.");
    this.#step("masked_input");
  }

  async on_done({outcome, reason}) {
    this.#step("done");
    throw new VisitOver(word(outcome, 20), outcome === "released" ? "" : cut(reason ?? "", 200));
  }

  async on_error({code, text}) {
    if (this.#receiptsSent === 1) this.#receiptsSent = 0; // refused, so nothing is owed; of one sent again the first may have been taken
    throw new VisitOver(word(code, 40), cut(text ?? "", 200));
  }

  /** Train and apply the output contract; the outcome goes through the queue like any message. */
  async #train() {
    const began = performance.now(), {requirement} = this.stored.terms.document;
    let code = "";
    try {
      const raw = await this.agent.train(this.payload, project(this.record, requirement), requirement, this.agent.rng(32));
      const {header} = this.visit;
      this.update = await contract(raw, header, this.agent.rng, marked(this.payload.manifest, header));
      this.agent.spy(this.visit, this.update);
    } catch (error) {
      code = error instanceof OutputRefused ? error.code : "training";
    }
    // Success and failure alike leave at one of few moments: how long the work took stays here.
    const elapsed = (performance.now() - began) / 1000;
    await pause(Math.max(0, moment(elapsed) - elapsed));
    this.#trained = code;
    this.#frames.put({t: "trained"});
  }

  async #leave(message, step) {
    await this.#mayLeave();
    this.#pending = message;
    await this.#send(message);
    this.#step(step);
  }

  async #mayLeave() {
    const permit = await this.agent.permit(this.visit.collective_id);
    const decision = await decide({kind: "AboutToLeave", visit: this.visit, permit, now: this.agent.now()});
    if (decision.kind === "Refused") throw new VisitOver(decision.refusal, decision.sentence);
  }

  /** Seal to the aggregator's pinned key and send. */
  async #send(message) {
    const b = await seal(this.agent.known().aggregatorSealKey, "cssi/v1/round-socket", cbor.encode(message), this.agent.rng);
    this.#live();
    if (!this.#socket) throw new Unreachable("The connection was cut.", "cut");
    this.#receiptsSent += Number(message.t === "receipt");
    this.#socket.send({t: "sealed", b});
  }

  #hangUp() {
    this.#socket?.close();
    this.#socket = null;
  }

  #step(step) { this.agent.event("step", {step, round: this.visit.task.round}); }

  #record(kind, what) {
    const {collective_id, job, task} = this.visit;
    return this.agent.record(kind, {collective_id, job: job.job_id, round: task.round, ...what});
  }
}

/** Move frames into the queue until the socket ends; the end is a message too. */
async function pump(socket, frames) {
  try {
    for (;;) {
      const message = await socket.receive();
      if (!["trained", "cut"].includes(message.t)) frames.put(message); // our own words cannot come from outside
    }
  } catch (error) {
    if (!(error instanceof WalletError)) throw error;
    frames.put({t: "cut", code: error.code});
  }
}

/** The aggregator's word for how a visit ended, short enough for the journal and never empty. */
const word = (value, most) => cut(value, most) || "unnamed";
