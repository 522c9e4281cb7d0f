// The worker's side: named functions, one answer each. A named failure is its code; anything else is a bug.
const plain = (key, value) => (value instanceof Uint8Array ? Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("")
  : typeof value === "bigint" ? String(value) : value);

export function answers(functions) {
  onmessage = async ({data: {id, what, given}}) => {
    try {
      postMessage({id, said: JSON.parse(JSON.stringify(await functions[what](given) ?? null, plain))});
    } catch (error) {
      if (typeof error.code === "string") postMessage({id, said: {error: error.code, sentence: error.message}});
      else postMessage({id, bug: String(error.stack ?? error)});
    }
  };
  postMessage({ready: true});
}
