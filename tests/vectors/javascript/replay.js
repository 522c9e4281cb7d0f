// The published vectors against the browser wallet's modules: one runner for Node (node.js) and for a tab (tests/e2e).
// Every suite is named after its file in tests/vectors; what it finds different it says, and it counts what it compared.

import * as cbor from "../../../static/wallet/cbor.js";
import {fromHex, hex, utf8} from "../../../static/wallet/bytes.js";
import {SecAggClient} from "../../../static/wallet/client.js";
import {agreementKey, decrypt, hkdf, publicKey, seal, sealingKey, sharedSecret, sign, signedBytes, unseal, verify} from "../../../static/wallet/crypto.js";
import {decisions} from "./decisions.js";
import {checkPublicKey} from "../../../static/wallet/ed25519.js";
import {encoder} from "../../../static/wallet/features.js";
import {canonical, digest} from "../../../static/wallet/json.js";
import {costMicro, epsilon, rhoMicro} from "../../../static/wallet/ledger.js";
import {layout, manifestHash, outputLength, parseManifest} from "../../../static/wallet/manifest.js";
import {agree, commit, encodeUpdate, openShare, sealEscrow, sealShare, split} from "../../../static/wallet/masking.js";
import {leafHash, proof, root, verifyInclusion} from "../../../static/wallet/merkle.js";
import {
  degree, headerHash, largestBucket, logLeaf, neighbours, paddedD, read, signed, threshold, verifySigned, wordCount, write,
} from "../../../static/wallet/messages.js";
import {computeUpdate} from "../../../static/wallet/net.js";
import {contract, quantise, rotate, sample, thresholds} from "../../../static/wallet/output.js";
import {stream, words32} from "../../../static/wallet/stream.js";

const b = (text) => fromHex(text);
const double = (text) => new DataView(b(text).buffer).getFloat64(0);
const float32 = (rows) => Float32Array.from(rows.flat());

/** What a suite compares with. Bytes are shown and compared as hex. */
class Checks {
  count = 0;
  failures = [];

  same(what, found, expected) {
    const [a, e] = [found, expected].map((value) => JSON.stringify(value, (_, v) => (ArrayBuffer.isView(v) ? [...v] : v)));
    this.count += 1;
    if (a !== e) this.failures.push(`${what}: ${a.slice(0, 200)} instead of ${e.slice(0, 200)}`);
  }

  bytes(what, found, expected) {
    this.same(what, hex(found), expected);
  }

  close(what, found, expected, tolerance) {
    this.count += 1;
    const far = expected.findIndex((value, i) => !(Math.abs(found[i] - value) <= tolerance * (1 + Math.abs(value))));
    if (found.length !== expected.length || far >= 0) this.failures.push(`${what}: at ${far} ${found[far]} instead of ${expected[far]}`);
  }

  async refused(what, code, work) {
    this.count += 1;
    try {
      await work();
      this.failures.push(`${what}: accepted`);
    } catch (error) {
      if (error.code !== code) this.failures.push(`${what}: ${error.code ?? error} instead of ${code}`);
    }
  }
}

async function cborVectors(data, checks) {
  for (const row of data.accept) {
    const value = row.note ? b(row.json.bytes) : row.json;
    checks.bytes(row.hex, cbor.encode(value), row.hex);
    checks.bytes(row.hex, cbor.encode(cbor.decode(b(row.hex))), row.hex);
  }
  for (const row of data.reject) await checks.refused(row.why, "malformed", () => cbor.decode(b(row.hex)));
  const deep = Array.from({length: 17}).reduce((value) => [value], 0);
  for (const value of [1.5, 2 ** 53, -(2 ** 53), NaN, undefined, 5n, "\ud800", {"\ud800": 1}, new Map(), new Date(0), deep]) {
    await checks.refused(`to encode ${typeof value}`, "malformed", () => cbor.encode(value));
  }
  checks.same("sixteen levels", hex(cbor.encode(deep[0])), `${"81".repeat(16)}00`);
}

async function keys(data, checks) {
  for (const [why, all] of Object.entries(data.ed25519_reject)) {
    for (const key of all) await checks.refused(`${why} ${key}`, "bad_key", () => checkPublicKey(b(key)));
  }
  for (const key of data.ed25519_accept) checks.same(key, checkPublicKey(b(key)), undefined);
  const {public: signer, accept, reject} = data.ed25519_signatures;
  checks.same("a plain signature", await verify(b(signer), "cssi/v1/vectors", {}, b(accept)), undefined);
  for (const [why, signature] of Object.entries(reject)) {
    await checks.refused(why, "bad_signature", () => verify(b(signer), "cssi/v1/vectors", {}, b(signature)));
  }
  const own = new Uint8Array(32).fill(1);
  for (const key of data.x25519_reject_all_zero_secret) await checks.refused(key, "bad_key", () => sharedSecret(own, b(key)));
}

async function merkle(data, checks) {
  const leaves = data.leaves.map(b);
  for (const [i, leaf] of leaves.entries()) checks.bytes(`leaf ${i}`, await leafHash(leaf), data.leaf_hashes[i]);
  for (const {size, root: expected, paths} of data.trees) {
    const part = leaves.slice(0, size);
    checks.bytes(`root of ${size}`, await root(part), expected);
    for (const [i, path] of paths.entries()) {
      checks.same(`path ${i} of ${size}`, (await proof(part, i)).map(hex), path);
      checks.same("its proof", await verifyInclusion(leaves[i], i, size, path.map(b), b(expected)), undefined);
      await checks.refused("another leaf", "bad_proof", () => verifyInclusion(utf8("other"), i, size, path.map(b), b(expected)));
      await checks.refused("a longer proof", "bad_proof", () => verifyInclusion(leaves[i], i, size, [...path, path[0] ?? expected].map(b), b(expected)));
    }
  }
}

async function advertise(data, checks) {
  const header = read("header", b(data.header));
  const message = read("advertise", b(data.message));
  const seed = b(data.job_key_seed);
  checks.bytes("round id", await headerHash(header), data.header_hash);
  checks.bytes("job key", await publicKey(seed), data.job_key);
  checks.bytes("X25519 key", await sealingKey(b(data.x25519_private)), data.x25519_public);
  checks.same("signature fits", await verifySigned("advertise", b(data.job_key), message), undefined);
  await checks.refused("another key's signature", "bad_signature", () => verifySigned("advertise", header.distributor_key, message));
  const {header: id, sender, public_key} = message;
  checks.bytes("signed bytes", signedBytes("cssi/v1/advertise", {header: id, sender, public_key}), data.signed_bytes);
  checks.bytes("message", await signed("advertise", seed, {header: id, sender, public_key}), data.message);
  const leaf = logLeaf({job: header.job, job_key: sender, expires: 1_800_100_000});
  checks.bytes("log leaf", leaf, data.log_leaf);
  checks.bytes("log leaf's hash", await leafHash(leaf), data.log_leaf_hash);
}

async function derivation(data, checks) {
  const [salt, {edge, share, escrow, commitment, sealing}] = [b(data.salt), data];
  checks.bytes("X25519", await sharedSecret(b(edge.private_lower), b(edge.public_higher)), edge.x25519);
  const material = await hkdf(b(edge.x25519), 80, salt, b(edge.info));
  checks.bytes("HKDF", material, edge.mask_seed + edge.share_key_lower_to_higher + edge.share_key_higher_to_lower);
  const seen = await agree(await agreementKey(b(edge.private_higher)), b(edge.public_higher), b(edge.public_lower), false, salt);
  checks.bytes("mask seed", seen.seed, edge.mask_seed);
  checks.bytes("incoming", seen.incoming, edge.share_key_lower_to_higher);
  checks.bytes("outgoing", seen.outgoing, edge.share_key_higher_to_lower);
  checks.bytes("share", await sealShare(seen.incoming, b(share.plaintext), salt), share.ciphertext);
  checks.bytes("opened share", await openShare(seen.incoming, b(share.ciphertext), salt), share.plaintext);
  checks.same("changed share", await openShare(seen.outgoing, b(share.ciphertext), salt), null);
  checks.bytes("escrow box", await sealEscrow(b(escrow.kappa), escrow.mask_seeds.map(b), b(escrow.owner), salt), escrow.box);
  checks.bytes("opened box", await decrypt(b(escrow.key), new Uint8Array(12), b(escrow.box), salt), escrow.mask_seeds.join(""));
  checks.bytes("commitment", await commit(b(commitment.b), b(commitment.owner), salt), commitment.commitment);
  const [own, sealed] = [b(sealing.recipient_private), b(sealing.sealed)];
  checks.bytes("sealed", await seal(await sealingKey(own), sealing.label, b(sealing.plaintext), () => b(sealing.ephemeral_private)), sealing.sealed);
  checks.bytes("unsealed", await unseal(own, sealing.label, sealed), sealing.plaintext);
  await checks.refused("another label", "cannot_unseal", () => unseal(own, "cssi/v1/other", sealed));
  const zero = Uint8Array.of(...new Uint8Array(32), ...sealed.subarray(32));
  await checks.refused("an ephemeral key of small order", "cannot_unseal", () => unseal(own, sealing.label, zero));
  await checks.refused("shorter than a key", "cannot_unseal", () => unseal(own, sealing.label, sealed.subarray(0, 31)));
  await checks.refused("cut", "cannot_unseal", () => unseal(own, sealing.label, sealed.subarray(0, 40)));
}

async function streamVectors(data, checks) {
  const [seed, border] = [b(data.seed), data.block_bytes];
  const words = await words32(seed, border / 4 + 8);
  checks.same("first words", words.subarray(0, 8), data.first_words_u32);
  checks.same("first words of 16 bits", new Uint16Array((await stream(seed, 16)).buffer), data.first_words_u16);
  checks.same("before the border", words.subarray(border / 4 - 4, border / 4), data.words_before_border_u32);
  checks.same("after it", words.subarray(border / 4), data.words_after_border_u32);
  checks.same("entered there", new Uint32Array((await stream(seed, 32, border)).buffer), data.words_after_border_u32);
  const {header, update, words: encoded} = data.encoding;
  checks.same("encoded update", await encodeUpdate(read("header", b(header)), update), encoded);
  await checks.refused("a short update", "wrong_update", () => encodeUpdate(read("header", b(header)), update.slice(1)));
}

function shamir(data, checks) {
  const shares = split(b(data.secret), data.shares.length, data.threshold, () => b(data.coefficients.join("")));
  for (const [i, {x, share}] of data.shares.entries()) {
    checks.same("x", i + 1, x);
    checks.bytes(`share ${x}`, shares[i], share);
  }
}

async function quantiser(data, checks) {
  const rng = () => b(data.key);
  checks.same("words", await words32(b(data.key), data.r_u32.length), data.r_u32);
  checks.same("quantised", await quantise(Float64Array.from(data.values_binary64_be, double), data.f, data.q, rng), data.quantised);
  for (const value of data.refused_binary64_be) {
    await checks.refused(value, "not_finite", () => quantise(Float64Array.of(double(value)), data.f, data.q, rng));
  }
}

async function noise(data, checks) {
  const u64 = (words) => [...words].map((word) => word.toString(16).padStart(16, "0"));
  const {smallest, table} = thresholds(data.sigma_micro, data.f);
  checks.same("smallest", smallest, data.smallest_k);
  checks.same("table", u64(table), data.thresholds_u64_hex);
  checks.same("words", u64(new BigUint64Array((await stream(b(data.key), 96)).buffer)), data.words_u64_hex);
  checks.same("samples", await sample(12, data.sigma_micro, data.f, () => b(data.key)), data.samples);
}

async function rotation(data, checks) {
  const turned = await rotate(Float64Array.from(data.update_binary64_be, double), b(data.seed));
  const bits = (value) => hex(new Uint8Array(Float64Array.of(value).buffer).reverse());
  checks.same("length", turned.length, data.rotated_binary64_be.length);
  data.rotated_binary64_be.forEach((value, i) => checks.same(`coordinate ${i}`, bits(turned[i]), value));
}

/** What visits cost; the tab knows the one δ it shows. */
function budget(data, checks) {
  for (const {clip_micro, noise_micro, wallets, coordinates, f, rho_micro} of data.costs) {
    const header = {clip_micro, noise_micro, f, d: coordinates, rotation_seed: new Uint8Array(0)};
    checks.same(`cost at ${clip_micro}, ${noise_micro}, ${wallets}`, costMicro(header, wallets), rho_micro);
  }
  const shown = ({delta_exponent}) => delta_exponent === 6;
  for (const row of data.epsilons.filter(shown)) checks.close(`ε of ${row.rho_micro}`, [epsilon(row.rho_micro)], [row.epsilon], data.tolerance);
  for (const row of data.limits.filter(shown)) checks.same(`ρ within ${row.epsilon}`, rhoMicro(row.epsilon), row.rho_micro);
}

async function features(data, checks) {
  for (const {name, requirement, requirement_id, inputs, target, task = {}, record, x, y} of [...data.cases, ...data.tasks]) {
    const manifest = {inputs, target, widthIn: x.length, widthOut: y.length, loss: "mse", task};
    const made = encoder(requirement, manifest)(record);
    checks.bytes(`${name}: id`, await digest(requirement), requirement_id);
    checks.same(`${name}: x`, made.x, [...float32(x)]);
    checks.same(`${name}: y`, made.y, [...float32(y)]);
    await checks.refused(`${name}: another width`, "wrong_fields", () => encoder(requirement, {...manifest, widthIn: x.length + 1}));
  }
}

async function manifests(data, checks) {
  for (const row of data.accept) {
    checks.bytes("canonical form", canonical(row.manifest), row.canonical);
    checks.same("hash", await manifestHash(row.manifest), row.hash);
    checks.same("layout", layout(parseManifest(b(row.canonical))), row.layout);
    if (row.length !== undefined) checks.same("length of an answer", outputLength(parseManifest(row.manifest)), row.length);
  }
  for (const row of data.reject) await checks.refused(row.why, row.code, () => parseManifest(row.text));
}

async function gradients(data, checks) {
  for (const {name, manifest, weights, x, y, update, seed = ""} of [...data.nets, ...data.answers ?? []]) {
    const made = await computeUpdate(parseManifest(manifest), float32(weights), float32(x), float32(y), b(seed));
    checks.close(name, made, update, 1e-6);
  }
}

async function documents(data, checks) {
  for (const {private_key, canonical: text, signed_bytes, envelope, hash} of data.documents) {
    const [label, body] = [`cssi/v1/${envelope.kind}`, {hash: b(hash)}];
    checks.bytes("canonical form", canonical(envelope.document), text);
    checks.bytes("hash", await digest(envelope.document), hash);
    checks.bytes("signed bytes", signedBytes(label, body), signed_bytes);
    checks.bytes("signature", await sign(b(private_key), label, body), envelope.signature);
    checks.same("it fits", await verify(b(envelope.key), label, body, b(envelope.signature)), undefined);
    await checks.refused("another kind", "bad_signature", () => verify(b(envelope.key), `${label}s`, body, b(envelope.signature)));
  }
}

/** Every wallet of a published round says what the transcript says, given the same entropy. */
async function round(data, checks) {
  const [header, messages] = [read("header", b(data.header)), data.messages];
  checks.bytes("round id", await headerHash(header), data.header_hash);
  for (const [i, wallet] of data.wallets.entries()) {
    const draws = [...wallet.entropy];
    const rng = (length) => fromHex(draws.shift(), length);
    const client = await SecAggClient.create(header, b(wallet.job_key_seed), {rng, noteRevealed: async () => true, verifySample: null});
    const says = (kind, bytes) => checks.bytes(`wallet ${i}: ${kind}`, bytes, messages[kind][i]);
    says("advertise", await client.advertise());
    says("share_keys", await client.receiveList(b(messages.advertise_list[i]), data.now));
    checks.same("all entropy is used", draws, []);
    if (wallet.silent_from === "masked_input") continue;
    await client.receiveShares(b(messages.share_bundle[i]));
    says("masked_input", await client.mask(wallet.update));
    says("consistency", await client.receiveSurvivors(b(messages.survivors)));
    says("unmask", await client.receiveConsistency(b(messages.consistency_set[i])));
    checks.same("closed", client.closed, true);
    await checks.refused("a second answer", "out_of_order", () => client.receiveConsistency(b(messages.consistency_set[i])));
  }
}

async function headers(data, checks) {
  for (const {header, hash, padded_d, words, largest_bucket, buckets} of data.accept) {
    const head = read("header", b(header));
    checks.bytes("written again", write("header", head), header);
    checks.bytes("hash", await headerHash(head), hash);
    checks.same("lengths", [paddedD(head), wordCount(head), largestBucket(head)], [padded_d, words, largest_bucket]);
    for (const {members, threshold: t, position, degree: k, first_and_last_neighbours} of buckets) {
      const near = neighbours(head, members, position);
      checks.same(`bucket of ${members}`, [threshold(head, members), degree(head, members), near.length], [t, k, k]);
      checks.same(`neighbours of ${position}`, [...near.slice(0, 3), ...near.slice(-3)], first_and_last_neighbours);
    }
  }
  for (const {why, header, code} of data.reject) await checks.refused(JSON.stringify(why), code, () => read("header", b(header)));
}

const bytesOf = (message) => (typeof message === "string" ? b(message) : message);

/** Give a wallet the message of a step. */
const take = (client, step, message, now) => ({
  list: () => client.receiveList(message, now), bundle: () => client.receiveShares(message), mask: () => client.mask(message),
  survivors: () => client.receiveSurvivors(message), agreements: () => client.receiveConsistency(message),
})[step]();

/** A wallet that was given the right messages up to this step, or up to the end. */
async function atStep(data, header, step, noted = false) {
  const draws = [...data.entropy];
  const rng = (length) => fromHex(draws.shift(), length);
  const client = await SecAggClient.create(header, b(data.job_key_seed), {rng, noteRevealed: async () => !noted, verifySample: null});
  await client.advertise();
  const before = step === "end" ? data.steps : data.steps.slice(0, data.steps.indexOf(step));
  for (const one of before) await take(client, one, bytesOf(data.right[one]), data.now);
  return client;
}

/** What a wallet refuses in a round: the right messages up to a step, then the wrong one. */
async function refusals(data, checks) {
  const header = read("header", b(data.header));
  for (const {why, step, after, message, now = data.now, noted = false, code} of data.cases) {
    const client = await atStep(data, header, after, noted);
    await checks.refused(`${step}: ${why}`, code, () => take(client, step, bytesOf(message), now));
    checks.same(`${step}: ${why}: closed`, client.closed, true);
  }
  for (const step of data.steps) {
    const client = await atStep(data, header, step);
    const waiting = take(client, step, bytesOf(data.right[step]), data.now);
    client.close();
    await checks.refused(`closed while ${step} waits`, "closed", () => waiting);
    checks.same(`closed while ${step} waits: stays closed`, client.closed, true);
  }
}

async function contracts(data, checks) {
  const raw = (text) => new Float32Array(b(text).buffer);
  for (const {name, header, raw_f32, draws, values, marked} of data.cases) {
    const left = [...draws];
    checks.same(name, await contract(raw(raw_f32), read("header", b(header)), (length) => fromHex(left.shift(), length), marked), values);
    checks.same(`${name}: draws`, left, []);
  }
  for (const {why, code, raw_f32, header = data.refused_header} of data.refused) {
    await checks.refused(why, code, () => contract(raw(raw_f32), read("header", b(header))));
  }
}

/** File name → suite. */
export const SUITES = {
  cbor: cborVectors, keys, merkle, header: headers, advertise, derivation, stream: streamVectors, shamir, quantiser, noise, rotation, budget, features, manifest: manifests,
  gradients, contract: contracts, documents, decisions, refusals, "round-3": round, "round-5": round, "round-5-dropout": round, "round-7-circulant-u16": round,
};

/**
 * The suites of these files: name → {checks, failures}.
 * @param {(name: string) => Promise<any>} load the parsed JSON of a file @param {string[]} names
 */
export async function replay(load, names) {
  const report = {};
  for (const name of names) {
    const checks = new Checks();
    try {
      if (!Object.hasOwn(SUITES, name)) throw new Error("no suite replays this file");
      await SUITES[name](await load(name), checks);
    } catch (error) {
      checks.failures.push(`${error.stack ?? error}`);
    }
    report[name] = {checks: checks.count, failures: checks.failures};
  }
  return report;
}
