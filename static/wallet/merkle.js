// Merkle trees of RFC 6962 section 2.1: the enrolment log of a job and commitments to records. Twin: aggregation/wire/merkle.py.

import {equal} from "./bytes.js";
import {sha256} from "./crypto.js";
import {BadProof} from "./errors.js";

/** @param {Uint8Array} leaf */
export const leafHash = (leaf) => sha256(Uint8Array.of(0), leaf);

/** @param {Uint8Array} left @param {Uint8Array} right */
export const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

/** All levels from the leaf hashes up; a node without a right sibling moves up unchanged. @param {Uint8Array[]} leaves */
async function levels(leaves) {
  const all = [await Promise.all(leaves.map(leafHash))];
  for (let below = all[0]; below.length > 1; below = all[all.length - 1]) {
    const pairs = below.filter((_, i) => i % 2 === 0).map((left, i) => [left, below[2 * i + 1]]);
    all.push(await Promise.all(pairs.map(([left, right]) => (right ? nodeHash(left, right) : left))));
  }
  return all;
}

/** 32 bytes; of no leaves, the hash of nothing. @param {Uint8Array[]} leaves @returns {Promise<Uint8Array>} */
export async function root(leaves) {
  if (leaves.length === 0) return sha256();
  const all = await levels(leaves);
  return all[all.length - 1][0];
}

/** The audit path of a leaf, from its sibling upwards. @param {Uint8Array[]} leaves @param {number} index */
export async function proof(leaves, index) {
  const all = await levels(leaves);
  return all.slice(0, -1).flatMap((level, height) => level[Math.floor(index / 2 ** height) ^ 1] ?? []);
}

/**
 * RFC 9162 section 2.1.3.2; throws BadProof. Indices reach 2^40, so they are halved and not shifted.
 * @param {Uint8Array} leaf @param {number} index @param {number} size @param {Uint8Array[]} path @param {Uint8Array} expected
 */
export async function verifyInclusion(leaf, index, size, path, expected) {
  if (!(index >= 0 && index < size)) throw new BadProof("the log has no leaf with this index");
  let [here, last, value] = [index, size - 1, await leafHash(leaf)];
  const up = () => { [here, last] = [Math.floor(here / 2), Math.floor(last / 2)]; };
  for (const sibling of path) {
    if (last === 0) throw new BadProof("the inclusion proof is too long");
    if (here % 2 === 1 || here === last) {
      value = await nodeHash(sibling, value);
      while (here % 2 === 0 && here !== 0) up();
    } else value = await nodeHash(value, sibling);
    up();
  }
  if (last !== 0 || !equal(value, expected)) throw new BadProof("the inclusion proof does not lead to the log's root");
}
