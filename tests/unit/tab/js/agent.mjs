// Whole agents of the tab in Node, by name: their vaults in memory, their sockets and requests real.
import {appeal} from "../../../../static/wallet/standing.js";
import * as backup from "../../../../static/wallet/backup.js";
import {Agent} from "../../../../static/wallet/agent.js";
import {RULE} from "../../../../static/wallet/consent.js";
import * as journal from "../../../../static/wallet/journal.js";
import {earnings, offerOf, pair, restate, revoke, saveRecord, subscribe} from "../../../../static/wallet/membership.js";
import {train} from "../../../../static/wallet/payload.js";
import {knowServer, parseLink} from "../../../../static/wallet/server.js";
import {memoryStorage} from "./memory.mjs";
import {Transport} from "../../../../static/wallet/transport.js";
import {Vault} from "../../../../static/wallet/vault.js";
import {serve} from "./serve.mjs";

const COST = {memory_kib: 8, passes: 1}, PASSPHRASE = "a phrase", now = () => Math.floor(Date.now() / 1000) + skew;
const agents = new Map();
let skew = 0;

const told = (agent, test, seconds = 20) => new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error(`nothing like that happened; events: ${JSON.stringify(agent.events)}`)), seconds * 1000);
  const look = () => {
    const found = agent.events.find(test);
    if (found) { clearTimeout(timer); resolve(found); } else setTimeout(look, 10);
  };
  look();
});

await serve({
  create: async ({name, record, development = true}) => {
    const storage = memoryStorage(), {vault} = await Vault.create(storage, {passphrase: PASSPHRASE, cost: COST});
    await vault.transaction((records) => journal.append(records, now(), "created"));
    const secret = {kind: "passphrase", secret: PASSPHRASE, now: now()};
    await backup.confirm(vault, await backup.make(vault, secret), "passphrase", PASSPHRASE, now());
    const events = [], updates = [], questions = [];
    const agent = new Agent({
      vault, transport: new Transport(), train, now, policy: {allow_development: development},
      ask: async (question) => { questions.push(question); return agent.answer ?? question.answers[0]; },
      observe: (event, what) => events.push({name: event, ...what}),
      spy: (visit, update) => updates.push({round: visit.task.round, update: [...update]}),
    });
    Object.assign(agent, {events, updates, questions, storage});
    agents.set(name, agent);
    if (record) await saveRecord(agent, record);
  },
  rule: async ({name, rule}) => agents.get(name).vault.put(...RULE, {rule}),
  answer: async ({name, answer}) => { agents.get(name).answer = answer; },
  skew: async ({seconds}) => { skew = seconds; },
  know: async ({name, url, pin}) => knowServer(agents.get(name), url, pin),
  pair: async ({name, link}) => pair(agents.get(name), parseLink("pair", link)),
  run: async ({name}) => {
    const agent = agents.get(name);
    await agent.load();
    agent.done = agent.run().catch((error) => { agent.events.push({name: "crashed", code: error.code ?? String(error.stack)}); });
  },
  stop: async ({name}) => agents.get(name).stop(),
  cut: async ({names}) => { for (const name of names) agents.get(name).session.socket.raw.close(); },
  subscribe: async ({name, collective}) => {
    const agent = agents.get(name);
    return (await subscribe(agent, await offerOf(agent, collective), {throughPairing: false})).subscription_key;
  },
  revoke: async ({name, collective}) => revoke(agents.get(name), collective),
  restate: async ({name, collective}) => restate(agents.get(name), collective),
  save: async ({name, record}) => saveRecord(agents.get(name), record),
  earnings: async ({name}) => earnings(agents.get(name)),
  waiting: async ({name}) => agents.get(name).waiting(),
  appeal: async ({name, collective, text}) => appeal(agents.get(name), collective, text),
  notice: async ({name, collective, reference, choice}) => agents.get(name).mailbox.answerNotice(collective, reference, choice),
  until: async ({name, event, ...what}) => told(agents.get(name), (one) => one.name === event
    && Object.entries(what).every(([key, value]) => one[key] === value)),
  events: async ({name}) => agents.get(name).events,
  updates: async ({name}) => agents.get(name).updates,
  questions: async ({name}) => agents.get(name).questions.map(({title, sentences}) => ({title, sentences})),
  journal: async ({name}) => ({entries: await journal.entries(agents.get(name).vault), broken: await journal.verify(agents.get(name).vault)}),
  everything: async ({name}) => agents.get(name).vault.everything(),
});
