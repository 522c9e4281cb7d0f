// Hashes the browser does not have. Python twins: hashlib.blake2b, argon2-cffi (wallets/agent/keyfile.py), eth_hash.
// BLAKE2b: RFC 7693. Argon2id: RFC 9106, version 0x13, one lane. Keccak-256: with Ethereum's padding, not FIPS 202's.

import {concat} from "./bytes.js";

const M64 = (1n << 64n) - 1n;
const IV = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];
const SIGMA = [
  "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
  "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
].map((row) => [...row].map((digit) => parseInt(digit, 16)));
/** @param {bigint} x @param {bigint} n */
const rotr = (x, n) => ((x >> n) | (x << (64n - n))) & M64;
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const le32 = (n) => Uint8Array.of(n, n >>> 8, n >>> 16, n >>> 24);

/** @param {bigint[]} h @param {Uint8Array} block @param {number} counted @param {boolean} last */
function compress(h, block, counted, last) {
  const m = Array.from({length: 16}, (_, i) => view(block).getBigUint64(8 * i, true));
  const v = [...h, ...IV];
  v[12] ^= BigInt(counted);
  if (last) v[14] ^= M64;
  /** @param {number} a @param {number} b @param {number} c @param {number} d @param {bigint} x @param {bigint} y */
  const mix = (a, b, c, d, x, y) => {
    v[a] = (v[a] + v[b] + x) & M64; v[d] = rotr(v[d] ^ v[a], 32n);
    v[c] = (v[c] + v[d]) & M64; v[b] = rotr(v[b] ^ v[c], 24n);
    v[a] = (v[a] + v[b] + y) & M64; v[d] = rotr(v[d] ^ v[a], 16n);
    v[c] = (v[c] + v[d]) & M64; v[b] = rotr(v[b] ^ v[c], 63n);
  };
  for (let round = 0; round < 12; round += 1) {
    const s = SIGMA[round % 10];
    for (let i = 0; i < 4; i += 1) mix(i, i + 4, i + 8, i + 12, m[s[2 * i]], m[s[2 * i + 1]]);
    for (let i = 0; i < 4; i += 1) {
      mix(i, ((i + 1) % 4) + 4, ((i + 2) % 4) + 8, ((i + 3) % 4) + 12, m[s[2 * i + 8]], m[s[2 * i + 9]]);
    }
  }
  for (let i = 0; i < 8; i += 1) h[i] ^= v[i] ^ v[i + 8];
}

/**
 * BLAKE2b of a short message. `person` is padded with zeros to 16 bytes, as hashlib does.
 * @param {Uint8Array} message @param {{size?: number, key?: Uint8Array, person?: Uint8Array}} [how] @returns {Uint8Array}
 */
export function blake2b(message, {size = 64, key = new Uint8Array(), person = new Uint8Array()} = {}) {
  const parameters = new Uint8Array(64);
  parameters.set([size, key.length, 1, 1]);
  parameters.set(person, 48);
  const h = IV.map((word, i) => word ^ view(parameters).getBigUint64(8 * i, true));
  const padded = new Uint8Array(128);
  padded.set(key);
  const whole = key.length ? concat(padded, message) : message;
  for (let at = 0; at === 0 || at < whole.length; at += 128) {
    const block = new Uint8Array(128), last = at + 128 >= whole.length;
    block.set(whole.subarray(at, at + 128));
    compress(h, block, Math.min(whole.length, at + 128), last);
  }
  const out = new Uint8Array(64);
  h.forEach((word, i) => view(out).setBigUint64(8 * i, word, true));
  return out.slice(0, size);
}

// --- Argon2id ---------------------------------------------------------------------------------------------------

const WORDS = 256; // a block of 1 KiB as 32-bit halves, low half first

/** v[a] += v[b] + 2·lo(v[a])·lo(v[b]), on 64-bit words in two halves. */
function multiplyAdd(v, a, b) {
  const x = v[a], y = v[b];
  const x0 = x & 0xffff, x1 = x >>> 16, y0 = y & 0xffff, y1 = y >>> 16;
  const w1 = (Math.imul(x1, y0) >>> 0) + (Math.imul(x0, y0) >>> 16);
  const w2 = (Math.imul(x0, y1) >>> 0) + (w1 & 0xffff);
  const high = Math.imul(x1, y1) + (w1 >>> 16) + (w2 >>> 16), low = Math.imul(x, y);
  const sum = x + y + ((low << 1) >>> 0);
  v[a] = sum;
  v[a + 1] = v[a + 1] + v[b + 1] + ((high << 1) | (low >>> 31)) + (sum >= 2 ** 33 ? 2 : sum >= 2 ** 32 ? 1 : 0);
}

function halfMix(v, a, b, c, d, first, second) {
  multiplyAdd(v, a, b);
  turn(v, d, a, first);
  multiplyAdd(v, c, d);
  turn(v, b, c, second);
}

/** v[to] = (v[to] ^ v[from]) rotated right by 32, 24, 16 or 63 bits. */
function turn(v, to, from, by) {
  const low = v[to] ^ v[from], high = v[to + 1] ^ v[from + 1];
  if (by === 32) { v[to] = high; v[to + 1] = low; }
  else if (by === 63) { v[to] = (low << 1) | (high >>> 31); v[to + 1] = (high << 1) | (low >>> 31); }
  else { v[to] = (low >>> by) | (high << (32 - by)); v[to + 1] = (high >>> by) | (low << (32 - by)); }
}

const mixWords = (v, a, b, c, d) => { halfMix(v, a, b, c, d, 32, 24); halfMix(v, a, b, c, d, 16, 63); };

/** The permutation P over sixteen 64-bit words at the given places. */
function permute(v, p) {
  for (let i = 0; i < 4; i += 1) mixWords(v, p[i], p[i + 4], p[i + 8], p[i + 12]);
  mixWords(v, p[0], p[5], p[10], p[15]);
  mixWords(v, p[1], p[6], p[11], p[12]);
  mixWords(v, p[2], p[7], p[8], p[13]);
  mixWords(v, p[3], p[4], p[9], p[14]);
}

const ROWS = Array.from({length: 8}, (_, i) => Array.from({length: 16}, (_, j) => 2 * (16 * i + j)));
const COLUMNS = Array.from({length: 8}, (_, i) =>
  Array.from({length: 16}, (_, j) => 2 * (16 * (j >> 1) + 2 * i + (j & 1))));
const R = new Uint32Array(WORDS), Z = new Uint32Array(WORDS);

/** memory[to] = G(memory[x], memory[y]), or its XOR with what was there. Offsets count 32-bit words. */
function fill(out, to, first, x, second, y, keep) {
  for (let i = 0; i < WORDS; i += 1) Z[i] = R[i] = first[x + i] ^ second[y + i];
  for (const row of ROWS) permute(Z, row);
  for (const column of COLUMNS) permute(Z, column);
  for (let i = 0; i < WORDS; i += 1) out[to + i] = Z[i] ^ R[i] ^ (keep ? out[to + i] : 0);
}

function longHash(input, size) {
  const start = concat(le32(size), input);
  if (size <= 64) return blake2b(start, {size});
  const parts = [];
  let chain = blake2b(start), left = size;
  while (left > 64) {
    parts.push(chain.slice(0, 32));
    left -= 32;
    chain = blake2b(chain, {size: Math.min(64, left)});
  }
  return concat(...parts, chain);
}

/**
 * @param {Uint8Array} password @param {Uint8Array} salt @param {number} memoryKib @param {number} passes
 * @param {number} [size] bytes of the key @returns {Uint8Array}
 */
export function argon2id(password, salt, memoryKib, passes, size = 32) {
  const quarter = Math.floor(Math.max(memoryKib, 8) / 4), blocks = 4 * quarter;
  const sized = (bytes) => concat(le32(bytes.length), bytes);
  const h0 = blake2b(concat(...[1, size, memoryKib, passes, 0x13, 2].map(le32), sized(password), sized(salt), le32(0), le32(0)));
  const memory = new Uint32Array(blocks * WORDS), zero = new Uint32Array(WORDS);
  const ask = new Uint32Array(WORDS), addresses = new Uint32Array(WORDS);
  for (const i of [0, 1]) memory.set(words(longHash(concat(h0, le32(i), le32(0)), 1024)), i * WORDS);
  for (let pass = 0; pass < passes; pass += 1) {
    for (let slice = 0; slice < 4; slice += 1) {
      const blind = pass === 0 && slice < 2; // the first half of the first pass does not depend on the password
      ask.fill(0);
      [pass, 0, slice, blocks, passes, 2].forEach((value, i) => { ask[2 * i] = value; });
      for (let index = 0; index < quarter; index += 1) {
        if (blind && (index % 128 === 0)) {
          ask[12] += 1;
          fill(addresses, 0, zero, 0, ask, 0, false);
          fill(addresses, 0, zero, 0, addresses, 0, false);
        }
        if (pass === 0 && slice === 0 && index < 2) continue;
        const current = slice * quarter + index, previous = ((current + blocks - 1) % blocks) * WORDS;
        const j = blind ? addresses[2 * (index % 128)] : memory[previous];
        const seen = pass === 0 ? current - 1 : blocks - quarter + index - 1;
        const start = pass === 0 || slice === 3 ? 0 : (slice + 1) * quarter;
        const reference = (start + seen - 1 - high32(seen, high32(j, j))) % blocks;
        fill(memory, current * WORDS, memory, previous, memory, reference * WORDS, pass > 0);
      }
    }
  }
  const last = memory.slice((blocks - 1) * WORDS);
  memory.fill(0);
  return longHash(new Uint8Array(last.buffer), size);
}

const words = (bytes) => Uint32Array.from({length: bytes.length / 4}, (_, i) => view(bytes).getUint32(4 * i, true));
const high32 = (a, b) => Number((BigInt(a) * BigInt(b)) >> 32n);

// --- Keccak-256 -------------------------------------------------------------------------------------------------

const ROUND_CONSTANTS = (() => {
  let lfsr = 1;
  return Array.from({length: 24}, () => {
    let constant = 0n;
    for (let j = 0; j < 7; j += 1) {
      if (lfsr & 1) constant |= 1n << BigInt((1 << j) - 1);
      lfsr = (lfsr << 1) ^ (lfsr & 0x80 ? 0x171 : 0);
    }
    return constant;
  });
})();

/** @param {bigint[]} a */
function keccakF(a) {
  for (const constant of ROUND_CONSTANTS) {
    const c = [0, 1, 2, 3, 4].map((x) => a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]);
    for (let i = 0; i < 25; i += 1) a[i] ^= c[(i + 4) % 5] ^ rotr(c[(i + 1) % 5], 63n);
    let x = 1, y = 0, moved = a[1];
    for (let t = 0; t < 24; t += 1) {
      [x, y] = [y, (2 * x + 3 * y) % 5];
      const by = BigInt((((t + 1) * (t + 2)) / 2) % 64), place = x + 5 * y;
      [moved, a[place]] = [a[place], by ? rotr(moved, 64n - by) : moved];
    }
    for (let row = 0; row < 25; row += 5) {
      const r = a.slice(row, row + 5);
      for (let i = 0; i < 5; i += 1) a[row + i] = r[i] ^ (~r[(i + 1) % 5] & M64 & r[(i + 2) % 5]);
    }
    a[0] ^= constant;
  }
}

/** @param {Uint8Array} message @returns {Uint8Array} 32 bytes */
export function keccak256(message) {
  const rate = 136, padded = new Uint8Array((Math.floor(message.length / rate) + 1) * rate), a = Array(25).fill(0n);
  padded.set(message);
  padded[message.length] ^= 1;
  padded[padded.length - 1] ^= 0x80;
  for (let at = 0; at < padded.length; at += rate) {
    for (let i = 0; i < rate / 8; i += 1) a[i] ^= view(padded).getBigUint64(at + 8 * i, true);
    keccakF(a);
  }
  const out = new Uint8Array(32);
  for (let i = 0; i < 4; i += 1) view(out).setBigUint64(8 * i, a[i], true);
  return out;
}
