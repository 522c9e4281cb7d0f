// @ts-check
/** Which page is shown, the way around it, and what is said about what was done; the same for every host of these pages. */

import { h } from "./dom.js";
import { place, put, stand, watch } from "./focus.js";
import { learn, told } from "./words.js";

const REFRESH = 4000;
const ARRIVING = new Set(["permits", "notices"]);

/** @typedef {Record<string, [title: string, draw: (app: App) => Promise<any>, always?: boolean]>} Pages `always`: also while the wallet is not open */

/** What a page may use. */
export class App {
  /**
   * @param {{read: (name: string, asked?: any) => Promise<any>, act: (name: string, body?: any) => Promise<any>}} wallet
   * @param {Pages} pages the first is where one arrives
   * @param {(app: App, state: string, lockedUntil: number, seen: any) => any} before what is shown while the wallet is not open
   */
  constructor(wallet, pages, before) {
    this.wallet = wallet;
    this.pages = pages;
    this.before = before;
    this.home = Object.keys(pages)[0];
    this.page = this.home;
    this.drawing = 0;
    this.missed = false; // whether something happened while the page was being drawn, which that drawing may not show
    this.spoken = 0; // sentences so far
    this.turn = 0; // of several drawings that overlap, only the last one may reach the page
    /** @type {Record<string, string>} what a page wants to remember while the window is open */
    this.kept = {};
  }

  /** @param {string} sentence */
  say(sentence) {
    const place = /** @type {HTMLElement} */ (document.getElementById("said"));
    this.spoken += 1;
    place.textContent = "";
    setTimeout(() => { place.textContent = told(sentence); }, 50);
  }

  /** Do something, say how it went, and show the page again. @param {() => Promise<any>} work @param {string} [done] */
  async attempt(work, done = "") {
    const before = this.spoken;
    try {
      const result = await work();
      await this.show(); // first: what is pressed upon the sentence must be on the new page
      // An answer also ends what asked for it, and what became of that, said meanwhile, is the later news.
      if (done && this.spoken === before) this.say(done);
      return result;
    } catch (problem) {
      this.say(problem instanceof Error ? problem.message : String(problem));
      if (/** @type {any} */ (problem).code === "locked") await this.show();
      return null;
    }
  }

  /** @param {string} page */
  go(page) {
    if (location.hash === `#/${page}`) return this.show();
    location.hash = `#/${page}`;
    return Promise.resolve();
  }

  /**
   * Draw the page anew.
   * @param {boolean} [arrived] whether the person has just come to it
   * @param {boolean} [unasked] a refresh: it never takes away what the person is doing, not even while it is under way
   */
  async show(arrived = false, unasked = false) {
    if (unasked && this.drawing) this.missed = true;
    if (unasked && (this.drawing || busy())) return;
    const turn = (this.turn += 1);
    this.drawing += 1;
    try {
      await this.#draw(turn, arrived, unasked);
    } finally {
      this.drawing -= 1;
      if (!this.drawing && this.missed) {
        this.missed = false;
        this.show(false, true).catch(() => {});
      }
    }
  }

  /** @param {number} turn @param {boolean} arrived @param {boolean} unasked */
  async #draw(turn, arrived, unasked) {
    const main = /** @type {HTMLElement} */ (document.getElementById("main"));
    const seen = await this.wallet.read("state");
    const { state, name, locked_until } = seen;
    if (turn !== this.turn) return;
    const open = state === "open" && !this.kept.onboarding && seen.backed_up !== false;
    navigate(this, name, open);
    const [title, draw, always] = this.pages[this.page] ?? this.pages[this.home];
    const content = open || always ? await draw(this) : this.before(this, state, locked_until, seen);
    if (turn !== this.turn || (unasked && busy())) return;
    const next = h("main", {}, content);
    if (unasked && plain(next) === plain(main)) return; // what is pressed at this moment must stay where it is
    const stood = place(main), before = main.querySelector("h1")?.textContent;
    main.replaceChildren(...next.childNodes);
    const heading = main.querySelector("h1");
    document.title = `${heading?.textContent ?? told(title)} · ${name}`;
    if (heading && (arrived || heading.textContent !== before)) stand(heading);
    else if (stood) put(main, stood, unasked);
  }
}

/** @param {App} app @param {string} name @param {boolean} open */
function navigate(app, name, open) {
  const nav = /** @type {HTMLElement} */ (document.getElementById("nav"));
  const lock = /** @type {HTMLButtonElement} */ (document.getElementById("lock"));
  nav.hidden = lock.hidden = !open;
  /** @type {HTMLElement} */ (document.getElementById("brand")).textContent = told(name);
  lock.onclick = () => app.attempt(() => app.wallet.act("lock"), "Locked. Nobody answers for this wallet until you unlock it.");
  if (nav.dataset.page === app.page) return; // a refresh must not take the focus out of it
  nav.dataset.page = app.page;
  nav.replaceChildren(...Object.entries(app.pages).map(([page, [title]]) =>
    h("a", { href: `#/${page}`, "aria-current": page === app.page ? "page" : null }, title)));
}

/** What stands there, without the numbers of its controls and where the focus was put. @param {HTMLElement} element */
function plain(element) {
  const writer = new XMLSerializer();
  return [...element.childNodes].map((node) => writer.serializeToString(node)).join("").replaceAll(/"f\d+h?"/g, '""').replaceAll(' tabindex="-1"', "");
}

/** Whether somebody is at a control that takes values, presses something, has opened a part of the page, brought something out, or typed something into it. */
function busy() {
  const main = /** @type {HTMLElement} */ (document.getElementById("main"));
  const controls = /** @type {HTMLInputElement[]} */ ([...main.querySelectorAll("input, textarea")]);
  // A box without a value of its own answers "on", which is no typing.
  const touched = controls.some((control) => (control.type === "checkbox" ? control.checked !== control.defaultChecked : control.value !== control.defaultValue));
  return touched || main.querySelector("input:focus, textarea:focus, select:focus, :active, details[open], video, [data-asked]:not(:empty)") !== null;
}

function page() {
  return location.hash.replace(/^#\//, "");
}

/** Show what the address names, now and whenever it changes; where something may arrive meanwhile it refreshes itself. @param {App} app */
export function begin(app) {
  app.page = page() || app.home;
  watch(/** @type {HTMLElement} */ (document.getElementById("main")));
  addEventListener("hashchange", () => {
    app.page = page() || app.home;
    /** @type {HTMLElement} */ (document.getElementById("said")).textContent = "";
    if (location.hash.startsWith("#/")) app.show(true).catch((problem) => app.say(problem.message));
  });
  // Without its German words a wallet speaks English.
  learn().catch(() => {}).then(() => app.show(true)).catch((problem) => app.say(problem.message));
  setInterval(() => {
    if ((app.page === app.home || ARRIVING.has(app.page)) && !document.hidden) app.show(false, true).catch(() => {});
  }, REFRESH);
}
