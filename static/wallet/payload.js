// The delivered model: parse it, hash it ourselves, check its weights, train on the person's record. Twin: wallets/agent/payload.py.

import * as cbor from "./cbor.js";
import {sha256} from "./crypto.js";
import {OutputRefused, RemoteProtocolError} from "./errors.js";
import {encoder} from "./features.js";
import {checkpointHash} from "./init.js";
import {parameterCount, parseManifest} from "./manifest.js";
import {computeUpdate} from "./net.js";
import {looksLikeATrap} from "./rules.js";

const LARGEST_WEIGHT = 1e4; // a weight beyond this has no honest use with clipped updates, but makes a good trap

/**
 * Parse CBOR {manifest, weights}; throws RemoteProtocolError `malformed`. Hashes are over what arrived, to be compared with the signed task.
 * @param {Uint8Array} raw @param {number} round of the task
 */
export async function openPayload(raw, round) {
  try {
    const body = cbor.decode(raw);
    if (!(body.manifest instanceof Uint8Array && body.weights instanceof Uint8Array && body.weights.length % 4 === 0)) throw new TypeError();
    const manifest = parseManifest(body.manifest);
    const manifestHash = await sha256(body.manifest);
    const weights = new Float32Array(body.weights.slice().buffer);
    const weightsInRange = weights.length === parameterCount(manifest) && weights.every((value) => Math.abs(value) <= LARGEST_WEIGHT);
    return Object.freeze({
      manifest,
      manifestHash,
      weights,
      checkpointHash: await checkpointHash(manifestHash, round - 1, body.weights),
      weightsInRange,
      trap: weightsInRange && await looksLikeATrap(manifest, weights),
    });
  } catch {
    throw new RemoteProtocolError("malformed", "the delivered model");
  }
}

/**
 * The raw update of one record of the agreed data; throws OutputRefused `encoding`. Before `contract` nothing of it may leave.
 * @param {Awaited<ReturnType<typeof openPayload>>} payload @param {any} record @param {any} requirement
 * @param {Uint8Array} seed 32 private bytes
 */
export async function train({manifest, weights}, record, requirement, seed) {
  /** @type {{x: Float32Array, y: Float32Array}} */
  let numbers;
  try {
    numbers = encoder(requirement, manifest)(record);
  } catch {
    throw new OutputRefused("encoding", "The algorithm does not fit the agreed data.");
  }
  return computeUpdate(manifest, weights, numbers.x, numbers.y, seed);
}
