// Texts in the reader's language (ADR 0071): looked up as they are written in English, with {0} {1} for what is filled in; what stands in no catalogue
// stays as it is. The pages of a wallet load this as a module, as they do the form.

/** @type {{plain: Map<string, string>, patterns: [RegExp, string][]} | null} */
let catalogue = null;
const LANGUAGES = ["en", "de"];
const DEPTH = 3;

// The first of the person's languages that the pages speak; English where there is none.
const preferred = (languages) => languages.map((name) => name.slice(0, 2).toLowerCase()).find((name) => LANGUAGES.includes(name)) ?? "en";

// From now on by this catalogue; null: English. Those with blanks are tried the longest first, so that the narrowest is meant.
const speakWith = (texts) => {
  const blank = /\{\d\}/;
  const entries = Object.entries(texts ?? {}).sort(([a], [b]) => b.replaceAll(/\{\d\}/g, "").length - a.replaceAll(/\{\d\}/g, "").length);
  catalogue = texts && {
    plain: new Map(entries.filter(([text]) => !blank.test(text))),
    patterns: entries.filter(([text]) => blank.test(text)).map(([text, said]) => [expression(text), said]),
  };
};

const expression = (text) => new RegExp(`^${text.split(/\{\d\}/).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("(.+?)")}$`, "su");

const told = (words, depth = DEPTH) => {
  const bare = words.trim();
  if (!catalogue || !bare || !depth) return words;
  const found = catalogue.plain.get(bare) ?? matching(bare, depth);
  return found === undefined ? words : words.replace(bare, () => found);
};

const matching = (bare, depth) => {
  for (const [pattern, said] of catalogue?.patterns ?? []) {
    const parts = pattern.exec(bare);
    if (parts) return said.replaceAll(/\{(\d)\}/g, (_, place) => told(parts[Number(place) + 1], depth - 1));
  }
  return undefined;
};

// What stands in the file of a page itself.
const translate = (page, language) => {
  page.documentElement.lang = language;
  page.title = told(page.title);
  for (const element of page.querySelectorAll("[aria-label]")) element.setAttribute("aria-label", told(element.getAttribute("aria-label") ?? ""));
  const walk = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (!/^(SCRIPT|STYLE)$/.test(node.parentElement?.tagName ?? "")) node.nodeValue = told(node.nodeValue ?? "");
  }
};

export { preferred, speakWith, told, translate };
