// The wallet's side of one round, without IO. Twin: aggregation/secagg/client.py; the same checks in the same order, the same codes.
//
// create → advertise → receiveList → receiveShares → mask → receiveSurvivors → receiveConsistency. Whatever fails, and the end, erases the
// secrets and closes the machine; the phase table (docs/protocol/secagg.md section 4) has no way back. The server is trusted with
// nothing but delivery: one answer to the unmasking, one kind of share per peer, under one survivor list that neighbours signed too.

import {concat, equal, random} from "./bytes.js";
import {agreementKey, publicKey, sealingKey} from "./crypto.js";
import {BadProof, LocalProtocolError, RemoteProtocolError} from "./errors.js";
import {addMasks, agree, commit, encodeUpdate, openShare, sealEscrow, sealShare, split} from "./masking.js";
import {verifyInclusion} from "./merkle.js";
import {
  SECRET_BYTES, headerHash, largestBucket, logLeaf, neighbours, read, signed, survivorsDigest, threshold, verifyList, verifySigned,
  verifySurvivors,
} from "./messages.js";

/**
 * @typedef {import("./messages.js").Message} Message
 * @typedef {import("./masking.js").Edge} Edge
 * @typedef {{job_key: Uint8Array, public_key: Uint8Array, index: number, expires: number}} Member
 * @typedef {{index: number, count: number, root: Uint8Array, members: Member[], position: number, neighbours: number[], threshold: number}} Bucket
 * @typedef {{noteRevealed: (job: Uint8Array, round: number) => Promise<boolean>, rng?: (n: number) => Uint8Array, verifySample?: number | null}} Options
 *   `noteRevealed` records durably and gives false when it was recorded before; `verifySample`: how many neighbours, picked by this wallet,
 *   have signatures and log proofs verified; null for all
 */

/** phase → the one event it allows and what follows. @type {{[phase: string]: [string, string]}} */
const TABLE = {
  start: ["advertise", "advertised"],
  advertised: ["list", "shared"],
  shared: ["bundle", "joined"],
  joined: ["mask", "masked"],
  masked: ["survivors", "agreed"],
  agreed: ["agreements", "revealing"],
};
const NOTHING = new Uint8Array(0);

/** @param {boolean} fine @param {keyof typeof import("./errors.js").FAULTS} code @param {string} [detail] */
function ensure(fine, code, detail) {
  if (!fine) throw new RemoteProtocolError(code, detail);
}

export class SecAggClient {
  phase = "start";
  /** @type {CryptoKey | null} */ #key = null;
  #ownPublic = NOTHING;
  #selfSeed = NOTHING;
  /** @type {Map<number, Edge>} */ #edges = new Map();
  /** @type {Map<number, Uint8Array>} */ #held = new Map();
  /** @type {Bucket} */ #bucket = {index: 0, count: 0, root: NOTHING, members: [], position: -1, neighbours: [], threshold: Infinity};
  /** @type {Set<number>} */ #joined = new Set();
  /** @type {Set<number>} */ #alive = new Set();
  #agreedOn = NOTHING;

  /**
   * @param {Message} header @param {Uint8Array} jobKey @param {Uint8Array} jobPublic @param {Uint8Array} salt @param {Options} options
   */
  constructor(header, jobKey, jobPublic, salt, {noteRevealed, rng = random, verifySample = 8}) {
    this.header = header;
    this.jobKey = jobKey;
    this.jobPublic = jobPublic;
    this.salt = salt;
    this.noteRevealed = noteRevealed;
    this.rng = rng;
    this.verifySample = verifySample;
  }

  /**
   * @param {Message} header checked against the permit by the caller @param {Uint8Array} jobKey 32-byte seed; it stays the caller's
   * @param {Options} options
   */
  static async create(header, jobKey, options) {
    return new SecAggClient(header, jobKey, await publicKey(jobKey), await headerHash(header), options);
  }

  get closed() {
    return this.phase === "closed";
  }

  /** Erase every secret of the round; nothing is answered any more. May be called again. */
  close() {
    for (const edge of this.#edges.values()) for (const secret of Object.values(edge)) secret.fill(0);
    for (const secret of [this.#selfSeed, ...this.#held.values()]) secret.fill(0);
    this.#edges.clear();
    this.#held.clear();
    this.#key = null;
    this.phase = "closed";
  }

  /** AdvertiseKeys: a fresh key, signed by the job key. */
  advertise() {
    return this.#step("advertise", LocalProtocolError, async () => {
      const secret = this.rng(32);
      this.#key = await agreementKey(secret);
      this.#ownPublic = await sealingKey(secret);
      secret.fill(0);
      return this.#signed("advertise", {public_key: this.#ownPublic});
    });
  }

  /**
   * ShareKeys: check the bucket, agree on keys with every neighbour, share b and κ, lock the mask seeds away.
   * @param {Uint8Array} data @param {number} now unix seconds
   */
  receiveList(data, now) {
    return this.#step("list", RemoteProtocolError, async () => {
      const list = read("advertise-list", data);
      this.#bucket = await this.#checkList(list, now);
      await this.#checkEvidence(list.evidence);
      return this.#share();
    });
  }

  /** ShareKeys, second half: keep the neighbours' shares; joined neighbours are those to mask with. @param {Uint8Array} data */
  receiveShares(data) {
    return this.#step("bundle", RemoteProtocolError, async () => {
      const bundle = read("share-bundle", data);
      this.#checkRound(bundle);
      this.#checkJoined(bundle);
      for (const [peer, ciphertext] of bundle.shares) {
        const opened = await openShare(this.#edge(peer).incoming, ciphertext, this.salt);
        if (opened !== null) this.#held.set(peer, opened);
      }
      ensure(this.#held.size >= this.#bucket.threshold, "too_few_shares", "too few neighbours' shares open");
      this.#joined = new Set(bundle.joined);
    });
  }

  /**
   * MaskedInput: y = update + PRG(b) ± Σ PRG(mask seeds) mod 2^R, once.
   * @param {ArrayLike<number>} update integers within [−2^(q−1), 2^(q−1))
   */
  mask(update) {
    return this.#step("mask", LocalProtocolError, async () => {
      const words = await encodeUpdate(this.header, update);
      const peers = this.#bucket.neighbours.filter((peer) => this.#joined.has(peer));
      /** @type {[Uint8Array, number][]} */
      const masks = peers.map((peer) => [this.#edge(peer).seed, this.#bucket.position < peer ? 1 : -1]);
      await addMasks(words, [[this.#selfSeed, 1], ...masks]);
      return this.#signed("masked-input", {y: new Uint8Array(words.buffer)});
    });
  }

  /** ConsistencyCheck: agree to one survivor list, if it contains this wallet and keeps both minima. @param {Uint8Array} data */
  receiveSurvivors(data) {
    return this.#step("survivors", RemoteProtocolError, async () => {
      const survivors = read("survivors", data);
      await this.#checkSurvivors(survivors);
      this.#alive = new Set(survivors.positions);
      this.#agreedOn = await survivorsDigest(survivors);
      return this.#signed("consistency", {survivors: this.#agreedOn});
    });
  }

  /**
   * Unmasking: once enough neighbours agreed on the same survivors, and after the durable note, one share per peer.
   * @param {Uint8Array} data
   */
  async receiveConsistency(data) {
    const answer = await this.#step("agreements", RemoteProtocolError, async () => {
      await this.#checkAgreements(read("consistency-set", data));
      const message = await this.#signed("unmask", {survivors: this.#agreedOn, shares: this.#revealed()});
      if (!await this.noteRevealed(this.header.job, this.header.round)) throw new LocalProtocolError("already_revealed");
      return message;
    });
    this.close();
    return answer;
  }

  /**
   * Move first, so that a failure half-way cannot be tried again; any failure closes. A machine that was closed while a step waited gives nothing.
   * @template T @param {string} event @param {typeof LocalProtocolError | typeof RemoteProtocolError} Fault the side at fault
   * @param {() => Promise<T>} work @returns {Promise<T>}
   */
  async #step(event, Fault, work) {
    const [allowed, next] = TABLE[this.phase] ?? [];
    try {
      if (event !== allowed) throw new Fault("out_of_order", `${event} in phase ${this.phase}`);
      this.phase = next;
      const result = await work();
      if (this.closed) throw new LocalProtocolError("closed");
      return result;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** @param {string} kind @param {Message} fields */
  #signed(kind, fields) {
    return signed(kind, this.jobKey, {header: this.salt, sender: this.jobPublic, ...fields});
  }

  /** @param {number} peer @returns {Edge} */
  #edge(peer) {
    const edge = this.#edges.get(peer);
    if (edge === undefined) throw new LocalProtocolError("closed");
    return edge;
  }

  /** @param {Message} message */
  #checkRound({header, bucket}) {
    ensure(equal(header, this.salt), "wrong_round", "the message has another header");
    ensure(bucket === this.#bucket.index, "wrong_round", "the message is for another bucket");
  }

  /** @param {Message} list @param {number} now @returns {Promise<Bucket>} */
  async #checkList(list, now) {
    ensure(equal(list.header, this.salt), "wrong_round", "the list has another header");
    await verifyList(list, this.header.distributor_key);
    /** @type {Member[]} */
    const members = list.members.map((/** @type {any[]} */ [job_key, public_key, index, expires]) => ({job_key, public_key, index, expires}));
    const [size, position] = [members.length, members.findIndex((member) => equal(member.job_key, this.jobPublic))];
    ensure(position >= 0 && equal(members[position].public_key, this.#ownPublic), "not_listed");
    ensure(size >= this.header.bucket_min, "too_few_members");
    ensure(size <= largestBucket(this.header), "out_of_range", "the bucket is larger than the header allows");
    ensure(members.every(({expires}) => expires > now), "expired");
    const {bucket: index, buckets: count, root} = list;
    return {index, count, root, members, position, neighbours: neighbours(this.header, size, position), threshold: threshold(this.header, size)};
  }

  /**
   * Signature and log proof of the neighbours this wallet picks; the server cannot know which.
   * @param {[number, Uint8Array, Uint8Array[]][]} rows
   */
  async #checkEvidence(rows) {
    const evidence = new Map(rows.map((row) => [row[0], row]));
    const {job, log_size, log_root} = this.header;
    for (const peer of this.#picked(this.#bucket.neighbours)) {
      const {job_key, public_key, index, expires} = this.#bucket.members[peer];
      const [, signature, proof] = evidence.get(peer) ?? [];
      if (!signature || !proof) throw new RemoteProtocolError("bad_proof", "a neighbour comes without evidence");
      try {
        await verifyInclusion(logLeaf({job, job_key, expires}), index, log_size, proof, log_root);
      } catch (error) {
        throw error instanceof BadProof ? new RemoteProtocolError("bad_proof", error.message) : error;
      }
      await verifySigned("advertise", job_key, {header: this.salt, sender: job_key, public_key, signature});
    }
  }

  /** A uniform sample without replacement (partial Fisher–Yates), or everything. @template T @param {T[]} items @returns {T[]} */
  #picked(items) {
    const pool = [...items];
    const count = this.verifySample === null ? 0 : Math.min(this.verifySample, pool.length);
    for (let i = 0; i < count; i += 1) {
      const word = new DataView(Uint8Array.from(this.rng(8)).buffer).getBigUint64(0, true);
      const j = i + Number(word % BigInt(pool.length - i));
      [pool[i], pool[j]] = [pool[j], pool[i]];
    }
    return this.verifySample === null ? pool : pool.slice(0, count);
  }

  async #share() {
    const {members, neighbours: peers, position, threshold: t, root} = this.#bucket;
    for (const peer of peers) {
      if (this.#key === null) throw new LocalProtocolError("closed");
      this.#edges.set(peer, await agree(this.#key, this.#ownPublic, members[peer].public_key, position < peer, this.salt));
    }
    this.#key = null;
    const seed = this.#selfSeed = this.rng(SECRET_BYTES);
    const kappa = this.rng(SECRET_BYTES);
    const secret = concat(seed, kappa);
    const pieces = split(secret, peers.length, t, this.rng);
    const shares = await Promise.all(peers.map(async (peer, i) => [peer, await sealShare(this.#edge(peer).outgoing, pieces[i], this.salt)]));
    const escrow = await sealEscrow(kappa, peers.map((peer) => this.#edge(peer).seed), this.jobPublic, this.salt);
    const commitment = await commit(seed, this.jobPublic, this.salt);
    for (const used of [kappa, secret, ...pieces]) used.fill(0);
    return this.#signed("share-keys", {lists_root: root, shares, escrow, commitment});
  }

  /** @param {Message} bundle */
  #checkJoined({joined, shares}) {
    const {members, position, neighbours: peers, threshold: t} = this.#bucket;
    const all = new Set(joined);
    const inside = joined.every((/** @type {number} */ one) => one < members.length);
    ensure(inside && all.has(position), "stranger", "the joined wallets are not of this bucket, or lack this one");
    ensure(all.size >= this.header.bucket_min, "too_few_members", "too few wallets shared their keys");
    const expected = peers.filter((peer) => all.has(peer));
    const exact = shares.length === expected.length && expected.every((peer, i) => shares[i][0] === peer);
    ensure(exact, "wrong_shares", "shares must come from exactly the joined neighbours");
    ensure(expected.length >= t, "too_few_shares");
  }

  /** @param {Message} survivors */
  async #checkSurvivors(survivors) {
    const {count, root, position, neighbours: peers, threshold: t} = this.#bucket;
    this.#checkRound(survivors);
    ensure(equal(survivors.lists_root, root) && survivors.buckets === count, "wrong_list");
    await verifySurvivors(survivors, this.header.distributor_key);
    const alive = new Set(survivors.positions);
    ensure(alive.has(position), "not_a_survivor");
    ensure(survivors.positions.every((/** @type {number} */ one) => this.#joined.has(one)), "not_a_subset");
    ensure(alive.size >= this.header.bucket_min, "below_bucket_min");
    ensure(survivors.total >= this.header.release_min, "below_release_min");
    ensure(peers.filter((peer) => alive.has(peer)).length >= t, "too_few_shares", "too few neighbours survived");
  }

  /** @param {Message} answer */
  async #checkAgreements(answer) {
    const {members, neighbours: peers, threshold: t} = this.#bucket;
    this.#checkRound(answer);
    ensure(equal(answer.survivors, this.#agreedOn), "wrong_list", "the agreements are about other survivors");
    const near = new Set(peers.filter((peer) => this.#alive.has(peer)));
    const agreed = answer.agreements.filter((/** @type {[number]} */ [peer]) => near.has(peer));
    ensure(agreed.length >= t, "too_few_agree");
    for (const [peer, signature] of this.#picked(agreed)) {
      const sender = members[peer].job_key;
      await verifySigned("consistency", sender, {header: this.salt, sender, survivors: answer.survivors, signature});
    }
  }

  /** For every joined neighbour whose share opened: of b if it survived, of κ if not, so never both and none of strangers. */
  #revealed() {
    return [...this.#held].sort(([a], [b]) => a - b).map(([peer, share]) =>
      this.#alive.has(peer) ? [peer, "self", share.slice(0, SECRET_BYTES)] : [peer, "escrow", share.slice(SECRET_BYTES)]);
  }
}
