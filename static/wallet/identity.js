// The wallet's keys; every collective meets a different person. Python twin: wallets/agent/identity.py.
// secp256k1 (SEC 2) with complete additions (Renes, Costello, Batina 2016, algorithm 7) and nonces by RFC 6979, because
// WebCrypto has neither the curve nor Ethereum's hash. BigInt is not constant in time: these keys sign a few times in their life.

import {concat, fromHex, hex, random, utf8} from "./bytes.js";
import {publicKey} from "./crypto.js";
import {keccak256} from "./hashing.js";

const P = 2n ** 256n - 2n ** 32n - 977n;
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const G = [
  0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n,
  0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n, 1n,
];
/** @param {bigint} x @param {bigint} m */
const mod = (x, m) => ((x % m) + m) % m;
const number = (bytes) => BigInt(`0x${hex(bytes)}`);
/** @param {bigint} value @returns {Uint8Array} 32 bytes, big-endian */
export const word = (value) => fromHex(value.toString(16).padStart(64, "0"));

/** @param {bigint} base @param {bigint} exponent @param {bigint} m */
function power(base, exponent, m) {
  let result = 1n;
  for (let b = mod(base, m), e = exponent; e > 0n; e >>= 1n, b = (b * b) % m) if (e & 1n) result = (result * b) % m;
  return result;
}

/** @param {bigint[]} a @param {bigint[]} b in homogeneous coordinates */
function add([x1, y1, z1], [x2, y2, z2]) {
  const xx = x1 * x2, yy = y1 * y2, zz = (21n * z1 * z2) % P;
  const xy = mod((x1 + y1) * (x2 + y2) - xx - yy, P);
  const yz = mod((y1 + z1) * (y2 + z2) - yy - z1 * z2, P);
  const xz = mod(21n * ((x1 + z1) * (x2 + z2) - xx - z1 * z2), P);
  const less = mod(yy - zz, P), more = mod(yy + zz, P), triple = (3n * xx) % P;
  return [mod(xy * less - yz * xz, P), mod(less * more + xz * triple, P), mod(more * yz + triple * xy, P)];
}

/** Affine [x, y] of scalar · G. @param {bigint} scalar */
function multiply(scalar) {
  let sum = [0n, 1n, 0n], unused = sum;
  for (let bit = 255n; bit >= 0n; bit -= 1n) {
    sum = add(sum, sum);
    const more = add(sum, G);
    [sum, unused] = (scalar >> bit) & 1n ? [more, sum] : [sum, more];
  }
  const inverse = power(sum[2], P - 2n, P);
  return [(sum[0] * inverse) % P, (sum[1] * inverse) % P];
}

/** A uniform secp256k1 private key. @param {(n: number) => Uint8Array} rng @returns {Uint8Array} */
export function newCurveKey(rng = random) {
  for (;;) {
    const draw = rng(32), value = number(draw);
    if (value > 0n && value < N) return draw;
  }
}

/** @param {Uint8Array} secret @returns {Uint8Array} the 20-byte account address */
export function addressOf(secret) {
  const [x, y] = multiply(number(secret));
  return keccak256(concat(word(x), word(y))).slice(12);
}

async function hmac(key, ...parts) {
  const made = await crypto.subtle.importKey("raw", key, {name: "HMAC", hash: "SHA-256"}, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", made, concat(...parts)));
}

/** r ‖ s ‖ v with v = 27 or 28 and a low s. @param {Uint8Array} secret @param {Uint8Array} digest 32 bytes */
export async function signDigest(secret, digest) {
  let k = new Uint8Array(32), v = new Uint8Array(32).fill(1);
  for (const mark of [0, 1]) {
    k = await hmac(k, v, Uint8Array.of(mark), secret, digest);
    v = await hmac(k, v);
  }
  for (;;) {
    v = await hmac(k, v);
    const nonce = number(v);
    if (nonce > 0n && nonce < N) {
      const [x, y] = multiply(nonce), r = x % N;
      const s = mod(power(nonce, N - 2n, N) * (number(digest) + r * number(secret)), N);
      if (r > 0n && s > 0n) {
        const flip = s > N / 2n, odd = Number(y & 1n) ^ (flip ? 1 : 0);
        return concat(word(r), word(flip ? N - s : s), Uint8Array.of(27 + odd));
      }
    }
    k = await hmac(k, v, Uint8Array.of(0));
    v = await hmac(k, v);
  }
}

/** keccak256 of the EIP-191 personal message. @param {Uint8Array} message */
export const eip191Digest = (message) =>
  keccak256(concat(utf8(`\x19Ethereum Signed Message:\n${message.length}`), message));

/** All keys of one subscription as the encrypted store keeps them. @param {(n: number) => Uint8Array} [rng] */
export function newSubscriptionKeys(rng = random) {
  return {
    subscription: hex(rng(32)), agreement: hex(newCurveKey(rng)), payout: hex(newCurveKey(rng)), payout_salt: hex(rng(32)),
  };
}

/** The pseudonym of stored keys: the Ed25519 public key, hex. @param {{subscription: string}} keys */
export const pseudonym = async (keys) => hex(await publicKey(fromHex(keys.subscription)));
