/** New run: a recipe fills everything in, people change what they want, the preflight says what would fail. */

import { api, button, el, fill, fmt, note, setQuery } from "/static/js/lib.js";
import { form } from "/static/js/form.js";
import { RewardMix } from "/static/js/new_run_mix.js";
import { Preflight } from "/static/js/new_run_preflight.js";
import { glyph, planTree } from "/static/js/plan.js";
import { methodName } from "/static/js/run_parts.js";
import { flatten } from "/static/js/run_side.js";
import { advantageClass, num } from "/static/js/svg.js";

/** Settings people set for every run; all others stand under Advanced. Method settings come first. */
const MAIN = ["sampling.num_steps", "sampling.prompts_per_step", "optim.lr", "num_steps", "minutes", "seed"];
const MAIN_METHOD = ["fork_steps", "forks_per_prompt", "group_size", "strides", "eta"];
/** Names that say more here than the field's own. */
const LABELS = { "sampling.num_steps": "Denoising steps", "num_steps": "Updates", "minutes": "At most", "sampling.prompts_per_step": "Prompts a step" };
/** Drawn by parts of their own. */
const OWN = ["recipe", "rewards", "watch", "prompt_set", "heldout_set", "method.name", "method.settings", "policy.family", "policy.config"];

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const view = new NewRun(main, page);
  await view.start();
  return () => view.preflight?.close();
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
  }

  async start() {
    try {
      const [recipes, rewards, policies, sets, runs] = await Promise.all([api("recipes"), api("rewards"), api("policies"), api("prompt-sets"), api("runs?limit=8")]);
      Object.assign(this, { recipes, rewards, policies, sets, runs: runs.items });
      this.count = runs.total;
      this.layout();
      if (this.clone) await this.fromRun(this.clone);
      else await this.fromRecipe(recipes.find((r) => r.name === this.page.query.get("recipe")) ?? recipes.find((r) => r.config?.method?.name === "g2rpo") ?? recipes[0]);
    } catch (error) {
      fill(this.main, el("div", { class: "sec" }, note("A run cannot be set up now", error.message, { actions: [button("Try again", { size: "sm", onclick: () => location.reload() }), el("a", { class: "btn sm quiet", href: "/runs" }, "All runs")] })));
    }
  }

  layout() {
    this.left = el("section", { class: "pane scroll", "aria-label": "Recipes" });
    this.middle = el("section", { class: "pane scroll", "aria-label": "Settings" });
    this.right = el("aside", { class: "pane", "aria-label": "Preflight", "data-testid": "preflight" });
    this.preflight = new Preflight(this.right, { onFix: (changes) => this.applyFix(changes), onStart: () => this.submit(), onFault: (path, text) => this.markFault(path, text) });
    fill(this.main, el("div", { class: "panes new-panes" }, this.left, this.middle, this.right));
  }

  drawLeft() {
    const others = this.runs.filter((run) => run.status !== "waiting");
    fill(this.left, el("div", { class: "pane-h" }, el("h2", null, "Recipe"), el("span", { class: "grow" }), el("span", { class: "meta faint" }, "what the tree does")),
      this.recipes.map((recipe) => el("button", {
        class: "rec", type: "button", "data-testid": "recipe-card", "data-recipe": recipe.name, "aria-pressed": String(!this.clone && this.config.recipe === recipe.name),
        title: [recipe.summary, recipe.cost, recipe.source].filter(Boolean).join("\n"), onclick: () => this.fromRecipe(recipe),
      }, glyph(recipe.config?.method?.name), el("span", null, el("b", null, recipe.title), el("span", { class: "meta muted two" }, recipe.summary), recipe.cost && el("span", { class: "meta faint" }, short(recipe.cost))))),
      others.length ? el("div", { class: "sec", style: "border-top:1px solid var(--line)" }, el("div", { class: "sec-h" }, el("h2", null, "Start from a run")),
        el("table", { class: "tbl picks" }, el("tbody", null, others.map((run) => el("tr", { "aria-selected": String(run.id === this.clone) },
          el("td", { class: "clip" }, el("button", { class: "link", style: "color:inherit", onclick: () => this.fromRun(run.id) }, run.name)),
          el("td", { class: `num ${advantageClass(run.gain?.value ?? 0)}` }, num(run.gain?.value, 3, { sign: true }))))))) : null);
    if (this.left.scrollHeight > this.left.clientHeight) this.left.querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest" });
  }

  /** @param {any} recipe */
  async fromRecipe(recipe) {
    if (!recipe) throw new Error("No recipe was found among backend/recipes; put the folder back and start the studio again.");
    this.clone = null;
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
    config.rewards = [{ name, kind: row.kind, weight: 1, config: row.config ?? {} }];
    config.watch = others;
  }

  /** @param {number} id */
  async fromRun(id) {
    const run = await api(`runs/${id}`);
    this.clone = id;
    setQuery({ clone: id, recipe: null });
    this.from = run.name;
    await this.begin(copy(run.config), `${run.name.replace(/-\d+$/, "")}-${String(this.count + 1).padStart(2, "0")}`);
  }

  /** @param {any} config @param {string} name */
  async begin(config, name) {
    this.config = config;
    this.base = copy(config);
    this.name = name;
    this.choosePresentSets();
    this.schema = await api(`run-schema?method=${encodeURIComponent(config.method.name)}`);
    this.drawLeft();
    this.drawMiddle();
    this.changed();
  }

  /** A recipe names sets that this project may not have: take the first of the right kind. */
  choosePresentSets() {
    for (const [key, split] of [["prompt_set", "train"], ["heldout_set", "heldout"]]) {
      const names = this.sets.filter((set) => set.split === split).map((set) => set.name);
      if (names.length && !names.includes(this.config[key])) { this.config[key] = names[0]; this.base[key] = names[0]; }
    }
  }

  drawMiddle() {
    const { main, advanced } = this.split();
    const change = (path, value) => { put(this.config, path, value); this.changed(); };
    this.forms = [form(main, { values: this.config, onchange: change }), form(advanced, { values: this.config, onchange: change })];
    this.forms[0].node.classList.add("cols", "rows");
    this.mix = new RewardMix({ rewards: this.rewards, config: this.config, onChange: () => this.changed() });
    this.treeHost = el("div", { class: "plan-host" });
    this.treeNote = el("span", { class: "meta muted" });
    this.middle.oninput = () => this.checkFields();
    fill(this.middle,
      el("div", { class: "fsec" }, el("div", { class: "sec-h" }, el("h2", null, "Model and prompts")), this.drawModel()),
      this.mix.node,
      el("div", { class: "fsec" }, el("div", { class: "sec-h" }, el("h2", null, "Rollouts and budget")), this.forms[0].node),
      el("div", { class: "fsec" }, el("div", { class: "sec-h" }, el("h2", null, "One prompt's tree"), this.treeNote), this.treeHost),
      this.drawAdvanced(advanced));
  }

  drawModel() {
    const row = (label, control) => { const id = `model-${label.replace(/\W/g, "")}`; control.id = id; return el("div", { class: "form-row" }, el("label", { for: id }, label), control); };
    const select = (testid, options, value, onchange) => el("select", { class: "sel", "data-testid": testid, onchange: (e) => onchange(e.target.value) },
      options.length ? options.map(([key, word]) => el("option", { value: key, selected: key === value }, word)) : el("option", { value: "" }, "none in this project yet"));
    const sets = (split) => this.sets.filter((set) => set.split === split).map((set) => [set.name, `${set.name}, ${fmt.int(set.num_prompts)}`]);
    const bases = this.policies.filter((policy) => !policy.run_id);
    const same = bases.find((p) => p.family === this.config.policy.family && (!p.config || JSON.stringify(p.config) === JSON.stringify(this.config.policy.config)));
    return el("div", { class: "cols" },
      row("Name", el("input", { class: "inp", type: "text", value: this.name, "data-testid": "run-name", autocomplete: "off", oninput: (e) => { this.name = e.target.value; } })),
      row("Model", select("policy", bases.map((p) => [String(p.id), `${p.name}, ${p.family}`]), String(same?.id ?? ""), (id) => {
        const policy = bases.find((p) => String(p.id) === id);
        if (policy) { this.config.policy = { family: policy.family, config: policy.config ?? this.config.policy.config }; this.changed(); }
      })),
      row("Prompts", select("prompt-set", sets("train"), this.config.prompt_set, (name) => { this.config.prompt_set = name; this.changed(); })),
      row("Held out", select("heldout-set", sets("heldout"), this.config.heldout_set, (name) => { this.config.heldout_set = name; this.changed(); })));
  }

  /** Fields of the schema as main ones and the groups of the others. */
  split() {
    const method = prefixed(this.schema.fields.method, "method.settings.");
    const all = this.schema.fields.run;
    const leaves = all.flatMap((item) => ("fields" in item ? item.fields : [item]));
    const main = [...MAIN_METHOD.map((key) => method.find((f) => f.path === `method.settings.${key}`)), ...MAIN.map((path) => leaves.find((f) => f.path === path))].filter(Boolean).map((f) => ({ ...f, label: LABELS[f.path] ?? f.label }));
    const taken = new Set([...OWN, ...main.map((f) => f.path)]);
    const rest = all.filter((item) => "fields" in item && !["method", "policy"].includes(item.path)).map((group) => ({ ...group, fields: group.fields.filter((f) => !taken.has(f.path)) }));
    const loose = all.filter((item) => !("fields" in item) && !taken.has(item.path));
    const groups = [
      { path: "method", label: methodName(this.config.method.name), help: "", fields: method.filter((f) => !taken.has(f.path)) },
      { path: "policy", label: "Model", help: "", fields: prefixed(this.schema.fields.policy ?? [], "policy.config.") },
      ...rest, { path: "run", label: "Run", help: "", fields: loose },
    ];
    return { main, advanced: groups.filter((group) => group.fields.length) };
  }

  drawAdvanced(groups) {
    const node = this.forms[1].node;
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
    this.drawTree();
    const touched = diff.filter(([path]) => this.advancedPaths.has(path)).length;
    fill(this.advancedNote, `${this.advancedTotal} settings, ${touched ? `${touched} changed` : "all as they came"}`);
    this.preflight?.ask(this.config, { diff, from: this.clone ? `run ${this.from}` : `recipe ${this.from}`, cloned: Boolean(this.clone) });
  }

  drawTree() {
    const settings = this.config.method.settings ?? {};
    const steps = this.config.sampling?.num_steps ?? 10;
    const all = [...new Set((settings.fork_steps ?? []).filter((k) => Number.isInteger(k) && k >= 0 && k < steps))].sort((a, b) => a - b);
    const used = settings.forks_per_prompt ? Math.min(settings.forks_per_prompt, all.length) : all.length;
    const plan = { steps, sigmas: this.schema.sigmas?.length === steps + 1 ? this.schema.sigmas : [], forks: all, children: settings.group_size ?? 12, strides: settings.strides ?? [1] };
    fill(this.treeNote, all.length ? used < all.length ? `${fmt.count(used, "fork")} of ${plan.children} a prompt, in turn from ${all.length}` : `${fmt.count(all.length, "fork")} of ${plan.children}` : `${plan.children} chains, every step explores`);
    fill(this.treeHost, planTree(plan, Math.max(420, Math.min(820, this.treeHost.clientWidth || 750))));
  }

  /** @param {Record<string, any>} changes */
  applyFix(changes) {
    for (const [path, value] of Object.entries(changes)) put(this.config, path, value);
    this.drawMiddle();
    this.changed();
  }

  async submit() {
    if (!this.forms.every((part) => part.check())) return;
    try {
      const name = this.name.trim();
      const run = this.clone
        ? await api(`runs/${this.clone}/clone`, { body: { changes: { ...this.config, name } } })
        : await api("runs", { body: { name, config: this.config } });
      this.page.go(`/runs/${run.id}`);
    } catch (error) {
      const placed = error.field && this.forms.some((part) => part.setError(error.field, error.message));
      if (placed && this.advancedPaths.has(error.field)) this.forms[1].node.hidden = false;
      this.preflight?.refuse(error.message);
    }
  }
}

/** A recipe's cost in fewer words; the whole sentence is the card's title. @param {string} cost */
const short = (cost) => { const nfe = cost.match(/([\d,]+) network evaluations/); return nfe ? `≈ ${fmt.int(Number(nfe[1].replace(/,/g, "")))} NFE a step` : cost; };

const prefixed = (fields, prefix) => fields.map((field) => ({ ...field, path: prefix + field.path }));

