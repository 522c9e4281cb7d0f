// @ts-check
/** All German words that an agent's pages need. */

import { PAGES } from "./german_pages.js";
import { SENTENCES } from "./german_sentences.js";

export const GERMAN = { ...SENTENCES, ...PAGES };
