// Compiles src/*.sol and writes one JSON per contract into artifacts/: ABI, bytecode, and the hash of everything it came from.
// Run by `make contracts`; the platform itself needs only the artifacts.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));
const read = (path) => readFileSync(path, "utf8");
const names = readdirSync(join(here, "src")).filter((n) => n.endsWith(".sol")).sort();
const settings = {
  optimizer: { enabled: true, runs: 1000 },
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
};
const input = {
  language: "Solidity",
  sources: Object.fromEntries(names.map((n) => [`src/${n}`, { content: read(join(here, "src", n)) }])),
  settings,
};
const output = JSON.parse(
  solc.compile(JSON.stringify(input), {
    import: (path) => ({ contents: read(join(here, "node_modules", path)) }),
  }),
);
for (const problem of output.errors ?? []) {
  console.error(problem.formattedMessage);
  if (problem.severity === "error") process.exitCode = 1;
}
if (process.exitCode) process.exit();
const versions = JSON.parse(read(join(here, "package.json"))).devDependencies;
mkdirSync(join(here, "artifacts"), { recursive: true });
for (const file of names) {
  const name = file.replace(".sol", "");
  const compiled = output.contracts[`src/${file}`][name];
  const sourceHash = createHash("sha256").update(read(join(here, "src", file))).digest("hex");
  const artifact = { name, sourceHash, solc: versions.solc, openzeppelin: versions["@openzeppelin/contracts"], abi: compiled.abi, bytecode: `0x${compiled.evm.bytecode.object}` };
  writeFileSync(join(here, "artifacts", `${name}.json`), `${JSON.stringify(artifact, null, 1)}\n`);
  console.log(`${name}: ${compiled.evm.bytecode.object.length / 2} bytes`);
}
