// What a wallet in a tab computes, measured where it computes: times by this worker's own clock, around the work alone.
import {SecAggClient} from "/wallet/client.js";
import {parseManifest} from "/wallet/manifest.js";
import {read} from "/wallet/messages.js";
import {computeUpdate} from "/wallet/net.js";
import {answers} from "./answers.js";

const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
const text = (data) => {
  let made = "";
  for (let at = 0; at < data.length; at += 8192) made += String.fromCharCode(...data.subarray(at, at + 8192));
  return btoa(made);
};
let client = null;

const STEPS = {
  create: async ({header, seed}) => {
    client = await SecAggClient.create(read("header", bytes(header)), bytes(seed), {noteRevealed: async () => true});
  },
  advertise: () => client.advertise(),
  receive_list: ({message, now}) => client.receiveList(message, now),
  receive_shares: ({message}) => client.receiveShares(message),
  mask: ({update}) => client.mask(update),
  receive_survivors: ({message}) => client.receiveSurvivors(message),
  receive_consistency: ({message}) => client.receiveConsistency(message),
};

answers({
  step: async ({step, words, ...given}) => {
    const ready = {...given, ...(given.message ? {message: bytes(given.message)} : {}), update: new Int32Array(words ?? 0)};
    const began = performance.now(), made = await STEPS[step](ready), milliseconds = performance.now() - began;
    return {milliseconds, message: made instanceof Uint8Array ? text(made) : ""};
  },
  train: async ({manifest, weights, x, y, least}) => {
    const parsed = parseManifest(manifest), numbers = (base64) => new Float32Array(bytes(base64).buffer);
    const given = [parsed, numbers(weights), numbers(x), numbers(y), new Uint8Array(32)];
    let update = await computeUpdate(...given);
    for (let count = 1; ; count *= 2) {
      const began = performance.now();
      for (let i = 0; i < count; i += 1) update = await computeUpdate(...given);
      const took = performance.now() - began;
      if (took >= least) return {milliseconds: took / count, update: text(new Uint8Array(update.buffer))};
    }
  },
});
