// @ts-check
/** Where the keyboard stands, kept over a page that is drawn anew (WCAG 2.2, 2.4.3 Focus Order): what was pressed is replaced by what came of it. */

const CONTROLS = "button, a[href], input, select, textarea, summary";
const PARTS = "section, form, li, tr, dd";
const HEADINGS = "h1, h2, h3, th, legend";
const STANDS = `${CONTROLS}, ${HEADINGS}`;

/**
 * @typedef {{name: string, nth: number}} Named which of that name it is
 * @typedef {{parts: Named[], control: Named, position: number, of: number}} Place a control by the names around it: the parts it
 *   lies in (innermost first), what it is called there, and which of that part's controls it is, for one that changes its name
 */

/** What was used last: a button that works is disabled meanwhile, and a browser takes the focus from it. @type {WeakMap<Element, Element>} */
const last = new WeakMap();

/** Remember what is used on the page. @param {HTMLElement} main */
export function watch(main) {
  main.addEventListener("focusin", (event) => last.set(main, /** @type {Element} */ (event.target)));
}

/** Where the focus is on the page, or null: it is elsewhere, or on nothing. @param {HTMLElement} main @returns {Place | null} */
export function place(main) {
  const now = document.activeElement, used = last.get(main);
  const control = now && now !== document.body ? now : used?.matches(":disabled") ? used : null;
  if (!control || control === main || !main.contains(control)) return null;
  /** @type {Named[]} */
  const parts = [];
  for (let part = around(control, main); part; part = around(part, main)) parts.push(named(part, main, PARTS));
  const within = around(control, main) ?? main, all = [...within.querySelectorAll(CONTROLS)];
  return { parts, control: named(control, within, STANDS), position: all.indexOf(control), of: all.length };
}

/**
 * Put the focus where it was, on what stands there now: the control of that name or the one that took its place, else the heading
 * of the innermost part that is still there.
 * @param {HTMLElement} main @param {Place} was
 * @param {boolean} unasked whether nobody pressed anything: then nothing scrolls
 */
export function put(main, was, unasked) {
  const parts = was.parts.map((part) => that(main, PARTS, part)).concat(main);
  const part = parts.find((one) => one) ?? main;
  stand((part === parts[0] && same(part, was)) || part.querySelector(HEADINGS), unasked);
}

/** @param {Element | null} element @param {boolean} [quietly] */
export function stand(element, quietly = false) {
  if (element && !element.matches(CONTROLS)) element.setAttribute("tabindex", "-1");
  /** @type {HTMLElement | null} */ (element)?.focus({ preventScroll: quietly });
}

/** @param {Element} part @param {Place} was */
function same(part, was) {
  const all = [...part.querySelectorAll(CONTROLS)];
  return that(part, STANDS, was.control) ?? (all.length === was.of ? all[was.position] : null);
}

/** @param {Element} inner @param {Element} main */
function around(inner, main) {
  const part = inner.parentElement?.closest(PARTS) ?? null;
  return part && part !== main && main.contains(part) ? part : null;
}

/** @param {Element} one @param {Element} within @param {string} kind @returns {Named} */
function named(one, within, kind) {
  const name = called(one);
  return { name, nth: [...within.querySelectorAll(kind)].filter((other) => called(other) === name).indexOf(one) };
}

/** @param {Element} within @param {string} kind @param {Named} which */
const that = (within, kind, { name, nth }) => [...within.querySelectorAll(kind)].filter((one) => called(one) === name)[nth];

/** What a person would call it: its label, its words, or the heading over it. @param {Element} one */
function called(one) {
  const words = one.matches(STANDS) ? /** @type {HTMLInputElement} */ (one).labels?.[0] ?? one : one.querySelector(HEADINGS) ?? one.firstElementChild;
  return `${one.tagName} ${words?.textContent ?? ""}`;
}
