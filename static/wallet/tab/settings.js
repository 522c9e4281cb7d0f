// The holder's own settings, for the whole wallet and for one collective. Python twin: wallets/agent/settings.py.

import {badData, notFound} from "../failures.js";
import {memoryOf} from "../machine.js";

/** @type {[string, string]} */
const SETTINGS = ["meta", "settings"];
const DEFAULTS = {visits_per_day: 100, lock_after_minutes: 720, sandbox: "reduced", privacy_micro_job: 0, privacy_micro_year: 0};
const MOST = {
  visits_per_day: 10_000, lock_after_minutes: 7 * 24 * 60, privacy_micro_job: Number.MAX_SAFE_INTEGER,
  privacy_micro_year: Number.MAX_SAFE_INTEGER,
};
const LIMITS = ["visits_per_day", "visits_total", "privacy_micro", "bucket_min", "release_min"];

/** @param {any} records */
export const settingsOf = async (records) => ({...DEFAULTS, ...await records.get(...SETTINGS)});

function inRange(name, value, most) {
  if (!(Number.isSafeInteger(value) && value >= 0 && value <= most)) {
    throw badData(`The ${name.replaceAll("_", " ")} must be a whole number between 0 and ${most}.`);
  }
}

/** Change some settings. Throws WalletError `bad_data`; then nothing was changed. @param {any} vault @param {Record<string, any>} changes */
export const saveSettings = (vault, changes) => vault.transaction(async (records) => {
  const wanted = Object.entries(MOST).filter(([name]) => name in changes);
  for (const [name, most] of wanted) inRange(name, changes[name], most);
  const kept = {...await settingsOf(records), ...Object.fromEntries(wanted.map(([name]) => [name, changes[name]]))};
  await records.put(...SETTINGS, kept);
  return kept;
});

async function changeMemory(vault, id, change) {
  return vault.transaction(async (records) => {
    if (await records.get("permit", id) === null) throw notFound("There is no permit for this collective in this wallet.");
    const memory = memoryOf(await records.get("memory", id)), changed = change(memory);
    await records.put("memory", id, changed);
    return changed;
  });
}

/** Limits of one collective; 0 takes one away. In force for the very next task. @param {any} vault @param {string} id @param {Record<string, any>} changes */
export async function limit(vault, id, changes) {
  const wanted = Object.fromEntries(LIMITS.filter((name) => name in changes).map((name) => [name, changes[name]]));
  for (const [name, value] of Object.entries(wanted)) inRange(name, value, Number.MAX_SAFE_INTEGER);
  return (await changeMemory(vault, id, (memory) => ({...memory, limits: {...memory.limits, ...wanted}}))).limits;
}

/** Paused, every task and job is declined with “later”. The permit stays. @param {any} vault @param {string} id @param {boolean} paused */
export const pause = (vault, id, paused) => changeMemory(vault, id, (memory) => ({...memory, paused}));
