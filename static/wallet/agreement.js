// The subscription agreement an individual signs: EIP-712 typed data. Python twin: collectives/terms/agreement.py.

import {concat, fromHex, hex, utf8} from "./bytes.js";
import {keccak256} from "./hashing.js";
import {word} from "./identity.js";

const FIELDS = {
  collectiveId: "bytes32", termsHash: "bytes32", requirementHash: "bytes32", rate: "uint256", payoutHash: "bytes32",
  validFrom: "uint64", validUntil: "uint64", nonce: "uint256",
};
const TYPE = `SubscriptionAgreement(${Object.entries(FIELDS).map(([name, kind]) => `${kind} ${name}`).join(",")})`;
const DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const hashed = (text) => keccak256(utf8(text));

/** keccak256(address ‖ salt). @param {Uint8Array} address @param {Uint8Array} salt */
export const payoutHash = (address, salt) => keccak256(concat(address, salt));

/** The collective's UUID as the chain's bytes32, hex. @param {string} id */
export const collectiveBytes = (id) => id.replaceAll("-", "").padEnd(64, "0");

/** EIP-712 hashStruct, 32 bytes: numbers stand as decimal strings or whole numbers. @param {Record<string, any>} message */
export function structHash(message) {
  const words = Object.entries(FIELDS).map(([name, kind]) =>
    (kind === "bytes32" ? fromHex(message[name], 32) : word(BigInt(message[name]))));
  return keccak256(concat(hashed(TYPE), ...words));
}

/** @param {Record<string, any>} message @param {number} chainId @param {string} registry 0x and 40 hex digits */
export function signingDigest(message, chainId, registry) {
  const domain = keccak256(concat(
    hashed(DOMAIN_TYPE), hashed("Compute-to-SSI"), hashed("1"), word(BigInt(chainId)),
    concat(new Uint8Array(12), fromHex(registry.slice(2).toLowerCase(), 20)),
  ));
  return keccak256(concat(Uint8Array.of(0x19, 1), domain, structHash(message)));
}

/** @param {Record<string, any>} message @returns {string} */
export const agreementHash = (message) => hex(structHash(message));
