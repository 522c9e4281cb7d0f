// How much of one kind a server may ask of this wallet, and how much of it the journal keeps. Python twin: wallets/agent/gate.py.

/** `burst` at once, then one every `seconds`. */
const RATES = {invite: [60, 1], job: [30, 10], mail: [60, 5], enrolled: [30, 10], journal: [12, 60]};
const MOST_KEYS = 4096;

export class Gate {
  /** @type {Map<string, {left: number, at: number, suppressed: number}>} */ #buckets = new Map();

  /** Whether one more of this kind may pass now. A clock that was set back refills nothing. @param {keyof typeof RATES} kind @param {string} who @param {number} now */
  admits(kind, who, now) {
    const [burst, seconds] = RATES[kind], name = `${kind} ${who}`;
    let bucket = this.#buckets.get(name);
    if (!bucket) {
      while (this.#buckets.size >= MOST_KEYS) this.#buckets.delete(/** @type {string} */ (this.#buckets.keys().next().value));
      this.#buckets.set(name, bucket = {left: burst, at: now, suppressed: 0});
    }
    bucket.left = Math.min(burst, bucket.left + Math.max(0, now - bucket.at) / seconds);
    bucket.at = now;
    if (bucket.left < 1) {
      bucket.suppressed += 1;
      return false;
    }
    bucket.left -= 1;
    return true;
  }

  /** How many did not pass since this was last asked. @param {keyof typeof RATES} kind @param {string} who */
  suppressed(kind, who) {
    const bucket = this.#buckets.get(`${kind} ${who}`), count = bucket?.suppressed ?? 0;
    if (bucket) bucket.suppressed = 0;
    return count;
  }
}
