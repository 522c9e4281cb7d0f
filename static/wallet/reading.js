// A byte stream read whole, up to a bound. The twin of what Python's files and HTTP client do by themselves.

import {concat} from "./bytes.js";

/** @param {ReadableStream<Uint8Array> | null} stream @param {number} most bytes @param {() => Error} tooLong what is thrown past them @returns {Promise<Uint8Array>} */
export async function whole(stream, most, tooLong) {
  const parts = [], reader = stream?.getReader();
  for (let size = 0; reader;) {
    const {done, value} = await reader.read();
    if (done) break;
    size += value.length;
    if (size > most) {
      await reader.cancel();
      throw tooLong();
    }
    parts.push(value);
  }
  return concat(...parts);
}
