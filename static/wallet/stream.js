// Words of a cipher stream: AES-128-CTR of zeros, 16-byte big-endian counter from 0 (NIST SP 800-38A section 6.5), one key per use.
// Twin: aggregation/privacy/stream.py, and the mask stream of aggregation/secagg/masking.py.

const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;
if (!LITTLE_ENDIAN) throw new Error("words on the wire are little-endian and so must this machine be");

/** A function giving any bytes of the stream; the key is imported once. @param {Uint8Array} key 16 bytes */
export async function openStream(key) {
  const cipher = await crypto.subtle.importKey("raw", key, "AES-CTR", false, ["encrypt"]);
  /** @param {number} offset a multiple of 16 bytes @param {number} size */
  return async (offset, size) => {
    const counter = new Uint8Array(16);
    new DataView(counter.buffer).setBigUint64(8, BigInt(offset / 16));
    return new Uint8Array(await crypto.subtle.encrypt({name: "AES-CTR", counter, length: 64}, cipher, new Uint8Array(size)));
  };
}

/** The first `size` bytes, or those from `offset` on. @param {Uint8Array} key @param {number} size */
export const stream = async (key, size, offset = 0) => (await openStream(key))(offset, size);

/** Little-endian words. @param {Uint8Array} key @param {number} count */
export const words32 = async (key, count) => new Uint32Array((await stream(key, 4 * count)).buffer);
