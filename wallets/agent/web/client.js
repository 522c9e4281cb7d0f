// @ts-check
/** The one door between the pages and a wallet. A wallet in a browser tab offers the same two verbs and these pages stay as they are. */

import { WalletProblem } from "./problem.js";

/** A wallet behind the agent on this machine. */
export class LocalWallet {
  /** @param {string} token what the link carried behind # */
  constructor(token) {
    this.token = token;
  }

  /** @param {string} name @param {Record<string, string>} [asked] @returns {Promise<any>} */
  read(name, asked = {}) {
    const query = new URLSearchParams(asked).toString();
    return this.#call(`api/${name}${query ? `?${query}` : ""}`, { method: "GET" });
  }

  /** @param {string} name @param {Record<string, unknown>} [body] @returns {Promise<any>} */
  act(name, body = {}) {
    return this.#call(`api/${name}`, { method: "POST", body: JSON.stringify(body) });
  }

  /** @param {string} path @param {RequestInit} how */
  async #call(path, how) {
    let answer;
    try {
      answer = await fetch(path, { ...how, headers: { authorization: `Bearer ${this.token}` }, cache: "no-store" });
    } catch {
      throw new WalletProblem("gone", "The wallet does not answer. Is its program still running?");
    }
    const value = await answer.json();
    if (!answer.ok) throw new WalletProblem(value.code, value.sentence);
    return value;
  }
}
