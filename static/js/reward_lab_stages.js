/** What becomes of a reward's values: their distribution before and after each stage, and one prompt's pictures in both orders. */

import { el, fill, fmt } from "/static/js/lib.js";
import { binned } from "/static/js/new_run_glances.js";
import { WAYS, wayOf } from "/static/js/reward_lab_mix.js";
import { difficultyFigure, risingFigure } from "/static/js/reward_shapes.js";
import { figure, num, rewardColour } from "/static/js/svg.js";

const BINS = 24;
const WIDTH = 150;
const HEIGHT = 64;
const SHOWN = 8;
const STAGES = [["raw", "as it was said"], ["shaped", "after its transform"], ["z", "normalised in its group"], ["factor", "what it is multiplied by"], ["share", "its part of the advantage"]];

export class StagesPanel {
  /** @param {HTMLElement} host @param {any} lab */
  constructor(host, lab) {
    Object.assign(this, { lab });
    this.of = 0;
    this.prompt = -1;
    this.node = el("div", { class: "sec lab-line", "data-testid": "stages" });
    fill(host, this.node);
  }

  draw() {
    const { lab } = this;
    const terms = lab.stages?.of ?? [];
    if (!terms.length) {
      fill(this.node, el("div", { class: "sec-h" }, el("h2", null, "What becomes of a reward")), el("p", { class: "meta muted" }, lab.problem || "Score the set first: the distributions are those of its stored values."));
      return;
    }
    const term = terms.find((one) => one.reward_id === this.of) ?? terms[0];
    const name = lab.row(term).name;
    const stage = lab.stages.terms[name];
    const pick = el("select", { class: "sel sm-sel", "aria-label": "Which reward", "data-testid": "stages-of", translate: "no", onchange: (e) => { this.of = Number(e.target.value); this.draw(); } }, terms.map((one) => el("option", { value: one.reward_id, selected: one === term }, lab.row(one).name)));
    const colour = rewardColour(lab.mix.terms.indexOf(term));
    const shown = STAGES.filter(([key]) => stage[key]?.some((v) => v !== null));
    fill(this.node, el("div", { class: "sec-h" }, el("h2", { class: "nowrap" }, "What becomes of a reward"), el("span", { class: "meta muted clip grow" }, lab.mix.combine === "pareto" ? "Pareto fronts" : WAYS[wayOf(term.set)].words), pick),
      el("div", { class: "lab-hists" }, shown.map(([key, words]) => histogram(stage[key], words, key, colour)), this.shapes(name, stage, colour)),
      el("p", { class: "meta muted", style: "margin-top:6px", "data-testid": "stages-said" }, this.said(term, stage)), this.orders(stage));
  }

  /** In words what was left out. */
  said(term, stage) {
    const { stages } = this.lab;
    const gated = stages.gated?.filter(Boolean).length ?? 0;
    const parts = [`${fmt.count(stages.groups, "prompt")} with something to compare.`];
    if (stages.skipped) parts.push(`${fmt.count(stages.skipped, "prompt")} skipped: ${stages.reasons[0]}.`);
    if (stages.gated) parts.push(`The gate leaves out ${fmt.count(gated, "picture")}.`);
    if (term.set.stage && !stage.share.some((v) => v !== null)) parts.push("It waits for the first stage and is only recorded.");
    return parts.join(" ");
  }

  /** What the run's settings, as they were read, do besides: thresholds that rise, prompts that count by their successes. */
  shapes(name, stage, colour) {
    const { config } = this.lab.stages;
    const { thresholds } = config.rewards.find((one) => one.name === name);
    const { difficulty, success } = config.compose;
    return [thresholds.length > 1 && shape("its threshold, and the pictures that reach it", risingFigure(thresholds, stage.raw.filter((v) => v !== null), { done: this.lab.mix.done, colour })),
      difficulty !== "none" && shape("how much a prompt counts, by its successes", difficultyFigure(difficulty, this.successes(success)))];
  }

  /** Share of each prompt's pictures whose first reward reaches a value. @param {number} success @returns {number[]} */
  successes(success) {
    const { stages, values } = this.lab;
    const first = stages.terms[this.lab.row(stages.of.find((term) => !term.set.role && !term.set.stage) ?? stages.of[0]).name].raw;
    const groups = new Map();
    first.forEach((v, i) => { if (v !== null) (groups.get(values.prompt[i]) ?? groups.set(values.prompt[i], []).get(values.prompt[i])).push(v >= success ? 1 : 0); });
    return [...groups.values()].map((hits) => hits.reduce((a, b) => a + b, 0) / hits.length);
  }

  /** One prompt's pictures by what the reward said, and by the advantage. */
  orders(stage) {
    const { lab } = this;
    const { prompt, prompts } = lab.values;
    const { total } = lab.stages;
    const counts = new Map();
    prompt.forEach((p, i) => { if (stage.raw[i] !== null) counts.set(p, (counts.get(p) ?? 0) + 1); });
    const full = [...counts].filter(([, n]) => n > 1).map(([p]) => p);
    if (!full.length) return null;
    if (!full.includes(this.prompt)) this.prompt = full[0];
    const rows = prompt.map((p, i) => i).filter((i) => prompt[i] === this.prompt && stage.raw[i] !== null);
    const line = (words, values, write) => {
      const order = [...rows].sort((a, b) => (values[b] ?? -Infinity) - (values[a] ?? -Infinity)).slice(0, SHOWN);
      return el("div", { class: "lab-order" }, el("span", { class: "meta muted" }, words), el("div", { class: "lab-thumbs" }, order.map((i) => lab.thumb(i, values[i] === null ? el("span", { class: "faint" }, "out") : write(values[i])))));
    };
    const at = full.indexOf(this.prompt);
    const step = (by) => { this.prompt = full[(at + by + full.length) % full.length]; this.draw(); };
    return el("div", { class: "lab-orders" }, el("div", { class: "row" }, el("span", { class: "clip grow", translate: "no", title: prompts[this.prompt] }, prompts[this.prompt]), el("button", { class: "btn sm quiet", type: "button", "data-testid": "stages-before", onclick: () => step(-1) }, "Previous prompt"), el("button", { class: "btn sm quiet", type: "button", "data-testid": "stages-next", onclick: () => step(1) }, "Next prompt")),
      line("by this reward alone", stage.raw, (v) => figure(v)), line("by the mix", total, (v) => el("span", { class: v < 0 ? "neg" : "pos" }, num(v, 2, { sign: true }))));
  }
}

/** @param {string} words @param {Element} drawn */
const shape = (words, drawn) => el("figure", { class: "lab-shape" }, el("figcaption", { class: "meta" }, words), drawn);

/** @param {(number|null)[]} column @param {string} words @param {string} key @param {string} colour */
function histogram(column, words, key, colour) {
  const values = /** @type {number[]} */ (column.filter((v) => v !== null));
  const { counts, low, high } = binned(values, BINS);
  const most = Math.max(...counts);
  const bar = WIDTH / BINS;
  return el("figure", { "data-testid": `stage-${key}` }, el("figcaption", { class: "meta" }, words),
    el("svg", { class: "lab-hist", width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${words}: ${values.length} values from ${figure(low)} to ${figure(high)}`, style: `color:${colour}` },
      counts.map((n, i) => (n ? el("rect", { x: (i * bar + 0.5).toFixed(1), width: (bar - 1).toFixed(1), y: (HEIGHT - 1 - (HEIGHT - 3) * (n / most)).toFixed(1), height: (1 + (HEIGHT - 3) * (n / most)).toFixed(1), fill: "currentColor" }) : null)), el("path", { d: `M0 ${HEIGHT - 0.5}H${WIDTH}`, style: "stroke:var(--line-control)" })),
    el("div", { class: "row micro faint" }, el("span", { class: "grow" }, figure(low)), el("span", null, figure(high))));
}
