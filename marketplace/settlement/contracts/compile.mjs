// One way to compile, for the artifacts and for the mutants of the tests: the same compiler, the same settings.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

export const here = dirname(fileURLToPath(import.meta.url));
export const read = (path) => readFileSync(path, "utf8");
export const names = readdirSync(join(here, "src")).filter((n) => n.endsWith(".sol")).sort();

export const settings = {
  optimizer: { enabled: true, runs: 1000 },
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
};

/** Compiled contracts by file name of `sources` ({file name: text}); ends the process with what the compiler says. */
export function compile(sources) {
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(Object.entries(sources).map(([n, content]) => [`src/${n}`, { content }])),
    settings,
  };
  const output = JSON.parse(
    solc.compile(JSON.stringify(input), {
      import: (path) => ({ contents: read(join(here, "node_modules", path)) }),
    }),
  );
  const errors = (output.errors ?? []).filter((problem) => problem.severity === "error");
  for (const problem of output.errors ?? []) console.error(problem.formattedMessage);
  if (errors.length) process.exit(1);
  return Object.fromEntries(
    Object.keys(sources).map((file) => {
      const compiled = output.contracts[`src/${file}`][file.replace(".sol", "")];
      return [file, { abi: compiled.abi, bytecode: `0x${compiled.evm.bytecode.object}` }];
    }),
  );
}
