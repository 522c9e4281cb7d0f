// The server a wallet is paired with: its pinned keys and addresses, and the links that lead to it. Python twins:
// wallets/agent/server.py and linking.py.

import {fromHex, hex} from "./bytes.js";
import {checkPublicKey} from "./ed25519.js";
import {badData, fault, notFound, notTrusted} from "./failures.js";
import {digest} from "./json.js";
import {checkUrl} from "./transport.js";

/** @type {[string, string]} */
export const PINNED = ["server", "pinned"];

/** SHA-256 of the RFC 8785 form, hex. @param {any} document */
export const pinOf = async (document) => hex(await digest(document));

/** What `GET /api/v1/server` says; WalletError `bad_server` or `insecure_transport`. @param {any} document */
export async function parseServer(document) {
  try {
    const keys = [document.distributor_key, document.aggregator_key].map((key) => fromHex(key, 32));
    keys.forEach(checkPublicKey);
    const [distributorSocket, aggregatorSocket, api] = [document.distributor_socket, document.aggregator_socket, document.api].map(checkUrl);
    const origin = (url) => url.replace(/^ws/, "http").match(/^https?:\/\/[^/?#]+/)[0];
    return Object.freeze({
      distributorKey: keys[0], distributorSocket, aggregatorKey: keys[1], aggregatorSealKey: fromHex(document.aggregator_seal_key, 32),
      aggregatorSocket, api, chainId: document.chain_id, registry: document.registry, pin: await pinOf(document),
      distributorHttp: origin(distributorSocket), aggregatorHttp: origin(aggregatorSocket),
      apiUrl: (/** @type {string} */ path) => `${api.replace(/\/+$/, "")}/${path}`,
    });
  } catch (error) {
    if (error.code === "insecure_transport") throw error;
    throw fault("The server's description of itself is malformed.", "bad_server");
  }
}

/** The description at an address; `peer_not_trusted` when it is not the one a link names. @param {import("./transport.js").Transport} transport */
export async function fetchServer(transport, url, pin = "") {
  const document = await transport.call("GET", `${checkUrl(url).replace(/\/+$/, "")}/api/v1/server`);
  if (pin && await pinOf(document) !== pin) {
    throw notTrusted("The server at this address is not the one the link names. Get a new link from “Pair a wallet”.");
  }
  await parseServer(document);
  return document;
}

const COLLECTIVE = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `cssi://pair?url=…&code=…&pin=…` or `cssi://subscribe?url=…&collective=…&pin=…`. Throws WalletError `bad_data`. @param {"pair" | "subscribe"} what @param {string} link */
export function parseLink(what, link) {
  const [head, query = ""] = link.trim().split("?"), found = Object.fromEntries(new URLSearchParams(query));
  const names = ["url", what === "pair" ? "code" : "collective", "pin"], missing = names.filter((name) => !found[name]);
  if (head.replace(/\/$/, "") !== `cssi://${what}`) throw badData(`This is not such a link. Copy the whole link that starts with cssi://${what}.`);
  if (missing.length) throw badData(`The link is incomplete (no ${missing.join(", ")}). Copy the whole link again.`);
  if (what === "subscribe" && !COLLECTIVE.test(found.collective)) throw badData("The link names no collective. Copy the whole link again.");
  return {...found, url: checkUrl(found.url), pin: found.pin.toLowerCase()};
}

/** Pin the server at an address when none is pinned yet. A pinned one stays; another one is refused. @param {any} agent */
export async function knowServer(agent, url, pin = "") {
  if (!url) {
    if (!agent.server) throw notFound("This wallet knows no server yet. Pair it first.", "not_paired");
    return;
  }
  const document = await fetchServer(agent.transport, url, pin), known = await agent.vault.get(...PINNED);
  if (known && await pinOf(known) !== await pinOf(document)) {
    throw notTrusted("This wallet already trusts another server. Create a second wallet for the other one.");
  }
  if (!known) await agent.vault.put(...PINNED, document);
  agent.server = await parseServer(document);
}
