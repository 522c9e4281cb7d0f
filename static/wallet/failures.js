// Named failures of the wallet: a stable code and one sentence that says what to do. Python twin: wallets/agent/errors.py.

export class WalletError extends Error {
  /** @param {string} code @param {string} sentence @param {object} [more] e.g. `status`, `retryAfter` */
  constructor(code, sentence, more = {}) {
    super(sentence);
    this.name = "WalletError";
    this.code = code;
    this.permanent = true;
    Object.assign(this, more);
  }
}

/** A server did not answer; the same call may succeed later. */
export class Unreachable extends WalletError {
  /** @param {string} sentence @param {string} [code] */
  constructor(sentence, code = "unreachable") { super(code, sentence, {permanent: false}); }
}

/** A server answered with a named refusal. */
export class ServerRefused extends WalletError {
  /** @param {string} sentence @param {string} code @param {number} status */
  constructor(sentence, code, status) {
    super(code, sentence, {status, permanent: status >= 400 && status < 500 && status !== 429});
  }
}

export const badData = (sentence, code = "bad_data") => new WalletError(code, sentence);
export const notFound = (sentence, code = "not_found") => new WalletError(code, sentence);
export const notTrusted = (sentence) => new WalletError("peer_not_trusted", sentence);
export const fault = (sentence, code) => new WalletError(code, sentence);
