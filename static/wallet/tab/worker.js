// The wallet's worker: it alone holds keys. The page asks with {id, verb, name, given} and hears {id, value} or {id, problem}; what
// happens by itself comes as {event, …} in fixed words. Twin of the HTTP side of wallets/agent/local_api.py, without any network.

import {TermsError, WireError} from "../errors.js";
import {WalletError} from "../failures.js";
import {ACTS} from "./acts.js";
import {watchSleep} from "./awake.js";
import {tokens} from "../terms.js";
import {Holder} from "./holder.js";
import {READS} from "./reads.js";
import {training} from "./training.js";

const QUIET = new Set(["state", "overview", "live"]); // a page that refreshes itself is not the holder doing something
const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

const holder = new Holder({
  origin: self.location.origin,
  // Terms with lowered minima are for trying things out, on the machine that serves this page itself.
  development: LOOPBACK.has(self.location.hostname),
  train: training(),
  tell: (event, what = {}) => self.postMessage({...what, ...(event === "visit" ? {earned: tokens(BigInt(what.amount))} : {}), event}),
});

/** @param {unknown} error */
function problemOf(error) {
  if (error instanceof WalletError && error.code === "store_closed") return {code: "locked", sentence: "The wallet is locked. Unlock it first."};
  if (error instanceof WalletError || error instanceof TermsError || error instanceof WireError) return {code: error.code, sentence: error.message};
  console.error(error);
  return {code: "failed", sentence: "Something went wrong inside the wallet. Nothing was lost. Reload the page and try again."};
}

self.onmessage = async ({data: {id, verb, name, given}}) => {
  const known = verb === "read" ? READS : ACTS;
  try {
    if (!Object.hasOwn(known, name)) throw new WalletError("not_found", "There is nothing of that name.");
    if (!QUIET.has(name)) holder.touch();
    self.postMessage({id, value: await known[name](holder, given)});
  } catch (error) {
    self.postMessage({id, problem: problemOf(error)});
  }
};
watchSleep((seconds) => holder.slept(seconds));
self.postMessage({event: "ready"});
