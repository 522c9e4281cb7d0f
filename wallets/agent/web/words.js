// @ts-check
/** The pages in the reader's language (ADR 0071): what is about to be shown is said in German where the browser asks for it. */

import { preferred, speakWith, told, translate } from "./phrases.js";

export { told };

/** Learn the language once, before the first page is drawn. @param {readonly string[]} languages as the person put them in order */
export async function learn(languages = navigator.languages) {
  const german = preferred(languages) === "de";
  speakWith(german ? (await import("./german.js")).GERMAN : null);
  if (german && globalThis.document) translate(document, "de");
}
