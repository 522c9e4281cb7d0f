// Compiles the faulty contracts described in rules.json, one JSON each: the rule, the hash of the source it was applied to, bytecode.
// Run by `make contracts` after the artifacts; the tests need only what lies here.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compile, here as contracts, read } from "../../../marketplace/settlement/contracts/compile.mjs";

const here = dirname(fileURLToPath(import.meta.url));
for (const rule of JSON.parse(read(join(here, "rules.json")))) {
  const file = `${rule.contract}.sol`;
  const source = read(join(contracts, "src", file));
  if (source.split(rule.find).length !== 2) {
    console.error(`${rule.name}: its text stands not exactly once in ${file}`);
    process.exit(1);
  }
  const { bytecode } = compile({ [file]: source.replace(rule.find, () => rule.replace) })[file];
  const sourceHash = createHash("sha256").update(source).digest("hex");
  writeFileSync(join(here, `${rule.name}.json`), `${JSON.stringify({ ...rule, sourceHash, bytecode }, null, 1)}\n`);
  console.log(rule.name);
}
