// The German of the wallet's pages: which texts have it, in each of the two hosts of the pages.
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const form = join(root, "collectives/datatool"), shared = join(root, "wallets/agent/web"), tab = join(root, "static/wallet/page");
const place = mkdtempSync(join(tmpdir(), "words-"));

/** The modules of a host as it serves them: later folders take the place of files of earlier ones. */
async function host(name) {
  const folder = mkdtempSync(join(place, name));
  for (const from of name === "tab" ? [form, shared, tab] : [form, shared]) {
    for (const file of readdirSync(from)) if (/^(german|words|phrases|package)/.test(file)) copyFileSync(join(from, file), join(folder, file));
  }
  return import(pathToFileURL(join(folder, "words.js")).href);
}

const hosts = { agent: await host("agent"), tab: await host("tab") };

for await (const line of createInterface({ input: process.stdin })) {
  const { languages, texts, where } = JSON.parse(line);
  await hosts[where].learn(languages);
  console.log(JSON.stringify(texts.map((text) => hosts[where].told(text))));
}
rmSync(place, { recursive: true });
