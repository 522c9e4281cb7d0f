// @ts-check
/** All German words that an agent's pages need. */

import { GERMAN_FORM } from "./german_form.js";
import { PAGES } from "./german_pages.js";
import { SENTENCES } from "./german_sentences.js";
import { SERVERS } from "./german_servers.js";

export const GERMAN = { ...GERMAN_FORM, ...SERVERS, ...SENTENCES, ...PAGES };
