// @ts-check
/** All German words that the pages of a wallet in a browser need; it stands in the place of the agent's file of this name. */

import { GERMAN_FORM } from "./german_form.js";
import { PAGES } from "./german_pages.js";
import { SENTENCES } from "./german_sentences.js";
import { SERVERS } from "./german_servers.js";
import { TAB } from "./german_tab.js";

export const GERMAN = { ...GERMAN_FORM, ...SERVERS, ...SENTENCES, ...PAGES, ...TAB };
