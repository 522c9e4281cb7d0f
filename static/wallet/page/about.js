// @ts-check
/** What this wallet can be trusted with, said plainly, and the fingerprints of every file it is made of. */

import { button, h, table } from "./dom.js";

/** Each is a limit of every browser, not of this one page. */
const LIMITS = [
  "Nothing in a browser protects you from the server that sends the scripts: changed scripts could read everything you enter here. An agent on your own machine takes no scripts from a site.",
  "Whoever has your machine unlocked, or an extension that may read pages, sees what you see.",
  "A browser may delete what it keeps. Your backup is the only way back then.",
  "Deleting overwrites the keys where the browser lets us. Copies that a disk or a backup of it may have kept are beyond a browser's reach.",
];

export const limits = () => h("ul", {}, LIMITS.map((sentence) => h("li", {}, sentence)));

/** @param {import("./shell.js").App} app */
export async function about(app) {
  const published = await (await fetch("files.json", { cache: "no-store", credentials: "omit" })).json();
  const rows = Object.entries(published.files), place = h("div", { class: "stack" });
  const comparing = button("Compare the files now", async () => {
    const wrong = await differing(published.files);
    const found = wrong.length ? `These are not as listed: ${wrong.join(", ")}.` : `All ${rows.length} files are as listed.`;
    place.replaceChildren(h("p", { class: wrong.length ? "bad" : "good" }, found));
    app.say(wrong.length ? "Some files are not as listed." : "All files are as listed.");
  });
  return [
    h("div", { class: "stack" }, h("h1", {}, "About this wallet"),
      h("p", { class: "lead" }, "It runs in this tab. Your data and your keys stay here, encrypted; it speaks with this site and its round server only.")),
    h("section", { class: "card" }, h("h2", {}, "What it cannot protect you from"), limits()),
    h("section", { class: "card" }, h("h2", {}, "The files it is made of"),
      h("p", {}, "Fingerprint of this release:"), h("p", { class: "big-code" }, published.release),
      h("p", {}, "The same fingerprint is published with the source of each release. If they differ, do not enter anything here."),
      h("p", {}, "The comparison below finds damage. A dishonest server could show a right list: compare with the source, from another machine."),
      h("div", {}, comparing), place,
      h("details", {}, h("summary", {}, `The ${rows.length} files`), table("SHA-256 of every file", ["File", "SHA-256"],
        rows.map(([name, hash]) => [name, h("span", { class: "code" }, hash)])))),
  ];
}

/** @param {Record<string, string>} files */
async function differing(files) {
  const found = await Promise.all(Object.entries(files).map(async ([name, wanted]) => {
    const answer = await fetch(name, { cache: "no-store", credentials: "omit" });
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await answer.arrayBuffer()));
    return answer.ok && [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("") === wanted ? "" : name;
  }));
  return found.filter(Boolean);
}
