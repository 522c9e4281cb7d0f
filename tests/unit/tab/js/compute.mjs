// What the tab computes, asked for by line: see test_same_answers.py.
import { contract, clip, thresholds } from "../../../../static/wallet/output.js";
import * as cbor from "../../../../static/wallet/cbor.js";
import { encoder } from "../../../../static/wallet/features.js";
import { canonical, parseJson } from "../../../../static/wallet/json.js";
import { initialWeights } from "../../../../static/wallet/init.js";
import { outputLength, parameterCount, parseManifest, questionHash } from "../../../../static/wallet/manifest.js";
import { read, write } from "../../../../static/wallet/messages.js";
import { computeUpdate } from "../../../../static/wallet/net.js";
import { looksLikeATrap, objection } from "../../../../static/wallet/rules.js";
import { bytes, serve } from "./serve.mjs";

const floats = (text) => new Float32Array(bytes(text).buffer);

await serve({
  cbor: ({ data }) => cbor.encode(cbor.decode(bytes(data))),
  message: ({ kind, data }) => write(kind, read(kind, bytes(data))),
  json: ({ text }) => canonical(parseJson(text)),
  manifest: ({ text }) => {
    const manifest = parseManifest(text);
    return [parameterCount(manifest), outputLength(manifest)];
  },
  record: ({ requirement, manifest, record }) => {
    const { x, y } = encoder(requirement, parseManifest(manifest))(record);
    return [new Uint8Array(x.buffer), new Uint8Array(y.buffer)];
  },
  update: async ({ manifest, weights, x, y, seed }) => {
    const made = await computeUpdate(parseManifest(manifest), floats(weights), floats(x), floats(y), bytes(seed));
    return new Uint8Array(made.buffer);
  },
  contract: async ({ raw, header, draws, marked }) => [...await contract(floats(raw), read("header", bytes(header)), () => bytes(draws.shift()), marked)],
  rules: async ({ manifest, header, job }) => {
    const parsed = parseManifest(manifest);
    const first = new Uint8Array((await initialWeights(parsed, bytes(job))).buffer);
    return [await questionHash(parsed), first, await objection(parsed, read("header", bytes(header)))];
  },
  trap: ({ manifest, weights }) => looksLikeATrap(parseManifest(manifest), floats(weights)),
  clip: ({ values, bound }) => new Uint8Array(clip(new Float64Array(bytes(values).buffer), bound).buffer),
  thresholds: ({ sigma, f }) => {
    const { smallest, table } = thresholds(sigma, f);
    return [smallest, new Uint8Array(table.buffer)];
  },
});
