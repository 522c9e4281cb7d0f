// One JSON line in, one out. A named failure comes back as its code; anything else is a bug and ends the script.
import { createInterface } from "node:readline";

export const bytes = (text) => Uint8Array.from(Buffer.from(text, "hex"));
export const hex = (data) => Buffer.from(data).toString("hex");

export async function serve(functions) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { what, ...given } = JSON.parse(line);
    let said;
    try {
      said = await functions[what](given);
    } catch (error) {
      if (typeof error.code !== "string" || error.code.startsWith("ERR_")) throw error;
      said = { error: error.code, sentence: error.message };
    }
    const plain = (key, value) => (value instanceof Uint8Array ? hex(value) : typeof value === "bigint" ? String(value) : value);
    process.stdout.write(`${JSON.stringify(said ?? null, plain)}\n`);
  }
  process.exit(0);
}
