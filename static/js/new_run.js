/** New run: a recipe fills everything in, people change what they want, the preflight says what would fail. */

import { api, button, el, fill, fmt, kept, note, setQuery, toast } from "/static/js/lib.js";
import { form } from "/static/js/form.js";
import { at, changesOf, clearAddress, writeAddress } from "/static/js/new_run_address.js";
import { arrange, methodTitle, watched } from "/static/js/new_run_fields.js";
import { Glances } from "/static/js/new_run_glances.js";
import { RewardMix } from "/static/js/new_run_mix.js";
import { Preflight } from "/static/js/new_run_preflight.js";
import { ProbePanel } from "/static/js/new_run_probe.js";
import { Gallery } from "/static/js/new_run_recipes.js";
import { textDialog } from "/static/js/new_run_text.js";
import { PlanPanel } from "/static/js/new_run_tree.js";
import { flatten } from "/static/js/run_side.js";
import { advantageClass, num } from "/static/js/svg.js";

const PSI = "method.settings.psi";

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const view = new NewRun(main, page);
  await view.start();
  return () => view.close();
}

const copy = (value) => JSON.parse(JSON.stringify(value));

/** Write `value` at a dotted path. @param {any} data @param {string} path @param {any} value */
export function put(data, path, value) {
  const keys = path.split(".");
  const last = keys.pop() ?? "";
  keys.reduce((at, key) => (at[key] ??= {}), data)[last] = value;
}

/** Settings of `mine` that differ from `base`, as (path, base, mine). @returns {[string, any, any][]} */
export function differences(base, mine) {
  const before = new Map(flatten(base));
  const after = new Map(flatten(mine));
  return [...new Set([...before.keys(), ...after.keys()])].filter((key) => key !== "recipe" && JSON.stringify(before.get(key)) !== JSON.stringify(after.get(key)))
    .map((key) => [key, before.get(key), after.get(key)]);
}

class NewRun {
  /** @param {HTMLElement} main @param {any} page */
  constructor(main, page) {
    this.main = main;
    this.page = page;
    this.config = null;
    this.base = null;
    this.from = "";
    this.clone = Number(page.query.get("clone")) || null;
    /** @type {URLSearchParams|null} what the address said when the page was opened; laid over the first form */
    this.address = new URLSearchParams(page.query);
  }

  async start() {
    try {
      const [recipes, rewards, kinds, policies, sets, runs, workers] = await Promise.all([api("recipes"), api("rewards"), api("reward-kinds"), api("policies"), api("prompt-sets"), api("runs?limit=8"), api("workers")]);
      Object.assign(this, { recipes, rewards, kinds, policies, sets, runs: runs.items });
      this.count = runs.total;
      this.layout();
      this.preflight.places = workers.filter((worker) => worker.queue.split(",").includes("train") && worker.state !== "gone");
      if (this.clone) await this.fromRun(this.clone);
      else await this.fromRecipe(recipes.find((r) => r.name === this.page.query.get("recipe")) ?? recipes.find((r) => r.config?.method?.name === "g2rpo") ?? recipes[0]);
    } catch (error) {
      fill(this.main, el("div", { class: "sec" }, note("A run cannot be set up now", error.message, { actions: [button("Try again", { size: "sm", onclick: () => location.reload() }), el("a", { class: "btn sm quiet", href: "/runs" }, "All runs")] })));
    }
  }

  close() {
    this.preflight?.close();
    this.plan?.close();
    this.probe?.close();
    this.glances?.close();
  }

  layout() {
    this.left = el("section", { class: "pane scroll", "aria-label": "Recipes" });
    this.middle = el("section", { class: "pane scroll", "aria-label": "Settings" });
    this.right = el("aside", { class: "pane", "aria-label": "Preflight", "data-testid": "preflight" });
    this.preflight = new Preflight(this.right, { onFix: (changes) => this.lay(changes), onStart: () => this.submit(), onFault: (path, text) => this.markFault(path, text), onMade: () => this.readSets(), base: (path) => at(this.base, path), focusFault: () => this.focusFault() });
    this.glances = new Glances({ onNews: () => { this.mix?.drawPlots(); this.preflight.again(); } });
    this.probe = new ProbePanel({ config: () => this.config, accepts: (path) => this.paths.has(path), onApply: (changes) => this.lay(changes) });
    this.plan = new PlanPanel({ onCosts: (costs) => this.probe.offer(costs) });
    const gallery = el("div");
    this.others = el("div");
    fill(this.left, gallery, this.others);
    this.gallery = new Gallery(gallery, { recipes: this.recipes, onChoose: (recipe) => this.fromRecipe(recipe) });
    fill(this.main, el("div", { class: "panes new-panes" }, this.left, this.middle, this.right));
  }

  drawLeft() {
    const others = this.runs.filter((run) => run.status !== "waiting");
    this.gallery.choose(this.clone ? "" : this.config.recipe);
    fill(this.others, others.length ? el("div", { class: "sec", style: "border-top:1px solid var(--line)" }, el("div", { class: "sec-h" }, el("h2", null, "Start from a run")),
      el("table", { class: "tbl picks" }, el("tbody", null, others.map((run) => el("tr", { "aria-selected": String(run.id === this.clone) },
        el("td", { class: "clip" }, el("button", { class: "link", style: "color:inherit", onclick: () => this.fromRun(run.id), translate: "no" }, run.name)),
        el("td", { class: `num ${advantageClass(run.gain?.value ?? 0)}` }, num(run.gain?.value, 3, { sign: true }))))))) : null);
  }

  /** @param {any} recipe */
  async fromRecipe(recipe) {
    if (!recipe) throw new Error("No recipe was found among backend/recipes; put the folder back and start the studio again.");
    this.clone = null;
    if (this.config) clearAddress();
    setQuery({ clone: null, recipe: recipe.name });
    this.from = recipe.title;
    const config = { ...copy(recipe.config), recipe: recipe.name };
    this.addReward(config, this.page.query.get("reward"));
    await this.begin(config, `${recipe.name.replace(/^pocket-/, "")}-${String(this.count + 1).padStart(2, "0")}`);
  }

  /** "Use in a new run" names a reward: it is trained, and the recipe's own are watched, so that they tell when it is cheated. */
  addReward(config, name) {
    const row = this.rewards.filter((r) => r.name === name).sort((a, b) => b.id - a.id)[0];
    if (!row) return;
    const others = [...config.rewards, ...(config.watch ?? [])].filter((term) => term.name !== name);
    const term = { name, kind: row.kind, weight: 1, config: row.config ?? {} };
    if (!config.rewards.length) { config.watch = [...others, term]; return; }
    config.rewards = [term];
    config.watch = others;
  }

  /** @param {number} id */
  async fromRun(id) {
    const run = await api(`runs/${id}`);
    this.clone = id;
    if (this.config) clearAddress();
    setQuery({ clone: id, recipe: null });
    this.from = run.name;
    await this.begin(copy(run.config), `${run.name.replace(/-\d+$/, "")}-${String(this.count + 1).padStart(2, "0")}`);
  }

  /** @param {any} config @param {string} name @param {any} [base] what changes are counted from */
  async begin(config, name, base) {
    this.config = config;
    this.base = base ?? copy(config);
    this.name = name;
    this.choosePresentSets();
    this.schema = await api(`run-schema?method=${encodeURIComponent(config.method.name)}`);
    this.takeAddress();
    this.drawLeft();
    this.drawMiddle();
    this.changed();
  }

  /** Lay over the first form what the address says of it. */
  takeAddress() {
    if (!this.address) return;
    const { method, budget, advanced } = arrange(this.schema, this.config);
    const fields = new Map([...method, ...budget, ...advanced.flatMap((group) => group.fields)].map((field) => [field.path, field]));
    const { changes, wrong } = changesOf(this.address, fields);
    this.name = this.address.get("name") ?? this.name;
    this.address = null;
    for (const [path, value] of Object.entries(changes)) put(this.config, path, value);
    if (changes.rewards && !changes.watch) this.config.watch = (this.config.watch ?? []).filter((term) => !changes.rewards.some((other) => other.name === term.name)); // a name stands once
    if (wrong.length) toast(`The address names settings that cannot be read: ${wrong.join(", ")}.`, { sign: "warn", tone: "warn", seconds: 12 });
  }

  /** A fix has made a prompt set. */
  async readSets() {
    this.sets = await api("prompt-sets");
  }

  /** A recipe names sets that this project may not have: take the first of the right kind. */
  choosePresentSets() {
    for (const [key, split] of [["prompt_set", "train"], ["heldout_set", "heldout"]]) {
      const names = this.sets.filter((set) => set.split === split).map((set) => set.name);
      if (names.length && !names.includes(this.config[key])) { this.config[key] = names[0]; this.base[key] = names[0]; }
    }
  }

  drawMiddle() {
    const { method, budget, advanced } = arrange(this.schema, this.config);
    const change = (path, value) => { put(this.config, path, value); this.changed(); };
    this.forms = [method, budget, advanced].map((fields) => form(fields, { values: this.config, onchange: change }));
    this.fields = new Map([...method, ...budget, ...advanced.flatMap((group) => group.fields)].map((field) => [field.path, field]));
    this.paths = new Set(this.fields.keys());
    this.forms.slice(0, 2).forEach((part) => part.node.classList.add("cols", "rows"));
    this.mix = new RewardMix({ rewards: this.rewards, kinds: this.kinds, fields: this.schema.fields.reward, config: this.config, seen: () => this.glances.seen, onChange: () => { this.drawWatched(); this.changed(); } });
    this.middle.oninput = () => this.checkFields();
    fill(this.middle,
      el("div", { class: "fsec" }, el("div", { class: "sec-h" }, el("h2", null, "Model and prompts"), el("span", { class: "grow" }), button("As text", { kind: "quiet", size: "sm", icon: "copy", testid: "as-text", title: "Export or import as TOML, YAML or JSON", onclick: () => this.editText() })), this.drawModel()),
      el("div", { class: "fsec" }, el("div", { class: "sec-h" }, el("h2", null, methodTitle(this.schema, this.config))), this.forms[0].node, this.plan.node, this.probe.node),
      this.mix.node,
      el("div", { class: "fsec" }, el("div", { class: "sec-h" }, el("h2", null, "Budget")), this.forms[1].node),
      this.drawAdvanced(advanced));
  }

  /** What may be watched for the early stop follows from the rewards. */
  drawWatched() {
    const select = this.middle.querySelector('[name="early_stop.gold"]');
    if (!select) return;
    const { choices = [] } = watched(/** @type {any} */ ({}), this.config);
    const gold = choices.includes(this.config.early_stop.gold) ? this.config.early_stop.gold : "";
    put(this.config, "early_stop.gold", gold);
    fill(select, choices.map((name) => el("option", { value: JSON.stringify(name), selected: name === gold }, name || "none")));
  }

  drawModel() {
    const row = (label, control) => { const id = `model-${label.replace(/\W/g, "")}`; control.id = id; return el("div", { class: "form-row" }, el("label", { for: id }, label), control); };
    const select = (testid, options, value, onchange) => el("select", { class: "sel", "data-testid": testid, onchange: (e) => onchange(e.target.value) },
      options.length ? options.map(([key, word]) => el("option", { value: key, selected: key === value }, word)) : el("option", { value: "" }, "none in this project yet"));
    const sets = (split) => this.sets.filter((set) => set.split === split).map((set) => [set.name, `${kept(set.name)}, ${fmt.int(set.num_prompts)}`]);
    const bases = this.policies.filter((policy) => !policy.run_id);
    const same = bases.find((p) => p.family === this.config.policy.family && (!p.config || JSON.stringify(p.config) === JSON.stringify(this.config.policy.config)));
    return el("div", { class: "cols" },
      row("Name", el("input", { class: "inp", type: "text", value: this.name, "data-testid": "run-name", autocomplete: "off", oninput: (e) => { this.name = e.target.value; } })),
      row("Model", select("policy", bases.map((p) => [String(p.id), `${kept(p.name)}, ${p.family}`]), String(same?.id ?? ""), (id) => {
        const policy = bases.find((p) => String(p.id) === id);
        if (policy) { this.config.policy = { family: policy.family, config: policy.config ?? this.config.policy.config }; this.changed(); }
      })),
      row("Prompts", select("prompt-set", sets("train"), this.config.prompt_set, (name) => { this.config.prompt_set = name; this.changed(); })),
      row("Held out", select("heldout-set", sets("heldout"), this.config.heldout_set, (name) => { this.config.heldout_set = name; this.changed(); })));
  }

  drawAdvanced(groups) {
    const node = this.forms[2].node;
    const total = groups.reduce((sum, group) => sum + group.fields.length, 0);
    this.advancedNote = el("span", { class: "meta muted" });
    this.advancedTotal = total;
    this.advancedPaths = new Set(groups.flatMap((group) => group.fields.map((f) => f.path)));
    const find = (/** @type {string} */ text) => {
      const words = text.trim().toLowerCase();
      node.hidden = !words && !open.checked;
      for (const field of node.querySelectorAll(".field")) field.hidden = Boolean(words) && !field.textContent.toLowerCase().includes(words) && !field.querySelector("[name]")?.getAttribute("name")?.includes(words);
      for (const group of node.querySelectorAll(".group")) group.hidden = Boolean(words) && ![...group.querySelectorAll(".field")].some((f) => !f.hidden);
    };
    const search = el("input", { class: "inp", style: "width:220px", type: "search", placeholder: "Find a setting", "aria-label": "Find a setting", "data-testid": "find-setting", oninput: (e) => find(e.target.value) });
    const open = el("input", { type: "checkbox", "data-testid": "advanced", onchange: () => find(search.value) });
    node.hidden = true;
    node.style.marginTop = "12px";
    return el("div", { class: "fsec", style: "border:0" }, el("div", { class: "row" }, el("label", { class: "check" }, open, el("h2", null, "Advanced")), this.advancedNote, el("span", { class: "grow" }), search), node);
  }

  /** Say a fault that the preflight found beside its field too, without taking the focus away.
   * @param {string} path @param {string} text @returns {string} the field's label */
  markFault(path, text) {
    const before = /** @type {HTMLElement|null} */ (document.activeElement);
    if (!this.forms?.some((part) => part.setError(path, text))) return path;
    before?.focus({ preventScroll: true });
    return this.middle.querySelector(`[name="${CSS.escape(path)}"]`)?.closest(".field")?.querySelector("label")?.textContent ?? path;
  }

  /** A field that cannot be read keeps Start shut; the sentence stands beside the field. */
  checkFields() {
    const wrong = [...this.middle.querySelectorAll(".field [aria-invalid=true]")].map((input) => input.closest(".field")?.querySelector("label")?.textContent ?? input.name);
    this.preflight?.hold(wrong);
  }

  /** Something was set: draw what follows from it, and ask the preflight. */
  changed() {
    const diff = differences(this.base, this.config);
    writeAddress(diff, this.config, this.fields);
    this.glances.want([...this.config.rewards, ...(this.config.watch ?? [])]);
    this.plan.ask(this.config);
    this.mix.drawShapes();
    const psi = this.middle.querySelector(`[name="${PSI}"]`)?.closest(".field");
    const { kernel, psi: table } = this.config.method.settings ?? {};
    if (psi) psi.hidden = kernel !== "table-sde" && !table?.length;
    const touched = diff.filter(([path]) => this.advancedPaths.has(path)).length;
    fill(this.advancedNote, `${this.advancedTotal} settings, ${touched ? `${touched} changed` : "all as they came"}`);
    this.preflight?.ask(this.config, { diff, from: this.clone ? `run ${this.from}` : `recipe ${this.from}`, cloned: Boolean(this.clone) });
  }

  /** Lay changes by dotted path over the form: a fix of the preflight, what a probe proposes. @param {Record<string, any>} changes */
  lay(changes) {
    for (const [path, value] of Object.entries(changes)) put(this.config, path, value);
    if (changes.rewards && !changes.watch) this.config.watch = (this.config.watch ?? []).filter((term) => !changes.rewards.some((other) => other.name === term.name)); // a name stands once
    this.drawMiddle();
    this.changed();
  }

  /** The whole config as text; what the studio does not know is refused with its sentence. */
  editText() {
    return textDialog(this.config, this.name, (config) => this.begin(config, this.name, this.base));
  }

  /** Start is shut: lead to the first field that is wrong, or to the line that fails. */
  focusFault() {
    const field = /** @type {HTMLElement|null} */ (this.middle.querySelector("[aria-invalid=true]"));
    if (field?.closest("[hidden]")) this.forms[2].node.hidden = false;
    const line = /** @type {HTMLElement|null} */ (this.right.querySelector(".pf.fail button, .pf.fail a, .same select"));
    (field ?? line)?.focus();
    field?.scrollIntoView({ block: "center" });
  }

  async submit() {
    if (!this.forms.every((part) => part.check())) return;
    try {
      const name = this.name.trim();
      const about = { note: this.preflight.note, place: this.preflight.place };
      const run = this.clone
        ? await api(`runs/${this.clone}/clone`, { body: { changes: { ...this.config, name }, ...about } })
        : await api("runs", { body: { name, config: this.config, ...about } });
      this.page.go(`/runs/${run.id}`);
    } catch (error) {
      const placed = error.field && this.forms.some((part) => part.setError(error.field, error.message));
      if (placed && this.advancedPaths.has(error.field)) this.forms[2].node.hidden = false;
      this.preflight?.refuse(error.message);
    }
  }
}
