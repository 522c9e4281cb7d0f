// The holder's own log: what was asked, answered and paid; hash-chained and without any value. Python twin: wallets/agent/journal.py.
// hash(n) = SHA-256(hash(n−1) ‖ cbor(entry n)). A deleted entry keeps its place and its hash, so the chain still proves the others.

import {fromHex, hex} from "./bytes.js";
import * as cbor from "./cbor.js";
import {sha256} from "./crypto.js";

const CATEGORY = "journal", HEAD = ["meta", "journal-head"], GENESIS = "00".repeat(32);
const BLANK = {seq: 0, at: 0, kind: "", collective_id: "", job: "", round: 0, code: "", sentence: "", amount: "0", deleted: false, hash: ""};
/** Before what a spreadsheet computes instead of showing it: where a cell begins, also for one that expects another separator. */
const FORMULA = /(^|[;\t\r\n])([ "]*)(?=[=+\-@＝＋－＠])/g;
const nameOf = (seq) => String(seq).padStart(12, "0");

/** @typedef {typeof BLANK} Entry */

/** The first so many characters, whole ones: half a pair could not be written down. @param {any} text @param {number} most */
export const cut = (text, most) => [...String(text)].slice(0, most).join("").replace(/\p{Surrogate}/gu, "\ufffd");

async function chained(previous, entry) {
  const {hash: _, deleted: __, ...covered} = entry;
  return hex(await sha256(fromHex(previous), cbor.encode(covered)));
}

/** Add one entry inside a transaction. @param {any} records @param {number} at @param {string} kind @param {Partial<Entry>} [what] */
export async function append(records, at, kind, what = {}) {
  const head = await records.get(...HEAD) ?? {seq: 0, hash: GENESIS};
  const draft = {...BLANK, ...what, sentence: cut(what.sentence ?? "", 1000), seq: head.seq, at, kind};
  const hash = await chained(head.hash, draft);
  await records.put(CATEGORY, nameOf(draft.seq), {...draft, hash});
  await records.put(...HEAD, {seq: draft.seq + 1, hash});
  return {...draft, hash};
}

/** All entries in order. @param {any} records @returns {Promise<Entry[]>} */
export async function entries(records) {
  const stored = await records.list(CATEGORY);
  return Object.keys(stored).sort().map((name) => stored[name]);
}

/** The number of the first entry that does not fit the chain; null when all fit. @param {any} records @returns {Promise<number | null>} */
export async function verify(records) {
  const all = await entries(records);
  let previous = GENESIS;
  for (const [place, entry] of all.entries()) {
    if (entry.seq !== place || (!entry.deleted && await chained(previous, entry) !== entry.hash)) return place;
    previous = entry.hash;
  }
  const head = await records.get(...HEAD) ?? {hash: GENESIS};
  return head.hash === previous ? null : all.length;
}

/** Blank one entry at the holder's wish; its place in the chain remains. @param {any} vault @param {number} seq @returns {Promise<boolean>} */
export const remove = (vault, seq) => vault.transaction(async (records) => {
  const stored = await records.get(CATEGORY, nameOf(seq));
  if (stored) await records.put(CATEGORY, nameOf(seq), {...BLANK, seq, kind: "deleted", deleted: true, hash: stored.hash});
  return stored !== null;
});

const cell = (value) => `"${String(value).replaceAll(FORMULA, "$1$2'").replaceAll('"', '""')}"`;

/** The entries as CSV with a header line. An apostrophe stands before what a spreadsheet would take for a formula: a name or a reason may be
 * a stranger's text. @param {Entry[]} all @returns {string} */
export const exportCsv = (all) => {
  const names = Object.keys(BLANK);
  return [names, ...all.map((entry) => names.map((name) => entry[name]))].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
};
