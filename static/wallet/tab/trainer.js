// The inner worker: computes one update at a time from what it is given, and reaches nothing else of the wallet. Twin: wallets/agent/sandbox/worker.

import {OutputRefused} from "../errors.js";
import {train} from "../payload.js";

self.onmessage = async ({data: {id, manifest, weights, record, requirement, seed}}) => {
  try {
    const update = await train(/** @type {any} */ ({manifest, weights}), record, requirement, seed);
    self.postMessage({id, update});
  } catch (error) {
    const named = error instanceof OutputRefused ? error : new OutputRefused("training", "The algorithm could not be run in this browser.");
    self.postMessage({id, refused: {code: named.code, sentence: named.message}});
  }
};
