// @ts-check
/** What a wallet says instead of doing what was asked: a stable code and a sentence for the person. The same behind both doors. */

export class WalletProblem extends Error {
  /** @param {string} code @param {string} sentence */
  constructor(code, sentence) {
    super(sentence);
    this.code = code;
  }
}
