// @ts-check
/** The pages of an agent on this machine. */

import { LocalWallet } from "./client.js";
import { App, begin } from "./shell.js";
import { start } from "./start.js";
import { data } from "./data.js";
import { notices, permits, today } from "./permits.js";
import { earnings, health, journal, privacy } from "./records.js";

const KEY = "wallet-token";
/** @type {import("./shell.js").Pages} */
const PAGES = {
  today: ["Today", today],
  data: ["My data", data],
  permits: ["Permits", permits],
  notices: ["Notices", notices],
  journal: ["Journal", journal],
  earnings: ["Earnings", earnings],
  privacy: ["Privacy", privacy],
  health: ["Health", health],
};

/** The token of the link, moved out of the address at once so that it is not copied with it. */
function token() {
  const given = location.hash.slice(1);
  if (given && !given.startsWith("/")) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", "#/today");
  }
  return sessionStorage.getItem(KEY) ?? "";
}

begin(new App(new LocalWallet(token()), PAGES, start));
