// Secure aggregation clients of the tab for rounds with Python: one JSON line in, one out; bytes are base64.
// {wallet, do: "create", header, seed, notes, sample} and then {wallet, do: <method>, message | update, now}.

import {createInterface} from "node:readline";
import {SecAggClient} from "../../../../static/wallet/client.js";
import {LocalProtocolError, ProtocolError} from "../../../../static/wallet/errors.js";
import {read} from "../../../../static/wallet/messages.js";

const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));
const clients = new Map();
const noted = new Set(); // what a store would hold: outlives a client

const ACTIONS = {
  async create({wallet, header, seed, sample}) {
    const noteRevealed = async (job, round) => {
      const note = `${wallet}/${Buffer.from(job).toString("hex")}/${round}`;
      const first = !noted.has(note);
      noted.add(note);
      return first;
    };
    clients.set(wallet, await SecAggClient.create(read("header", bytes(header)), bytes(seed), {noteRevealed, verifySample: sample}));
  },
  advertise: (client) => client.advertise(),
  receive_list: (client, {message, now}) => client.receiveList(bytes(message), now),
  receive_shares: (client, {message}) => client.receiveShares(bytes(message)),
  mask: (client, {update}) => client.mask(update),
  receive_survivors: (client, {message}) => client.receiveSurvivors(bytes(message)),
  receive_consistency: (client, {message}) => client.receiveConsistency(bytes(message)),
  close: async (client) => client.close(),
};

for await (const line of createInterface({input: process.stdin})) {
  const order = JSON.parse(line);
  const client = clients.get(order.wallet);
  const said = {};
  try {
    const made = order.do === "create" ? await ACTIONS.create(order) : await ACTIONS[order.do](client, order);
    if (made instanceof Uint8Array) said.message = Buffer.from(made).toString("base64");
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    said.code = error.code;
    said.local = error instanceof LocalProtocolError;
  }
  said.closed = clients.get(order.wallet).closed;
  console.log(JSON.stringify(said));
}
