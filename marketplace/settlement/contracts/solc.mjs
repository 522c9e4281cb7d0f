#!/usr/bin/env node
// The npm compiler in the place of a `solc` program, for tools that expect one: `--version`, or standard JSON from input to output.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import solc from "solc";
import { here, read } from "./compile.mjs";

if (process.argv.includes("--version")) {
  console.log(`Version: ${solc.version()}`);
} else {
  const found = (path) => ({ contents: read(join(here, "node_modules", path)) });
  process.stdout.write(solc.compile(readFileSync(0, "utf8"), { import: found }));
}
