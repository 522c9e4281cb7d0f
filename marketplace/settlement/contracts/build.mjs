// Compiles src/*.sol and writes one JSON per contract: ABI, bytecode, and the hash of what it came from.
// `node build.mjs [folder]`, by default artifacts/. Run by `make contracts`; the platform itself needs only the artifacts.
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { compile, here, names, read } from "./compile.mjs";

const folder = process.argv[2] ? resolve(process.argv[2]) : join(here, "artifacts");
const sources = Object.fromEntries(names.map((n) => [n, read(join(here, "src", n))]));
const versions = JSON.parse(read(join(here, "package.json"))).devDependencies;
mkdirSync(folder, { recursive: true });
for (const [file, { abi, bytecode }] of Object.entries(compile(sources))) {
  const name = file.replace(".sol", "");
  const sourceHash = createHash("sha256").update(sources[file]).digest("hex");
  const artifact = { name, sourceHash, solc: versions.solc, openzeppelin: versions["@openzeppelin/contracts"], abi, bytecode };
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(artifact, null, 1)}\n`);
  console.log(`${name}: ${(bytecode.length - 2) / 2} bytes`);
}
