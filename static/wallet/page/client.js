// @ts-check
/** The one door between the pages and a wallet, here a worker of this very page. Twin of the door to an agent, wallets/agent/web/client.js. */

import { WalletProblem } from "./problem.js";

/** A wallet in a worker. Only questions, answers and what is shown pass; keys stay on the other side. */
export class TabWallet {
  #last = 0;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (problem: Error) => void}>} */ #waiting = new Map();

  /** @param {(event: any) => void} happened what the wallet does by itself */
  constructor(happened) {
    const worker = this.worker = new Worker(address(), { type: "module", name: "wallet" });
    /** @type {Promise<void>} */
    this.ready = new Promise((resolve, reject) => {
      worker.addEventListener("error", () => {
        const problem = new WalletProblem("gone", "The wallet could not start in this browser. Update the browser, or use an always-on agent.");
        for (const { reject: refuse } of this.#waiting.values()) refuse(problem);
        this.#waiting.clear();
        reject(problem);
      });
      worker.addEventListener("message", ({ data }) => {
        if (data.event === "ready") resolve();
        else if (data.event) happened(data);
        else this.#answered(data);
      });
    });
    this.ready.catch(() => {}); // whoever asks hears of it
  }

  /** @param {string} name @param {Record<string, any>} [asked] @returns {Promise<any>} */
  read(name, asked = {}) { return this.#call("read", name, asked); }

  /** @param {string} name @param {Record<string, any>} [body] @returns {Promise<any>} */
  act(name, body = {}) { return this.#call("act", name, body); }

  /** @param {string} verb @param {string} name @param {Record<string, any>} given */
  async #call(verb, name, given) {
    await this.ready;
    return new Promise((resolve, reject) => {
      this.#waiting.set(this.#last += 1, { resolve, reject });
      this.worker.postMessage({ id: this.#last, verb, name, given });
    });
  }

  /** @param {{id: number, value?: any, problem?: {code: string, sentence: string}}} answer */
  #answered({ id, value, problem }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (problem) waiting?.reject(new WalletProblem(problem.code, problem.sentence));
    else waiting?.resolve(value);
  }
}

/** The page's policy lets a script's address be made here and nowhere else. @returns {any} */
function address() {
  const url = new URL("../tab/worker.js", import.meta.url).href, { trustedTypes } = /** @type {any} */ (globalThis);
  return trustedTypes ? trustedTypes.createPolicy("wallet", { createScriptURL: () => url }).createScriptURL(url) : url;
}
