// `node node.js [name …]`: replay these vectors, or all there are, and print the report as JSON.

import {readFile, readdir} from "node:fs/promises";
import {replay} from "./replay.js";

const folder = new URL("../", import.meta.url);
const load = async (name) => JSON.parse(await readFile(new URL(`${name}.json`, folder), "utf8"));
const all = async () => (await readdir(folder)).filter((name) => name.endsWith(".json")).map((name) => name.slice(0, -5));
console.log(JSON.stringify(await replay(load, process.argv.length > 2 ? process.argv.slice(2) : await all())));
