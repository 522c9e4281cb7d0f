// @ts-check
/** What issuers attested: a wallet in a tab has none. Takes the place of the agent's page of this name. */

import { h } from "./dom.js";

/** @param {import("./shell.js").App} app */
export async function credentials(app) {
  const { record } = await app.wallet.read("data");
  if (!Object.keys(record).length) return null;
  return h("p", { class: "muted" }, "All these values are your own word. A collective that asks for an issuer's word needs an always-on agent: ",
    h("a", { href: "#/safety" }, "move there with your backup"), ".");
}
