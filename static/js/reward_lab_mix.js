/** The mix of the Reward lab: which rewards count, how much, and in which way. */

import { button, el, fill, fmt } from "/static/js/lib.js";
import { about, newestVersions } from "/static/js/new_run_mix.js";
import { auditMark } from "/static/js/reward_audit.js";
import { readList } from "/static/js/reward_shapes.js";
import { num, rewardColour } from "/static/js/svg.js";

const MOST = 2;
const MOST_REWARDS = 8;
const SHORT = { scale: "s", transform: "t", role: "r", quantile: "q", thresholds: "h", temperature: "T", doubtful: "d", stage: "g" };

/** How a prompt can count by the share of its pictures that succeed. */
const DIFFICULTY = [["none", "all alike"], ["peak", "most where half succeed"], ["band", "where 20 to 80 % succeed"]];

/** How a reward can count: key → words, the settings of its term (from the middle and the quarters of its values), and the number
 * that it takes; thresholds may be several, of which each holds for an equal part of the run. */
export const WAYS = {
  plain: { words: "as it is", set: () => ({}) },
  group: { words: "by its group's spread", set: () => ({ scale: "group" }) },
  frozen: { words: "by the base's spread", set: () => ({ scale: "frozen" }) },
  "log-sigmoid": { words: "log-sigmoid around a reference", set: () => ({ transform: "log-sigmoid", scale: "batch", quantile: 0.5 }), number: ["quantile", "Reference, a quantile of the base"] },
  rank: { words: "by rank in its group", set: () => ({ transform: "rank" }) },
  threshold: { words: "from a threshold on", set: (middle) => ({ transform: "threshold", thresholds: [middle] }), number: ["thresholds", "Threshold, in its unit"] },
  rising: { words: "from rising thresholds on", set: (_, quarters) => ({ transform: "threshold", thresholds: quarters }), number: ["thresholds", "Thresholds, rising"] },
  gate: { words: "as a gate", set: (middle) => ({ role: "gate", thresholds: [middle] }), number: ["thresholds", "Shut below, in its unit"] },
  "soft-gate": { words: "as a soft gate", set: (middle) => ({ role: "soft-gate", thresholds: [middle] }), number: ["thresholds", "Half open at, in its unit"] },
  doubt: { words: "less where it is unsure", set: () => ({ doubtful: true }) },
  later: { words: "in a later stage", set: () => ({ stage: 1 }) },
};

/** The way of a term. @param {any} set */
export function wayOf(set) {
  if (set.stage) return "later";
  if (set.doubtful) return "doubt";
  if (set.role) return set.role;
  if (set.thresholds?.length > 1) return "rising";
  if (set.transform) return set.transform;
  return set.scale && WAYS[set.scale] ? set.scale : "plain";
}

/** @param {any} row a stored reward @param {number} weight @param {any} [set] */
export const termOf = (row, weight, set = {}) => ({ reward_id: row.id, weight, on: true, set });

/** The mix as words of the address. */
export function writeMix(mix) {
  const one = (term) => [term.reward_id, term.weight, term.on ? 1 : 0, ...Object.entries(term.set).map(([key, value]) => `${SHORT[key]}=${Array.isArray(value) ? value.join("/") : value}`)].join(":");
  const hard = mix.difficulty === "none" ? {} : { difficulty: mix.difficulty, success: mix.success };
  return { mix: mix.terms.map(one).join(","), combine: mix.combine === "each" ? null : mix.combine, scale: mix.scale === "batch" ? null : mix.scale, base: mix.base || null, stage: mix.stage || null, done: mix.done || null, difficulty: null, success: null, ...hard };
}

/** What the address says; null where it says nothing that can be read. @param {URLSearchParams} query @param {any[]} rows */
export function readMix(query, rows) {
  const long = Object.fromEntries(Object.entries(SHORT).map(([key, short]) => [short, key]));
  const value = (key, text) => (key === "thresholds" ? text.split("/").map(Number) : ["quantile", "temperature", "stage"].includes(key) ? Number(text) : key === "doubtful" ? text === "true" : text);
  const terms = (query.get("mix") ?? "").split(",").map((part) => {
    const [id, weight, on, ...rest] = part.split(":");
    const row = rows.find((one) => one.id === Number(id));
    const set = Object.fromEntries(rest.map((text) => text.split("=")).filter(([key]) => long[key]).map(([key, text]) => [long[key], value(long[key], text)]));
    return row ? { ...termOf(row, Number.isFinite(Number(weight)) ? Number(weight) : 1, set), on: on !== "0" } : null;
  }).filter(Boolean);
  if (!terms.length) return null;
  const among = (key, known) => (known.includes(query.get(key)) ? query.get(key) : known[0]);
  const number = (key, usual) => (Number.isFinite(Number(query.get(key) ?? Number.NaN)) ? Number(query.get(key)) : usual);
  return { ...usualMix(terms.slice(0, MOST_REWARDS)), combine: among("combine", ["each", "sum", "pareto"]), scale: among("scale", ["batch", "group", "none"]), base: query.get("base") ?? "", stage: Number(query.get("stage")) || 0,
    done: Math.min(1, Math.max(0, number("done", 0))), difficulty: among("difficulty", DIFFICULTY.map(([key]) => key)), success: number("success", 1) };
}

/** A mix of these terms with every other setting at its default. @param {any[]} terms */
export const usualMix = (terms) => ({ terms, combine: "each", scale: "batch", base: "", stage: 0, done: 0, difficulty: "none", success: 1 });

/** What a run's `compose` says of the mix, where it is not the default. */
export function composeOf(mix) {
  const hard = mix.difficulty === "none" ? {} : { difficulty: mix.difficulty, success: mix.success };
  return { ...(mix.combine === "each" ? {} : { combine: mix.combine }), ...(mix.scale === "batch" ? {} : { scale: mix.scale }), ...hard };
}

/** The address of a new run with this mix, as it stands. @param {any} lab */
export function addressOf(lab) {
  const terms = lab.mix.terms.filter((term) => term.on).map((term) => {
    const row = lab.row(term);
    return { name: row.name, kind: row.kind, weight: term.weight, config: row.config ?? {}, ...term.set };
  });
  const query = new URLSearchParams({ rewards: JSON.stringify(terms) });
  for (const [key, value] of Object.entries(composeOf(lab.mix))) query.set(`compose.${key}`, String(value));
  return `/runs/new?${query}`;
}

export class MixPanel {
  /** @param {HTMLElement} host @param {any} lab */
  constructor(host, lab) {
    Object.assign(this, { host, lab });
    this.draw();
  }

  draw() {
    const { mix } = this.lab;
    const select = (key, label, options) => el("select", { class: "sel sm-sel", "aria-label": label, "data-testid": `lab-${key}`, onchange: (e) => { mix[key] = e.target.value; this.lab.change(); } }, options.map(([value, text]) => el("option", { value, selected: value === mix[key] }, text)));
    this.cells = new Map();
    this.shares = el("div", { class: "rstack", style: "height:10px", "aria-hidden": "true" });
    this.said = el("p", { class: "meta muted", style: "margin-top:6px", "data-testid": "mix-said" });
    const left = newestVersions(this.lab.rows).filter((row) => !mix.terms.some((term) => this.lab.row(term)?.name === row.name));
    fill(this.host, el("div", { class: "pane-h" }, el("h2", null, "Mix"), el("span", { class: "grow" }), select("combine", "How rewards are combined", [["each", "normalise, then add"], ["sum", "add, then normalise"], ["pareto", "Pareto fronts"]])),
      mix.terms.map((term, i) => this.term(term, i)),
      el("div", { class: "sec" }, el("div", { class: "lab-two" }, el("span", { class: "meta muted" }, "Divided by"), select("scale", "What values are divided by", [["batch", "the spread of all"], ["group", "the group's spread"], ["none", "nothing"]]),
        el("span", { class: "meta muted" }, "Base's pictures"), select("base", "The base's pictures", [["", "this set"], ...this.lab.sets.filter((set) => set.key !== this.lab.set).map((set) => [set.key, set.title])]),
        el("span", { class: "meta muted" }, "Prompts count"), this.difficulty()),
      mix.terms.some((term) => term.set.stage) && el("label", { class: "check meta", style: "margin-top:8px" }, el("input", { type: "checkbox", checked: mix.stage > 0, "data-testid": "lab-stage", onchange: (e) => { mix.stage = e.target.checked ? 1 : 0; this.lab.change(); } }), "The first stage has levelled off"),
      mix.terms.some((term) => term.set.thresholds?.length > 1) && el("label", { class: "row meta muted lab-done" }, el("span", { class: "nowrap" }, "Run is over to"), el("input", { type: "range", min: 0, max: 1, step: 0.05, value: mix.done, "data-testid": "lab-done", oninput: (e) => { mix.done = Number(e.target.value); e.target.nextElementSibling.textContent = `${num(100 * mix.done, 0)} %`; this.lab.keep(); this.lab.later(true); } }), el("span", { class: "tn nowrap" }, `${num(100 * mix.done, 0)} %`))),
      el("div", { class: "sec" }, this.shares, this.said),
      left.length && mix.terms.length < MOST_REWARDS ? el("div", { class: "sec" }, el("select", { class: "sel", "aria-label": "Add a reward", "data-testid": "lab-add", onchange: (e) => this.add(Number(e.target.value)) }, el("option", { value: 0 }, "Add a reward"), left.map((row) => el("option", { value: row.id, translate: "no" }, `${row.name}, ${about(row)}`)))) : null);
    this.drawShares();
  }

  add(id) {
    const row = this.lab.rows.find((one) => one.id === id);
    if (!row) return;
    this.lab.mix.terms.push(termOf(row, 1));
    this.lab.choose();
  }

  term(term, i) {
    const row = this.lab.row(term);
    const said = this.lab.said(term.reward_id);
    const set = (/** @type {number} */ weight, /** @type {HTMLInputElement} */ other) => {
      if (!Number.isFinite(weight)) return;
      other.value = String(weight);
      this.lab.weigh(term, weight);
    };
    const slider = el("input", { type: "range", min: 0, max: MOST, step: 0.05, value: term.weight, "aria-label": `Weight of ${row.name}`, "data-testid": `lab-slider-${row.name}`, onpointerdown: () => { this.lab.moved = term.reward_id; }, oninput: (e) => set(Number(e.target.value), number) });
    const number = el("input", { class: "inp num", type: "text", inputmode: "decimal", value: String(term.weight), "aria-label": `Weight of ${row.name}, as a number`, "data-testid": `lab-weight-${row.name}`, onchange: (e) => set(Number(e.target.value.replace("−", "-") || Number.NaN), slider) });
    const influence = el("span", { class: "meta nowrap" });
    this.cells.set(term, influence);
    const on = el("input", { type: "checkbox", checked: term.on, "aria-label": `Count ${row.name}`, "data-testid": `lab-on-${row.name}`, onchange: (e) => { term.on = e.target.checked; this.lab.change(); } });
    const remove = button("", { kind: "quiet", size: "sm icon", icon: "x", title: `Take ${row.name} out`, disabled: this.lab.mix.terms.length < 2, onclick: () => { this.lab.mix.terms = this.lab.mix.terms.filter((one) => one !== term); this.lab.choose(); } });
    remove.setAttribute("aria-label", `Take ${row.name} out`);
    return el("div", { class: `sec lab-term ${term.on ? "" : "off"}`, "data-testid": "lab-term", "data-reward": row.name },
      el("div", { class: "row" }, el("i", { class: "sw", style: `background:${rewardColour(i)}` }), el("b", { class: "strong clip", title: row.name, translate: "no" }, row.name), el("span", { class: "meta faint clip grow" }, about(row)), on, remove), auditMark(row.audit),
      el("div", { class: "row" }, slider, number),
      el("div", { class: "row" }, this.way(term), influence),
      this.numberOf(term),
      said ? this.coverage(said) : null);
  }

  coverage(said) {
    const total = said.values.length;
    if (said.unasked === total) return el("p", { class: "meta warn" }, "It has scored nothing of this set yet.");
    const told = [said.unasked > 0 && `${fmt.count(said.unasked, "picture")} not scored`, said.missing > 0 && `${fmt.int(said.missing)} without a value`, said.stale > 0 && `${fmt.int(said.stale)} by an older version`].filter(Boolean);
    return told.length ? el("p", { class: "meta muted" }, told.join(", ")) : null;
  }

  way(term) {
    const now = wayOf(term.set);
    return el("select", { class: "sel sm-sel grow", "aria-label": `How ${this.lab.row(term).name} counts`, "data-testid": `lab-way-${this.lab.row(term).name}`, onchange: (e) => { term.set = WAYS[e.target.value].set(this.quantiles(term, [0.5])[0], [...new Set(this.quantiles(term, [0.25, 0.5, 0.75]))]); this.lab.stagesPanel.of = term.reward_id; this.lab.change(); } },
      Object.entries(WAYS).map(([key, { words }]) => el("option", { value: key, selected: key === now }, words)));
  }

  /** Quantiles of what it said, to three figures: where thresholds begin. @param {any} term @param {number[]} shares */
  quantiles(term, shares) {
    const known = (this.lab.said(term.reward_id)?.values ?? []).filter((v) => v !== null).sort((a, b) => a - b);
    return shares.map((share) => (known.length ? Number(known[Math.min(known.length - 1, Math.floor(share * known.length))].toPrecision(3)) : 0));
  }

  /** Whether prompts count by their successes, and from which value of the first reward a picture is one. */
  difficulty() {
    const { mix } = this.lab;
    const pick = el("select", { class: "sel sm-sel", "aria-label": "How prompts count", "data-testid": "lab-difficulty", onchange: (e) => {
      if (mix.difficulty === "none") [mix.success] = this.quantiles(this.lab.active[0] ?? mix.terms[0], [0.5]);
      mix.difficulty = e.target.value;
      this.lab.change();
    } }, DIFFICULTY.map(([value, text]) => el("option", { value, selected: value === mix.difficulty }, text)));
    if (mix.difficulty === "none") return pick;
    const put = (text) => { const wanted = Number(text.replace("−", "-") || Number.NaN); if (Number.isFinite(wanted)) { mix.success = wanted; this.lab.change(); } };
    return [pick, el("span", { class: "meta muted" }, "Success from"), el("input", { class: "inp num lab-success", type: "text", inputmode: "decimal", value: String(mix.success), "aria-label": "Success from this value of the first reward", "data-testid": "lab-success", onchange: (e) => put(e.target.value) })];
  }

  numberOf(term) {
    const [key, words] = WAYS[wayOf(term.set)].number ?? [];
    if (!key) return null;
    const put = (text) => {
      const wanted = key === "thresholds" ? readList(text) : Number(text.replace("−", "-") || Number.NaN);
      if (wanted === null || (key === "quantile" && !(wanted > 0 && wanted < 1)) || Number.isNaN(wanted)) return;
      term.set[key] = wanted;
      this.lab.change();
    };
    const value = key === "thresholds" ? term.set.thresholds.join(", ") : String(term.set[key]);
    return el("label", { class: "row meta muted" }, el("span", { class: "grow" }, words), el("input", { class: `inp num ${key === "thresholds" ? "list" : ""}`, type: "text", inputmode: key === "thresholds" ? "text" : "decimal", value, "data-testid": `lab-number-${this.lab.row(term).name}`, onchange: (e) => put(e.target.value) }));
  }

  /** Influence: the spread of a reward's shares over the sum of these spreads, under the present weights. */
  drawShares() {
    const { lab } = this;
    const sizes = new Map((lab.columns ?? []).map((column, k) => {
      const known = column.filter((v) => v !== null);
      const mean = known.reduce((a, b) => a + b, 0) / (known.length || 1);
      const spread = Math.sqrt(known.reduce((a, b) => a + (b - mean) ** 2, 0) / (known.length || 1));
      return [lab.summed[k], Math.abs(lab.summed[k].weight) * spread];
    }));
    const whole = [...sizes.values()].reduce((a, b) => a + b, 0) || 1;
    fill(this.shares, lab.mix.terms.map((term, i) => (sizes.get(term) ? el("i", { style: `height:10px;width:${((100 * sizes.get(term)) / whole).toFixed(1)}%;background:${rewardColour(i)}` }) : null)));
    for (const [term, cell] of this.cells) fill(cell, sizes.has(term) ? [el("b", { class: "strong", "data-testid": `lab-influence-${lab.row(term).name}` }, `${num((100 * sizes.get(term)) / whole, 0)} %`), el("span", { class: "muted" }, " influence")] : el("span", { class: "faint" }, "–"));
    fill(this.said, lab.problem ? el("span", { class: "bad", role: "alert", "data-testid": "lab-problem" }, lab.problem) : lab.mix.combine === "pareto" ? "Fronts ask only who beats whom in everything; weights do not count." : "A weight is not an influence: the bar is weight times spread, which decides who wins a group.");
  }
}
