/** Prompts: the sets and what is in them, adding a set, drawing pairs, simulated judgements. */
import { api, button, el, empty, fill, fmt, live, note, setQuery } from "/static/js/lib.js";
import { form } from "/static/js/form.js";
import { watchJob } from "/static/js/jobs.js";

const PAGE = 200;
const SPLITS = { train: "to train on", heldout: "held out, never trained on" };

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  /** @type {any[]} */
  let sets = [];
  let chosen = Number(page.query.get("set")) || 0;
  let query = page.query.get("q") || "";
  let stopJob = () => {};
  const list = el("section", { class: "pane scroll", "aria-label": "Prompt sets" });
  const side = el("aside", { class: "pane scroll", "aria-label": "Draw and add" });
  const drawing = form(page.props.drawing);
  const simulation = form(page.props.simulation);
  fill(main, el("div", { class: "panes prompts" }, list, side));
  await load();
  await drawSide();
  if (page.query.get("generate")) side.querySelector("input")?.focus();
  if (page.query.get("job")) follow(Number(page.query.get("job")));
  return () => stopJob();

  async function load() {
    try {
      sets = await api("prompt-sets");
    } catch (error) {
      fill(list, el("div", { class: "sec" }, note("The prompt sets are not there", error.message, { actions: [button("Try again", { size: "sm", onclick: load })] })));
      return;
    }
    if (!sets.some((set) => set.id === chosen)) chosen = sets[0]?.id ?? 0;
    page.subtitle(sets.length ? `${fmt.count(sets.length, "set")}, ${fmt.count(sets.reduce((sum, set) => sum + set.num_prompts, 0), "prompt")}` : "");
    drawList();
  }

  // sets and prompts ----------------------------------------------------------------------------------------

  function drawList() {
    if (!sets.length) {
      fill(list, empty({ title: "No prompts yet", text: "A prompt is what the model is asked to draw. Add a set, one prompt a line.",
        actions: [el("a", { class: "link meta", href: "/" }, "or load the demo from Today")] }));
      return;
    }
    const body = el("div");
    const search = el("input", { class: "inp", type: "search", placeholder: "Find in this set", "aria-label": "Find in this set", value: query, "data-testid": "prompt-search", style: "width:260px" });
    let timer = 0;
    search.addEventListener("input", () => { clearTimeout(timer); timer = window.setTimeout(() => { query = search.value; setQuery({ q: query }); drawPrompts(body); }, 150); });
    fill(list, el("table", { class: "tbl pad", "data-testid": "prompt-sets" },
      el("thead", null, el("tr", null, el("th", null, "set"), el("th", null, "split"), el("th", { class: "num" }, "prompts"), el("th", { class: "num opt" }, "made"))),
      el("tbody", null, sets.map((set) => el("tr", { "aria-selected": String(set.id === chosen), onclick: () => choose(set.id) },
        el("td", null, el("button", { class: "plain strong", onclick: () => choose(set.id), translate: "no" }, set.name)), el("td", { class: "muted" }, SPLITS[set.split] || set.split),
        el("td", { class: "num" }, fmt.int(set.num_prompts)), el("td", { class: "num muted opt" }, fmt.ago(set.created_at)))))),
    el("div", { class: "bar", style: "border-top:1px solid var(--line)" }, el("h2", { translate: "no" }, sets.find((set) => set.id === chosen)?.name), el("span", { class: "meta muted", "data-testid": "prompt-count" }), el("span", { class: "grow" }), search), body);
    drawPrompts(body);
  }

  /** @param {number} id */
  function choose(id) {
    if (id === chosen) return;
    chosen = id;
    query = "";
    setQuery({ set: id, q: null });
    drawList();
    const select = /** @type {HTMLSelectElement | null} */ (side.querySelector("[name=prompt_set_id]"));
    if (select) select.value = String(id);
  }

  /** @param {HTMLElement} body */
  async function drawPrompts(body, offset = 0) {
    const asked = [chosen, query].join();
    const found = await api(`prompt-sets/${chosen}?${new URLSearchParams({ q: query, offset: String(offset), limit: String(PAGE) })}`).catch((error) => error);
    if ([chosen, query].join() !== asked) return;
    if (found instanceof Error) { fill(body, el("div", { class: "sec" }, note("The prompts are not there", found.message))); return; }
    list.querySelector("[data-testid=prompt-count]").textContent = query ? `${fmt.int(found.total)} with "${query}"` : fmt.count(found.total, "prompt");
    const rows = found.prompts.map((prompt, i) => el("li", null, el("span", { class: "n" }, fmt.int(offset + i + 1)), el("span", { translate: "no" }, prompt.text)));
    const shown = offset + found.prompts.length;
    const more = shown < found.total && button(`Show ${fmt.int(Math.min(PAGE, found.total - shown))} more`, { size: "sm", onclick: (e) => { /** @type {any} */ (e.currentTarget).remove(); drawPrompts(body, shown); } });
    if (!offset) fill(body, found.total ? el("ol", { class: "plist", "data-testid": "prompt-list" }, rows) : el("p", { class: "sec muted" }, "No prompt in this set holds these words."));
    else body.querySelector("ol")?.append(...rows);
    if (more) body.append(el("div", { class: "sec" }, more));
  }

  // acting ------------------------------------------------------------------------------------------------

  async function drawSide() {
    const policies = await api("policies").catch(() => []);
    fill(side, sets.length ? drawSection(policies) : null, addSection(), sets.length ? simulateSection() : null);
  }

  function drawSection(policies) {
    const said = el("div", { "data-testid": "generate-job", class: "jobhost" });
    const wanted = Number(page.query.get("policy")) || policies[0]?.id;
    if (!policies.length) return section("Draw pairs", note("No model yet", "Load the demo from Today: it brings the pocket model.", { tone: "warn" }));
    const go = async () => {
      if (!drawing.check()) return;
      fill(said);
      const value = (name) => Number(/** @type {HTMLSelectElement} */ (side.querySelector(`[name=${name}]`)).value);
      const body = { prompt_set_id: value("prompt_set_id"), policy_id: value("policy_id"), make_pairs: true, ...drawing.read() };
      try {
        const { job_id } = await api("generate", { body });
        follow(job_id);
      } catch (error) {
        if (!error.field || !drawing.setError(error.field, error.message)) fill(said, note("Nothing was drawn", error.message));
      }
    };
    return section("Draw pairs", el("p", { class: "meta muted" }, "The model draws each prompt with different seeds; two pictures of one prompt make a pair to judge."),
      select("prompt_set_id", "Prompt set", sets.map((set) => [set.id, `${set.name} · ${fmt.int(set.num_prompts)}`]), chosen),
      select("policy_id", "Model", policies.map((policy) => [policy.id, policy.name]), wanted),
      el("div", { class: "two" }, drawing.node), el("div", { class: "row" }, button("Draw pairs", { kind: "primary", size: "lg", testid: "generate-pairs", onclick: go })), said);
  }

  /** @param {number} id */
  function follow(id) {
    const host = /** @type {HTMLElement | null} */ (side.querySelector(".jobhost"));
    if (!host) return;
    stopJob();
    setQuery({ job: id, generate: null });
    stopJob = watchJob(host, id, { title: "Drawing pairs", onend: (job) => live(`Drawing ${job.status}.`),
      done: () => el("p", { class: "meta" }, "The pairs wait to be judged. ", el("a", { class: "link", href: "/label" }, "Start labelling")) });
  }

  function addSection() {
    const name = el("input", { class: "inp", id: "set-name", "data-testid": "set-name", autocomplete: "off", maxlength: 200 });
    const text = el("textarea", { class: "inp", id: "set-text", rows: 6, "data-testid": "set-text", spellcheck: "false", placeholder: "a large red circle above a small blue square\ntwo green stars on a white background" });
    const split = el("select", { class: "sel", id: "set-split", "data-testid": "set-split" }, Object.entries(SPLITS).map(([value, help]) => el("option", { value }, help[0].toUpperCase() + help.slice(1))));
    const said = el("div", { "data-testid": "import-result", role: "status" });
    const file = el("input", { type: "file", class: "file", accept: ".txt,.jsonl,.json,.csv,text/plain", "aria-label": "Prompt file", "data-testid": "set-file", onchange: async () => {
      const given = file.files[0];
      if (!given) return;
      text.value = await given.text();
      if (!name.value) name.value = given.name.replace(/\.\w+$/, "");
    } });
    const add = button("Add prompts", { kind: sets.length ? "" : "primary", testid: "add-prompts", onclick: async () => {
      try {
        const made = await api("prompt-sets", { body: { name: name.value, split: split.value, text: text.value } });
        const double = made.duplicates ? ` ${fmt.count(made.duplicates, "duplicate")} left out.` : "";
        const first = !sets.length;
        chosen = made.id;
        await load();
        if (first) await drawSide();
        name.value = text.value = file.value = "";
        fill(side.querySelector("[data-testid=import-result]"), el("p", { class: "meta ok" }, `Added ${fmt.count(made.num_prompts, "prompt")}.${double}`), problems(made.problems));
      } catch (error) {
        fill(said, note("Nothing was added", error.message), problems(error.problems));
      }
    } });
    return section("Add a prompt set", field("set-name", "Name", name), field("set-split", "Split", split),
      field("set-text", "Prompts", text, "One a line, or JSON lines with a \"prompt\"."), file, el("div", { class: "row" }, add), said);
  }

  /** @param {{line: number, reason: string}[]} found */
  function problems(found) {
    if (!found?.length) return null;
    return el("table", { class: "tbl", "data-testid": "import-problems" }, el("thead", null, el("tr", null, el("th", { class: "num" }, "line"), el("th", null, "problem"))),
      el("tbody", null, found.slice(0, 50).map((problem) => el("tr", null, el("td", { class: "num" }, String(problem.line)), el("td", { class: "wrap" }, problem.reason)))));
  }

  function simulateSection() {
    const said = el("div");
    return section("Simulated annotators", el("p", { class: "meta muted" }, "For trying things out. They judge the open pairs; their answers are marked and kept apart."),
      el("div", { class: "two" }, simulation.node), el("div", { class: "row" }, button("Let them judge", { testid: "simulate", onclick: async () => {
        if (!simulation.check()) return;
        try {
          const { job_id } = await api("simulate", { body: { ...simulation.read(), seed: 0 } });
          stopJob();
          stopJob = watchJob(said, job_id, { title: "Judging", done: () => el("p", { class: "meta" }, "Done. ", el("a", { class: "link", href: "/rewards" }, "Learn a reward")) });
        } catch (error) { fill(said, note("Nobody judged", error.message)); }
      } })), said);
  }
}

const section = (title, ...children) => el("section", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", null, title)), el("div", { class: "stack" }, children));
const field = (id, label, control, help) => el("div", { class: "field" }, el("label", { for: id }, label), control, help && el("span", { class: "help" }, help));
const select = (name, label, options, value) => el("div", { class: "field" }, el("label", { for: `s-${name}` }, label),
    el("select", { class: "sel", id: `s-${name}`, name, "data-testid": name }, options.map(([id, text]) => el("option", { value: id, selected: id === value, translate: "no" }, text))));
