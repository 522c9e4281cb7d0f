// The socket to the distributor: authenticate both ways, answer what comes, and come back after every cut. Python twin:
// wallets/agent/session.py. A slow decision never delays the heartbeat: each frame that may take time is handled beside the line.

import {equal, hex} from "./bytes.js";
import {publicKey, sign, verify} from "./crypto.js";
import {ProtocolError, TermsError, WireError} from "./errors.js";
import {Unreachable, WalletError, fault, notTrusted} from "./failures.js";
import {cut} from "./journal.js";
import {jittered, pause} from "./patience.js";

const CLOCK_SKEW_SECONDS = 300, SHORTEST_WAIT = 0.5, LONGEST_WAIT = 30, DISTRUSTED = 10, MISSED_HEARTBEATS = 3;
const LONGEST_HEARTBEAT = 300;
const NAMED = {clock: "clock_skew", huge_frame: "huge_frame", peer_not_trusted: "wrong_server"};

/** What handling a frame throws when the frame is not what its type says. @param {unknown} error */
export const isMalformed = (error) => [TypeError, RangeError, SyntaxError, WireError, TermsError, ProtocolError].some((kind) => error instanceof kind);

export class Session {
  /** @param {import("./agent.js").Agent} agent */
  constructor(agent) {
    this.agent = agent;
    /** @type {import("./transport.js").Socket | null} */
    this.socket = null;
    this.connected = false;
    /** @type {Record<string, any>} */
    this.challenge = {};
    this.heartbeat = 30;
    this.bound = new Set();
    this.inHand = new Set();
  }

  /** Connect, serve, reconnect with growing, jittered pauses, while the agent runs. */
  async run() {
    for (let failures = 0; this.agent.running;) {
      if (!(await this.agent.wireKeys()).length) { await pause(1); continue; } // neither paired nor subscribed: nobody to be yet
      try {
        await this.#connect();
        failures = 0;
        await this.#serve();
      } catch (error) {
        if (!(error instanceof WalletError) || error.code === "store_closed") throw error;
        // Someone stands between, or the server changed its key: ask again rarely. Nothing was said to it.
        failures = error.code === "peer_not_trusted" ? DISTRUSTED : failures + 1;
        if (this.agent.running) await this.#note(error);
      } finally {
        this.drop();
      }
      if (this.agent.running) await jittered(Math.min(LONGEST_WAIT, SHORTEST_WAIT * 2 ** Math.min(failures, 10)));
    }
  }

  /** Hang up; `run` connects again while the agent runs. */
  drop() {
    this.socket?.close();
    this.socket = null;
    this.connected = false;
    this.bound.clear();
  }

  /** Announce keys that were made after the socket opened (a new subscription, a pairing). */
  async bind() {
    if (!this.connected) return;
    for (const [kind, secret] of await this.agent.wireKeys()) {
      const key = await publicKey(secret), known = this.bound.has(hex(key));
      this.bound.add(hex(key));
      if (!known) this.#send({t: "bind", kind, public: key, sig: await sign(secret, "cssi/v1/hello", this.#proof())});
    }
  }

  async #connect() {
    const {distributorSocket, distributorKey} = this.agent.known();
    this.socket = await this.agent.transport.websocket(distributorSocket);
    this.challenge = await checkChallenge(this.socket, distributorKey, this.agent.now());
    const keys = [];
    for (const [kind, secret] of await this.agent.wireKeys()) {
      const key = await publicKey(secret);
      keys.push([kind, key, await sign(secret, "cssi/v1/hello", this.#proof())]);
      this.bound.add(hex(key));
    }
    this.#send({t: "hello", version: 1, keys});
    const welcome = await this.socket.receive(20);
    if (welcome.t !== "welcome") throw fault(String(welcome.text ?? "The server did not welcome this wallet."), "not_welcome");
    if (!Number.isInteger(welcome.heartbeat)) throw fault("The server's welcome is malformed.", "bad_frame");
    this.heartbeat = Math.min(Math.max(1, welcome.heartbeat), LONGEST_HEARTBEAT);
    this.connected = true;
    this.agent.event("connected");
    this.agent.spawn(this.agent.flushOutgoing());
  }

  async #serve() {
    for (const socket = /** @type {import("./transport.js").Socket} */ (this.socket);;) {
      const message = await socket.receive(this.heartbeat * MISSED_HEARTBEATS), handler = HANDLERS[message.t];
      if (message.t === "ping") this.#send({t: "pong", n: message.n});
      else if (handler) this.agent.spawn(this.#handle(handler, message)); // a newer server may say more than this wallet knows
    }
  }

  async #handle(handler, message) {
    const ident = message.id instanceof Uint8Array ? hex(message.id) : message.id, mine = `${message.t} ${ident}`, {socket} = this;
    if (message.t === "mail" && this.inHand.has(mine)) return; // delivered again while the holder still thinks about it
    this.inHand.add(mine);
    try {
      const answer = await handler(this.agent.mailbox, message);
      if (answer && socket === this.socket) this.#send({...answer, id: message.id});
    } catch (error) {
      if (error instanceof WalletError) throw error;
      if (!isMalformed(error)) throw error;
      await this.agent.noteRefusal("malformed_frame");
    } finally {
      this.inHand.delete(mine);
    }
  }

  /** A cut line is not worth a line in the journal; a server that misbehaves is. */
  async #note(error) {
    this.agent.event("disconnected", {code: error.code});
    const code = NAMED[error.code] ?? (error instanceof Unreachable ? null : "malformed_frame");
    if (code) await this.agent.noteRefusal(code);
  }

  #proof() { return {nonce: this.challenge.nonce, time: this.challenge.time, server: this.challenge.key}; }

  #send(message) {
    if (!this.socket) throw new Unreachable("The connection was cut.", "cut");
    this.socket.send(message);
  }
}

/** Frame type → what the mailbox does and the answer that leaves, without its id. @type {Record<string, (mailbox: any, m: any) => Promise<any>>} */
const HANDLERS = {
  /** @type {any} */ __proto__: null, // a server may call its frame "constructor"
  mail: async (mailbox, {to, kind, body}) => {
    const outcome = await mailbox.onMail(bytes(to), kind, bytes(body));
    return outcome && {t: "ack", outcome};
  },
  job: async (mailbox, {to, body}) => {
    const enrolment = await mailbox.onJob(bytes(to), bytes(body));
    return enrolment ? {t: "enrol", body: enrolment} : {t: "decline", code: "no"};
  },
  enrolled: async (mailbox, message) => {
    for (const value of [message.to, message.job, message.root, message.sig, ...message.proof]) bytes(value);
    await mailbox.onEnrolled(message);
  },
  invite: async (mailbox, {id, to, task, sig}) => {
    const word = await mailbox.onInvite(bytes(id), bytes(to), bytes(task), bytes(sig));
    return word ? {t: "decline", code: word} : {t: "accept"};
  },
  deliver: async (mailbox, {id, payload_url: path, payload_token: token, ticket}) => {
    mailbox.onDeliver(bytes(id), {path: String(path), token: String(token), ticket: bytes(ticket)});
  },
  cancelled: async (mailbox, {id, reason}) => { await mailbox.onCancelled(bytes(id), cut(reason, 40)); },
  error: async (mailbox, {code}) => { mailbox.agent.event("server_error", {code: cut(code, 40)}); },
};

function bytes(value) {
  if (!(value instanceof Uint8Array)) throw new TypeError("bytes are expected");
  return value;
}

/** The server's challenge, proven to come from the pinned key and to be fresh. @param {import("./transport.js").Socket} socket @param {Uint8Array} pinned */
export async function checkChallenge(socket, pinned, now) {
  const challenge = await socket.receive(20);
  if (challenge.t !== "challenge") throw fault(String(challenge.text ?? "The server did not introduce itself."), "no_challenge");
  const {nonce, time, key, sig} = challenge;
  if (![nonce, key, sig].every((value) => value instanceof Uint8Array) || !Number.isInteger(time)) {
    throw fault("The server's challenge is malformed.", "bad_frame");
  }
  if (!equal(key, pinned)) throw notTrusted("This server shows another key than the one pinned at pairing. Nothing was sent to it.");
  try {
    await verify(pinned, "cssi/v1/challenge", {nonce, time}, sig);
  } catch (error) {
    if (error instanceof WireError) throw notTrusted("The server could not prove the key pinned at pairing. Nothing was sent to it.");
    throw error;
  }
  if (Math.abs(time - now) > CLOCK_SKEW_SECONDS) {
    throw new Unreachable("The server's clock and this machine's differ by more than five minutes. Set the clock.", "clock");
  }
  return challenge;
}
