// @ts-check
/** The pages in the reader's language (ADR 0071): what is about to be shown is said in German where the browser asks for it. */

/** @typedef {{plain: Map<string, string>, patterns: [RegExp, string][]}} Words */

/** @type {Words | null} null: English, as everything is written */
let words = null;
const DEPTH = 3;

/** Learn the language once, before the first page is drawn. @param {readonly string[]} languages as the person put them in order */
export async function learn(languages = navigator.languages) {
  const wanted = languages.map((name) => name.slice(0, 2).toLowerCase()).find((name) => name === "en" || name === "de");
  words = wanted === "de" ? sorted((await import("./german.js")).GERMAN) : null;
  if (words && globalThis.document) standing(document);
}

/** Texts without blanks to look up; those with, as expressions, the longest first so that the narrowest is meant. @param {Record<string, string>} texts */
function sorted(texts) {
  const blank = /\{\d\}/;
  const entries = Object.entries(texts).sort(([a], [b]) => b.replaceAll(/\{\d\}/g, "").length - a.replaceAll(/\{\d\}/g, "").length);
  return {
    plain: new Map(entries.filter(([text]) => !blank.test(text))),
    patterns: entries.filter(([text]) => blank.test(text)).map(([text, said]) => /** @type {[RegExp, string]} */ ([expression(text), said])),
  };
}

/** @param {string} text */
const expression = (text) => new RegExp(`^${text.split(/\{\d\}/).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("(.+?)")}$`, "su");

/** A text of these pages in the reader's language; what nobody here wrote stays as it is. @param {string} text @returns {string} */
export const told = (text) => (words ? say(text, words, DEPTH) : text);

/** @param {string} text @param {Words} known @param {number} depth @returns {string} */
function say(text, known, depth) {
  const bare = text.trim();
  if (!bare || !depth) return text;
  const found = known.plain.get(bare) ?? matched(bare, known, depth);
  return found === undefined ? text : text.replace(bare, () => found);
}

/** @param {string} text @param {Words} known @param {number} depth @returns {string | undefined} */
function matched(text, known, depth) {
  for (const [pattern, german] of known.patterns) {
    const parts = pattern.exec(text);
    if (parts) return german.replaceAll(/\{(\d)\}/g, (_, place) => say(parts[Number(place) + 1], known, depth - 1));
  }
  return undefined;
}

/** What stands in the file of the page itself. @param {Document} page */
function standing(page) {
  page.documentElement.lang = "de";
  page.title = told(page.title);
  for (const element of page.querySelectorAll("[aria-label]")) element.setAttribute("aria-label", told(element.getAttribute("aria-label") ?? ""));
  const walk = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) node.nodeValue = told(node.nodeValue ?? "");
}
