// @ts-check
/** The pages of a wallet in a tab: the agent's own pages (wallets/agent/web), and what is different where there is only a browser. */

import { about } from "./about.js";
import { TabWallet } from "./client.js";
import { data } from "./data.js";
import { now } from "./now.js";
import { notices, permits } from "./permits.js";
import { earnings, journal, privacy } from "./records.js";
import { safety } from "./safety.js";
import { App, begin } from "./shell.js";
import { start } from "./start.js";

/** @type {import("./shell.js").Pages} */
const PAGES = {
  now: ["Now", now],
  data: ["My data", data],
  permits: ["Permits", permits],
  notices: ["Notices", notices],
  journal: ["Journal", journal],
  earnings: ["Earnings", earnings],
  privacy: ["Privacy", privacy],
  safety: ["Backup", safety],
  about: ["About", about, true],
};

/** Said by itself, in the page's live region. @type {Record<string, (event: any) => string>} */
const SAID = {
  visit: ({ round, earned }) => `Your wallet took part in round ${round} and earned ${earned}.`,
  question: ({ title }) => `${title} Your answer is asked for on the page “Now”.`,
  subscribed: () => "Subscribed. The permit is in your wallet.",
  not_subscribed: ({ sentence }) => sentence,
  slept: ({ seconds }) => `This tab was stopped for ${seconds < 120 ? `${seconds} seconds` : `${Math.round(seconds / 60)} minutes`}, by the browser or because the machine slept. Your wallet answered nobody meanwhile; it goes on now.`,
  evicted: ({ sentence }) => sentence,
  standing: ({ state }) => (state === "reinstated" ? "A collective asks this wallet again." : "A collective asks this wallet no more: see Permits."),
  locked: () => "Locked. Nobody answers for this wallet until you unlock it.",
};
const CLOSED = new Set(["locked", "evicted"]);
const REDRAW = new Set(["connected", "disconnected", "visit", "visit_over", "question", "subscribed", "not_subscribed", "revoked", "accepted", "standing"]);

const app = new App(new TabWallet(happened), PAGES, start);
app.kept.site = location.origin; // whose account one would pair with

/** @param {any} event */
function happened(event) {
  const sentence = SAID[event.event]?.(event);
  if (sentence) app.say(sentence);
  if (CLOSED.has(event.event)) app.show().catch((problem) => app.say(problem.message));
  else if (REDRAW.has(event.event) && app.page === app.home) app.show(false, true).catch(() => {});
}

/** A link of the market leads here with what it is about behind `#`, which is never sent: taken out of the address at once. */
function arrive() {
  const given = location.hash.slice(1);
  if (!given || given.startsWith("/")) return;
  const wanted = new URLSearchParams(given), link = wanted.get("pair"), collective = wanted.get("collective");
  if (link) app.kept.link = link;
  if (collective) app.kept.wanted = collective;
  history.replaceState(null, "", `#/${collective ? "data" : "now"}`);
}

arrive();
begin(app);
