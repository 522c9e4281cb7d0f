// Every way the protocol says no, by name. Twins: aggregation/wire/errors.py, aggregation/secagg/errors.py, collectives/terms/errors.py.

/** What a wallet's side of the secure aggregation can be at fault with: code → sentence. */
export const FAULTS = Object.freeze({
  malformed: "The message is not in the form the protocol defines.",
  out_of_range: "A field of the message lies outside its allowed range.",
  out_of_order: "The message does not belong to the phase that is running.",
  wrong_round: "The message belongs to another round, job or bucket.",
  wrong_list: "The message refers to another member list.",
  bad_key: "A public key is not usable.",
  bad_signature: "A signature does not fit its key and content.",
  bad_proof: "A member is not in the job's frozen enrolment log.",
  expired: "The job key has expired; enrol again for the next job.",
  duplicate: "A member, key or share appears twice.",
  stranger: "The message names a wallet that has no part in this.",
  closed: "This machine is closed; it takes no further part in the round.",
  not_listed: "The member list does not contain this wallet with the key it sent.",
  too_few_members: "The bucket has fewer wallets than the header's minimum.",
  too_few_shares: "Fewer neighbours than the threshold hold shares of this wallet.",
  not_a_survivor: "The survivor list does not contain this wallet.",
  not_a_subset: "The survivor list names a wallet that did not join.",
  below_bucket_min: "The survivors of the bucket are fewer than its minimum.",
  below_release_min: "The survivors of the round are fewer than its release minimum.",
  too_few_agree: "Fewer neighbours than the threshold agreed on the survivors.",
  already_revealed: "Shares of this round were revealed before; they are never revealed twice.",
  wrong_update: "The update has the wrong length or values that do not fit the quantiser.",
  wrong_shares: "The shares are not exactly those this wallet was asked for.",
});

/** Something on the wire is not what the format says. `code` is for programs, the message for people. */
export class WireError extends Error {
  /** @param {string} sentence @param {string} code */
  constructor(sentence, code = "wire") {
    super(sentence);
    this.name = new.target.name;
    this.code = code;
  }
}

export class CodecError extends WireError {
  /** @param {string} sentence */
  constructor(sentence) { super(sentence, "malformed"); }
}

export class BadKey extends WireError {
  /** @param {string} sentence */
  constructor(sentence) { super(sentence, "bad_key"); }
}

export class BadSignature extends WireError {
  /** @param {string} sentence */
  constructor(sentence) { super(sentence, "bad_signature"); }
}

export class SealError extends WireError {
  /** @param {string} sentence */
  constructor(sentence) { super(sentence, "cannot_unseal"); }
}

export class BadProof extends WireError {
  /** @param {string} sentence */
  constructor(sentence) { super(sentence, "bad_proof"); }
}

/** The root of the two kinds of failure in a round, as in the Python twin. */
export class ProtocolError extends WireError {
  /** @param {keyof typeof FAULTS} code @param {string} [detail] */
  constructor(code, detail) {
    super(detail ? `${FAULTS[code]} (${detail})` : FAULTS[code], code);
  }
}

/** Our own caller asked for something the protocol does not allow here. */
export class LocalProtocolError extends ProtocolError {}

/** What arrived is not acceptable. */
export class RemoteProtocolError extends ProtocolError {}

/** A document (terms, requirement, manifest) is not acceptable. */
export class TermsError extends Error {
  /** @param {string} code @param {string} sentence */
  constructor(code, sentence) {
    super(sentence);
    this.name = "TermsError";
    this.code = code;
  }
}

/** A computed update does not keep the output contract; nothing about its values is said. */
export class OutputRefused extends Error {
  /** @param {string} code @param {string} sentence */
  constructor(code, sentence) {
    super(sentence);
    this.name = "OutputRefused";
    this.code = code;
  }
}
