// Training in a worker of its own, so that a long visit delays neither the heartbeat nor the page. Twin: wallets/agent/sandbox (its door).

import {OutputRefused} from "../errors.js";

/** A function like `train` of payload.js that computes elsewhere; the worker starts with the first visit. */
export function training() {
  /** @type {Worker | null} */
  let worker = null;
  let last = 0;
  /** @type {Map<number, {resolve: (update: any) => void, reject: (error: Error) => void}>} */
  const waiting = new Map();
  const begin = () => {
    const started = new Worker(address(), {type: "module", name: "training"});
    started.onmessage = ({data: {id, update, refused}}) => {
      const asked = waiting.get(id);
      waiting.delete(id);
      refused ? asked?.reject(new OutputRefused(refused.code, refused.sentence)) : asked?.resolve(update);
    };
    started.onerror = () => { // it did not even start; the next visit tries again
      worker = null;
      started.terminate();
      for (const {reject} of waiting.values()) reject(new OutputRefused("training", "The algorithm could not be run in this browser."));
      waiting.clear();
    };
    return started;
  };
  return (payload, record, requirement, seed) => new Promise((resolve, reject) => {
    worker ??= begin();
    waiting.set(last += 1, {resolve, reject});
    worker.postMessage({id: last, manifest: payload.manifest, weights: payload.weights, record, requirement, seed});
  });
}

/** @type {any} */
let made = null;

/** The policy lets a script's address be made here and nowhere else; a browser has it made once. @returns {any} */
function address() {
  const url = new URL("./trainer.js", import.meta.url).href, {trustedTypes} = /** @type {any} */ (globalThis);
  made ??= trustedTypes ? trustedTypes.createPolicy("wallet", {createScriptURL: () => url}).createScriptURL(url) : url;
  return made;
}
