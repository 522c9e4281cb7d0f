// A whole agent in a tab's worker, on the browser's own storage, sockets and requests.
import {Agent} from "/wallet/agent.js";
import * as backup from "/wallet/backup.js";
import * as journal from "/wallet/journal.js";
import {offerOf, revoke, saveRecord, subscribe} from "/wallet/membership.js";
import {train} from "/wallet/payload.js";
import {knowServer} from "/wallet/server.js";
import {browserStorage} from "/wallet/storage.js";
import {Transport} from "/wallet/transport.js";
import {Vault} from "/wallet/vault.js";
import {answers} from "./answers.js";

const COST = {memory_kib: 8, passes: 1}, now = () => Math.floor(Date.now() / 1000);
const events = [], updates = [];
let agent;

async function begin(vault) {
  agent = new Agent({
    vault, transport: new Transport(), train, now, policy: {allow_development: true}, ask: async ({answers: [, yes]}) => yes,
    observe: (name, what) => events.push({name, ...what}), spy: (visit, update) => updates.push({round: visit.task.round, update: [...update]}),
  });
  await agent.load();
}

answers({
  create: async ({store, record, url}) => {
    const {vault} = await Vault.create(await browserStorage(store), {passphrase: "a phrase", cost: COST});
    await vault.transaction((records) => journal.append(records, now(), "created"));
    await backup.confirm(vault, await backup.make(vault, {kind: "passphrase", secret: "a phrase", now: now()}), "passphrase", "a phrase", now());
    await begin(vault);
    await saveRecord(agent, record);
    await knowServer(agent, url);
  },
  unlock: async ({store}) => begin(await Vault.open(await browserStorage(store), "passphrase", "a phrase", now())),
  run: async () => { agent.run().catch((error) => events.push({name: "crashed", code: String(error.stack)})); },
  subscribe: async ({collective}) => (await subscribe(agent, await offerOf(agent, collective), {throughPairing: false})).subscription_key,
  revoke: async ({collective}) => revoke(agent, collective),
  ended: async ({count}) => (await journal.entries(agent.vault)).filter(({kind}) => kind === "outcome").length >= count,
  events: async () => events,
  updates: async () => updates,
  journal: async () => ({entries: await journal.entries(agent.vault), broken: await journal.verify(agent.vault)}),
});
