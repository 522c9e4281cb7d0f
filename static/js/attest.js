// The issuer's desk: rules come from a collective's terms or from a file, values from a form made from the rules (docs/adr/0025), one field per
// claim. What is sent are two hidden fields; nobody writes JSON. The sentences of this page stand in the page, so they are translated there.
const by = (id) => document.getElementById(id);
const page = by("attesting"), words = page.dataset;
const requirement = by("id_requirement"), values = by("id_values");
const collective = by("collective-of"), file = by("requirement-file"), place = by("claims"), whose = by("whose-rules"), wrong = by("no-rules");
const beside = (name) => new URL(name, new URL(words.form, location.href)).href;
const [{ group, judge }, { askable, ofCollective, ofFile, parsed }] = await Promise.all([import(words.form), import(words.sources)]);
if (document.documentElement.lang.startsWith("de")) {
  const [{ speakWith }, { GERMAN_FORM }] = await Promise.all([import(beside("phrases.js")), import(beside("german_form.js"))]);
  speakWith(GERMAN_FORM);
}

let parts = null, asked = null, tried = false;

/** Draws the form with what was entered before; false, and nothing changes, when these are no rules that a form can be made of. */
function draw(rules, entered) {
  let made;
  try {
    const fields = askable(rules, words);
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

async function choose(source, otherwise) {
  say("");
  const found = await source;
  if (found) take(found.rules, found.name);
  else say(otherwise);
}

const fromCollective = () => choose(ofCollective(collective.value, words.terms), words.noCollective);
const fromFile = () => (file.files[0] ? choose(ofFile(file.files[0]), words.noRules) : undefined);

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
