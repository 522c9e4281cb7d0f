// The issuer's desk: rules come from a collective's terms or from a file, values from a form made from the rules (docs/adr/0025), one field per
// claim. What is sent are two hidden fields; nobody writes JSON. The sentences of this page stand in the page, so they are translated there.
const by = (id) => document.getElementById(id);
const page = by("attesting"), words = page.dataset;
const requirement = by("id_requirement"), values = by("id_values");
const collective = by("collective-of"), file = by("requirement-file"), place = by("claims"), whose = by("whose-rules"), wrong = by("no-rules");
const beside = (name) => new URL(name, new URL(words.form, location.href)).href;
const { group, judge } = await import(words.form);
if (document.documentElement.lang.startsWith("de")) {
  const [{ speakWith }, { GERMAN_FORM }] = await Promise.all([import(beside("phrases.js")), import(beside("german_form.js"))]);
  speakWith(GERMAN_FORM);
}

const UUID = /[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/i;
const LARGEST_FILE = 128 * 1024;
let parts = null, asked = null, tried = false;

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function parsed(text) {
  try {
    const found = JSON.parse(text);
    return isObject(found) ? found : null;
  } catch {
    return null;
  }
}

const isOurs = (spec) => (spec["x-issuers"] ?? []).includes(words.did);

/** The rules as a form asks by them: what is asked of this desk comes first, and nothing is required, for an issuer vouches for what it can. */
function askable(rules) {
  const fields = Object.entries(rules.properties);
  const ours = fields.filter(([, spec]) => isOurs(spec)).map(([name, spec]) => [name, { ...spec, description: noted(spec) }]);
  return { ...rules, required: [], properties: Object.fromEntries([...ours, ...fields.filter(([, spec]) => !isOurs(spec))]) };
}

function noted(spec) {
  return spec.description ? `${words.asked}. ${spec.description}` : words.asked;
}

/** Draws the form with what was entered before; false, and nothing changes, when these are no rules that a form can be made of. */
function draw(rules, entered) {
  let made;
  try {
    const fields = askable(rules);
    made = [group(fields, undefined, written), fields];
    made[0].write(entered);
  } catch {
    return false;
  }
  [parts, asked] = made;
  tried = false;
  place.replaceChildren(parts.element);
  by("entering").hidden = false;
  written();
  return true;
}

function written() {
  const seen = judge(parts, asked, tried);
  values.value = Object.keys(seen.data).length ? JSON.stringify(seen.data) : "";
  return seen;
}

function say(sentence) {
  wrong.textContent = sentence;
  wrong.hidden = !sentence;
}

/** Takes these rules, keeping what is entered for fields that stay as they are. */
function take(rules, name) {
  const before = parsed(requirement.value)?.properties ?? {}, entered = parts ? parts.read() : {};
  const stays = ([field]) => JSON.stringify(before[field]) === JSON.stringify(rules.properties?.[field]);
  if (!draw(rules, Object.fromEntries(Object.entries(entered).filter(stays)))) return say(words.noRules);
  requirement.value = JSON.stringify(rules);
  whose.textContent = `${words.rulesOf} ${name}`;
  return say("");
}

async function fromCollective() {
  const [id] = collective.value.match(UUID) ?? [];
  let terms = null;
  say("");
  try {
    const answer = id ? await fetch(words.terms.replace(UUID, id)) : null;
    if (answer?.ok) terms = (await answer.json()).document;
  } catch {
    // said below
  }
  if (terms) take(terms.requirement, terms.name);
  else say(words.noCollective);
}

async function fromFile() {
  const [chosen] = file.files;
  if (!chosen) return;
  say("");
  const rules = chosen.size <= LARGEST_FILE ? parsed(await chosen.text()) : null;
  if (rules) take(rules, chosen.name);
  else say(words.noRules);
}

function send(event) {
  if (!parts) {
    event.preventDefault();
    say(words.first);
    collective.focus();
    return;
  }
  tried = true;
  const { data, places } = written();
  const [first] = places.keys();
  by("no-value").hidden = Boolean(first) || Object.keys(data).length > 0;
  if (!first && Object.keys(data).length) return;
  event.preventDefault();
  (first ?? parts).focus();
}

by("fetch-rules").addEventListener("click", fromCollective);
collective.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault(); // Enter asks for the rules and does not send the form
  fromCollective();
});
file.addEventListener("change", fromFile);
place.addEventListener("input", () => {
  by("no-value").hidden = true;
  written();
});
page.addEventListener("submit", send);
by("needs-script").hidden = true;
by("choosing").hidden = false;

const sent = parsed(requirement.value); // the server had an objection: everything stays as it was entered
if (sent && !draw(sent, parsed(values.value) ?? {})) say(words.noRules);
