/** The reward mix of a new run: what is trained, how much each counts, what is only watched. */

import { button, el, fill } from "/static/js/lib.js";
import { num, rewardColour } from "/static/js/svg.js";

const MOST = 2;

export class RewardMix {
  /** @param {{rewards: any[], config: any, onChange: () => void}} options */
  constructor({ rewards, config, onChange }) {
    this.rewards = newestVersions(rewards);
    this.config = config;
    this.onChange = onChange;
    this.node = el("div", { class: "fsec", "data-testid": "reward-mix" });
    this.draw();
  }

  get terms() {
    const { rewards = [], watch = [] } = this.config;
    return [...rewards.map((term) => ({ term, role: "trained" })), ...watch.map((term) => ({ term, role: "watched" }))];
  }

  draw() {
    const missing = this.rewards.filter((row) => !this.terms.some(({ term }) => term.name === row.name));
    const menu = el("select", { class: "sel sm-sel", "aria-label": "Add a reward", "data-testid": "add-reward", onchange: (e) => this.add(e.target.value) },
      el("option", { value: "" }, missing.length ? "Add a reward" : "No other reward"), missing.map((row) => el("option", { value: row.name }, `${row.name}, ${about(row)}`)));
    menu.disabled = !missing.length;
    this.shares = el("div", { class: "rstack", style: "height:12px;margin-top:10px;max-width:420px", "aria-hidden": "true" });
    this.cells = new Map();
    fill(this.node, el("div", { class: "sec-h" }, el("h2", null, "Reward"), el("span", { class: "meta muted" }, "normalised in each group, then added by weight"), el("span", { class: "grow" }),
      el("a", { class: "link meta", href: "/rewards" }, "All rewards"), menu),
    el("table", { class: "tbl mix" }, el("thead", null, el("tr", null, ["reward", "weight", "role"].map((w) => el("th", null, w)), el("th", { class: "num" }, "influence"), el("th", null, el("span", { class: "vh" }, "remove")))),
      el("tbody", null, this.terms.map(({ term, role }, i) => this.row(term, role, i)))), this.shares,
    el("p", { class: "meta muted", style: "margin-top:6px" }, "Influence is a reward's part of the weights: after normalising, that decides who wins a group. What is watched is measured but never trained on."));
    this.drawShares();
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
    const influence = el("td", { class: "num" });
    this.cells.set(term, influence);
    const last = trained && this.config.rewards.length === 1;
    const remove = button("", { kind: "quiet", size: "sm icon", icon: "x", disabled: last, title: last ? "A run needs one reward that is trained" : `Remove ${term.name}`, onclick: () => this.remove(term) });
    remove.setAttribute("aria-label", `Remove ${term.name}`);
    return el("tr", { "data-testid": "mix-row", "data-reward": term.name },
      el("td", null, el("span", { class: "row", style: "gap:8px" }, el("i", { class: "sw", style: trained ? `background:${rewardColour(i)}` : "border:1px solid var(--line-control)" }), el("span", null, el("b", { class: "strong" }, term.name), " ", el("span", { class: "meta faint" }, row ? about(row) : term.kind)))),
      el("td", null, trained ? el("span", { class: "row" }, slider, number) : el("span", { class: "faint" }, "–")),
      el("td", null, el("select", { class: "sel sm-sel", "aria-label": `Role of ${term.name}`, "data-testid": `role-${term.name}`, disabled: last, onchange: (e) => this.setRole(term, e.target.value) },
        ["trained", "watched"].map((value) => el("option", { value, selected: value === role }, value)))),
      influence, el("td", null, remove));
  }

  drawShares() {
    const total = this.config.rewards.reduce((sum, term) => sum + Math.abs(term.weight), 0) || 1;
    fill(this.shares, this.config.rewards.map((term, i) => el("i", { style: `height:12px;width:${((100 * Math.abs(term.weight)) / total).toFixed(1)}%;background:${rewardColour(i)}` })));
    for (const { term, role } of this.terms) {
      const cell = this.cells.get(term);
      if (cell) fill(cell, role === "trained" ? el("b", { class: "strong" }, `${num((100 * Math.abs(term.weight)) / total, 0)} %`) : el("span", { class: "faint" }, "watched"));
    }
  }

  /** @param {string} name */
  add(name) {
    const row = this.rewards.find((r) => r.name === name);
    if (!row) return;
    this.config.rewards.push({ name: row.name, kind: row.kind, weight: 1, config: row.config ?? {} });
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
