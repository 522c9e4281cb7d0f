// The page: show the requirement, check while the person types, save what meets it, read back what was saved.

const PATIENCE = 2 ** 22;

const start = () => {
  if (preferred(navigator.languages) === "de") {
    speakWith(GERMAN_FORM);
    translate(document, "de");
  }
  const requirement = JSON.parse(document.getElementById("requirement").textContent);
  const id = idOf(requirement);
  const by = (name) => document.getElementById(name);
  const status = by("status");
  const problemList = by("problems");
  const wrong = by("wrong");
  let tried = false;
  let said = [];

  const report = () => {
    const { problems, places } = judge(form, requirement, tried);
    const words = problems.map(inWords);
    if (words.join("\n") === said.join("\n")) return;
    said = words;
    status.textContent = told(problems.length === 0
      ? "Everything that is asked for is here. You can save the file."
      : `${problems.length} ${problems.length === 1 ? "thing is" : "things are"} missing or wrong.`);
    const lines = [...places].flatMap(([part, own]) => own.map((problem) => ({ part, words: inWords(problem) })));
    problemList.replaceChildren(...lines.map(({ part, words: line }) => {
      const button = make("button", { type: "button", class: "link" }, line);
      button.addEventListener("click", () => part.focus());
      return make("li", {}, button);
    }));
  };

  const save = () => {
    tried = true;
    const { data, problems, places } = judge(form, requirement, tried);
    said = [];
    report();
    if (problems.length) {
      [...places.keys()][0].focus();
      return;
    }
    const saved = { requirement_id: id, hash: idOf(data), data };
    const url = URL.createObjectURL(new Blob([`${JSON.stringify(saved, null, 1)}\n`], { type: "application/json" }));
    make("a", { href: url, download: `my-data-${id.slice(0, 8)}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    status.textContent = told("Saved. Import the file into your wallet, then delete it where it was downloaded.");
  };

  const open = async (file) => {
    wrong.textContent = "";
    try {
      if (file.size > PATIENCE) throw new Error("The file is larger than 4 MiB.");
      const saved = JSON.parse(await file.text());
      if (!KINDS.object[1](saved) || saved.requirement_id !== id) throw new Error("The file was made for another requirement.");
      if (saved.hash !== idOf(saved.data)) throw new Error("The file was changed after it was saved.");
      if (check(requirement, saved.data).length) throw new Error("The file does not meet the requirement.");
      form.write(saved.data);
      report();
    } catch (error) {
      wrong.textContent = told(error instanceof SyntaxError ? "The file is no JSON." : error.message);
    }
  };

  const form = group(requirement, undefined, () => report());
  by("title").textContent = requirement.title || told("Your data");
  by("description").textContent = requirement.description || "";
  by("id").textContent = id;
  by("form").replaceChildren(form.element);
  by("form").addEventListener("input", report);
  by("form").addEventListener("submit", (event) => event.preventDefault());
  by("save").addEventListener("click", save);
  by("open").addEventListener("change", async (event) => {
    if (event.target.files[0]) await open(event.target.files[0]);
    event.target.value = ""; // the same file, saved anew, may be chosen again
  });
  report();
  globalThis.dataTool = Object.freeze({ idOf, problems: (data) => check(requirement, data).map(inWords) });
};

start();
