// Repeat an idempotent call while nobody answers, with growing, jittered pauses. Python twin: wallets/agent/patience.py.

import {random} from "./bytes.js";
import {Unreachable} from "./failures.js";

/** @param {number} seconds */
export const pause = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });

/** Half of the pause is random, so that a thousand wallets do not come back in the same instant. @param {number} seconds */
export const jittered = (seconds) => pause(seconds / 2 + (seconds / 2) * new DataView(random(2).buffer).getUint16(0) / 65_536);

/** The answer of `attempt`; Unreachable after so many attempts. @template T @param {() => Promise<T>} attempt @returns {Promise<T>} */
export async function patiently(attempt, {shortest = 0.2, longest = 5, attempts = Infinity, stopped = /** @type {() => boolean} */ (() => false)} = {}) {
  for (let wait = shortest, tried = 1; ; wait = Math.min(longest, wait * 2), tried += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Unreachable) || tried >= attempts || stopped()) throw error;
    }
    await jittered(wait);
  }
}
