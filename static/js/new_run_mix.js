/** The reward mix of a new run: what is trained, how much each counts, what is only watched. */

import { button, el, fill } from "/static/js/lib.js";
import { choiceText, form } from "/static/js/form.js";
import { drawHistogram } from "/static/js/new_run_glances.js";
import { auditMark } from "/static/js/reward_audit.js";
import { difficultyFigure, risingFigure } from "/static/js/reward_shapes.js";
import { num, rewardColour } from "/static/js/svg.js";

const MOST = 2;

/** Kinds that need a file which only training makes: they come from the project's own rewards. */
const LEARNED = ["learned", "directional"];
/** Settings of a term that have a place of their own in its row. */
const IN_ROW = ["name", "kind", "weight", "transform", "config"];

export class RewardMix {
  /** @param {{rewards: any[], kinds: any[], fields: any[], config: any, seen: () => Record<string, any>, onChange: () => void}} options
   *   fields: the form of one term, without its kind's own settings; seen: what rewards said of samples, by name */
  constructor({ rewards, kinds, fields, config, seen, onChange }) {
    this.seen = seen;
    this.rewards = newestVersions(rewards);
    this.kinds = kinds;
    this.fields = fields;
    this.config = config;
    this.onChange = onChange;
    /** Without a trained reward the method learns from judged pairs: nothing else may be trained on. */
    this.trains = config.rewards.length > 0;
    this.open = new Set();
    this.node = el("div", { class: "fsec", "data-testid": "reward-mix" });
    this.draw();
  }

  get terms() {
    const { rewards = [], watch = [] } = this.config;
    return [...rewards.map((term) => ({ term, role: "trained" })), ...watch.map((term) => ({ term, role: "watched" }))];
  }

  draw() {
    this.shares = el("div", { class: "rstack", style: "height:12px;margin-top:10px;max-width:420px", "aria-hidden": "true" });
    this.shapes = el("div", { class: "mix-shapes", "data-testid": "mix-shapes" });
    this.cells = new Map();
    this.plots = new Map();
    this.marks = new Map();
    const about_ = this.trains ? "normalised in each group, then added by weight" : "this method learns from judged pairs; rewards are only watched";
    fill(this.node, el("div", { class: "sec-h" }, el("h2", null, "Reward"), el("span", { class: "meta muted" }, about_), el("span", { class: "grow" }),
      el("a", { class: "link meta", href: "/rewards" }, "All rewards"), this.menu()),
    el("table", { class: "tbl mix" }, el("thead", null, el("tr", null, ["reward", "weight, influence", "transform", "64 samples", "role"].map((w) => el("th", null, w)), el("th", null, el("span", { class: "vh" }, "settings, remove")))),
      el("tbody", null, this.terms.map(({ term, role }, i) => [this.row(term, role, i), this.open.has(term) ? this.settings(term) : null]))),
    this.trains ? [this.shares, this.shapes] : null,
    el("p", { class: "meta muted", style: "margin-top:6px" }, this.trains ? "Influence is a reward's part of the weights: after normalising, that decides who wins a group. What is watched is measured but never trained on." : "What is watched is measured on held-out prompts but never trained on."));
    this.drawShares();
    this.drawPlots();
  }

  /** What each reward says of the newest samples, as its transform makes it. */
  drawPlots() {
    this.drawShapes();
    for (const { term } of this.terms) {
      const host = this.plots.get(term);
      if (host) drawHistogram(host, term, this.seen()[term.name]);
      const mark = this.marks.get(term);
      if (mark) fill(mark, auditMark(this.seen()[term.name]?.audit ?? ""));
    }
  }

  /** Thresholds that rise through the run, and how much prompts count by their successes: nothing where neither is set. */
  drawShapes() {
    const { rewards, compose } = this.config;
    const rising = rewards.map((term, i) => ({ term, i })).filter(({ term }) => term.thresholds?.length > 1);
    const drawn = rising.map(({ term, i }) => [[el("span", { translate: "no" }, term.name), " ", el("span", { class: "muted" }, "its threshold, and the pictures that reach it")], risingFigure(term.thresholds, (this.seen()[term.name]?.values ?? []).filter((v) => v !== null && Number.isFinite(v)), { colour: rewardColour(i) })]);
    if (compose && compose.difficulty !== "none" && compose.difficulty) drawn.push(["how much a prompt counts, by its successes", difficultyFigure(compose.difficulty)]);
    fill(this.shapes, drawn.map(([words, figure]) => el("figure", null, el("figcaption", { class: "meta" }, words), figure)));
  }

  /** How a raw value is changed before it is normalised in its group. */
  transform(term) {
    const field = this.fields.find((one) => one.path === "transform");
    return el("select", { class: "sel sm-sel", "aria-label": `Transform of ${term.name}`, "data-testid": `transform-${term.name}`, title: field?.help ?? null, onchange: (e) => { term.transform = e.target.value; this.drawPlots(); this.onChange(); } },
      (field?.choices ?? ["none"]).map((value) => el("option", { value, selected: value === (term.transform ?? "none") }, choiceText(field, value))));
  }

  /** Rewards of the project, and every kind that can be asked as it is. */
  menu() {
    const names = this.terms.map(({ term }) => term.name);
    const rows = this.rewards.filter((row) => !names.includes(row.name));
    const kinds = this.kinds.filter((kind) => !LEARNED.includes(kind.kind) && !names.includes(kind.kind) && !rows.some((row) => row.name === kind.kind));
    const group = (label, options) => options.length && el("optgroup", { label }, options);
    return el("select", { class: "sel sm-sel", "aria-label": "Add a reward", "data-testid": "add-reward", onchange: (e) => this.add(e.target.value) }, el("option", { value: "" }, "Add a reward"),
      group("Of this project", rows.map((row) => el("option", { value: row.name }, `${row.name}, ${about(row)}`))),
      group("By kind", kinds.map((kind) => el("option", { value: `kind:${kind.kind}` }, kind.title))));
  }

  /** Everything else that can be set of a term: when it is asked, its transform, and its kind's own settings. */
  settings(term) {
    const kind = this.kinds.find((k) => k.kind === term.kind);
    const own = (kind?.fields ?? []).map((field) => ({ ...field, path: `config.${field.path}` }));
    const fields = [...this.fields.filter((field) => !IN_ROW.includes(field.path)), ...own];
    const drawn = form(fields, { values: term, onchange: (path, value) => {
      const [first, ...rest] = path.split(".");
      if (rest.length) (term.config ??= {})[rest.join(".")] = value; else term[first] = value;
      this.onChange();
    } });
    drawn.node.classList.add("cols", "rows");
    return el("tr", { class: "term-settings" }, el("td", { colspan: "6", "data-testid": `settings-${term.name}` }, kind?.summary && el("p", { class: "meta muted", style: "margin-bottom:8px" }, kind.summary), drawn.node));
  }

  row(term, role, i) {
    const row = this.rewards.find((r) => r.name === term.name);
    const trained = role === "trained";
    const set = (/** @type {number} */ value, /** @type {HTMLInputElement} */ other) => {
      if (!Number.isFinite(value)) return;
      term.weight = value;
      other.value = String(value);
      this.drawShares();
      this.onChange();
    };
    const slider = el("input", { type: "range", min: 0, max: MOST, step: 0.05, value: term.weight, "aria-label": `Weight of ${term.name}`, "data-testid": `weight-slider-${term.name}`, oninput: (e) => set(Number(e.target.value), number) });
    const number = el("input", { class: "inp num", type: "text", inputmode: "decimal", value: String(term.weight), "aria-label": `Weight of ${term.name}, as a number`, "data-testid": `weight-${term.name}`, oninput: (e) => set(Number(e.target.value.replace("−", "-") || Number.NaN), slider) });
    const influence = el("span", { class: "share" });
    const plot = el("div", { class: "hist-host", "data-testid": `histogram-${term.name}` });
    this.plots.set(term, plot);
    const mark = el("span", { class: "clip" });
    this.marks.set(term, mark);
    this.cells.set(term, influence);
    const last = trained && this.config.rewards.length === 1;
    const more = button("", { kind: "quiet", size: "sm icon", icon: "sliders", title: `Settings of ${term.name}`, testid: `open-settings-${term.name}`, onclick: () => { if (!this.open.delete(term)) this.open.add(term); this.draw(); } });
    more.setAttribute("aria-expanded", String(this.open.has(term)));
    more.setAttribute("aria-label", `Settings of ${term.name}`);
    const remove = button("", { kind: "quiet", size: "sm icon", icon: "x", disabled: last, title: last ? "A run needs one reward that is trained" : `Remove ${term.name}`, onclick: () => this.remove(term) });
    remove.setAttribute("aria-label", `Remove ${term.name}`);
    return el("tr", { "data-testid": "mix-row", "data-reward": term.name },
      el("td", null, el("span", { class: "row", style: "gap:8px" }, el("i", { class: "sw", style: trained ? `background:${rewardColour(i)}` : "border:1px solid var(--line-control)" }), el("span", null, el("b", { class: "strong clip", title: term.name, translate: "no" }, term.name), el("span", { class: "micro faint clip" }, row ? about(row) : term.kind), mark))),
      el("td", null, trained ? el("span", { class: "row" }, slider, number, influence) : influence),
      el("td", null, trained ? this.transform(term) : el("span", { class: "faint" }, "–")), el("td", null, plot),
      el("td", null, el("select", { class: "sel sm-sel", "aria-label": `Role of ${term.name}`, "data-testid": `role-${term.name}`, disabled: last || !this.trains, onchange: (e) => this.setRole(term, e.target.value) },
        (this.trains ? ["trained", "watched"] : ["watched"]).map((value) => el("option", { value, selected: value === role }, value)))),
      el("td", null, el("div", { class: "row", style: "justify-content:flex-end;gap:0" }, more, remove)));
  }

  drawShares() {
    const total = this.config.rewards.reduce((sum, term) => sum + Math.abs(term.weight), 0) || 1;
    fill(this.shares, this.config.rewards.map((term, i) => el("i", { style: `height:12px;width:${((100 * Math.abs(term.weight)) / total).toFixed(1)}%;background:${rewardColour(i)}` })));
    for (const { term, role } of this.terms) {
      const cell = this.cells.get(term);
      if (cell) fill(cell, role === "trained" ? el("b", { class: "strong" }, `${num((100 * Math.abs(term.weight)) / total, 0)} %`) : el("span", { class: "faint" }, "watched"));
    }
  }

  /** @param {string} choice a reward's name, or "kind:" and a kind */
  add(choice) {
    const kind = choice.startsWith("kind:") ? choice.slice(5) : "";
    const row = kind ? { name: kind, kind, config: {} } : this.rewards.find((r) => r.name === choice);
    if (!row) return;
    (this.trains ? this.config.rewards : (this.config.watch ??= [])).push({ name: row.name, kind: row.kind, weight: 1, config: { ...row.config } });
    this.redraw();
  }

  remove(term) {
    this.config.rewards = this.config.rewards.filter((other) => other !== term);
    this.config.watch = (this.config.watch ?? []).filter((other) => other !== term);
    this.redraw();
  }

  setRole(term, role) {
    this.config.rewards = this.config.rewards.filter((other) => other !== term);
    this.config.watch = (this.config.watch ?? []).filter((other) => other !== term);
    (role === "trained" ? this.config.rewards : this.config.watch).push(term);
    this.redraw();
  }

  redraw() {
    this.draw();
    this.onChange();
  }
}

/** The newest version of each reward. */
export function newestVersions(rows) {
  const newest = new Map();
  for (const row of rows) if (!newest.has(row.name) || newest.get(row.name).id < row.id) newest.set(row.name, row);
  return [...newest.values()];
}

/** What a reward is, in three words. */
export function about(row) {
  if (row.kind === "learned") return row.figures?.pairs ? `learned, ${row.figures.pairs} pairs` : "learned";
  return row.kind === row.name ? `v${row.version}` : `${row.kind} v${row.version}`;
}
