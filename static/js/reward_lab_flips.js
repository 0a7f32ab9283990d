/** The pairs of siblings that change places as a weight moves: the curve, and the pairs with their pictures. */

import { button, el, fill, fmt } from "/static/js/lib.js";
import { lineChart } from "/static/js/charts.js";
import { curve, flipped } from "/static/js/reward_flips.js";
import { num, rewardColour } from "/static/js/svg.js";

const MOST = 2;
const POINTS = 41;
const SHOWN = 12;
const HEIGHT = 120;
/** Room of the chart's own words along the foot. */
const FOOT = 14;
/** "If the weight were a tenth more or less." */
const TENTH = 0.1;

const points = (/** @type {number} */ share) => num(100 * share, share < 0.0005 ? 0 : 1);

export class FlipsPanel {
  /** @param {HTMLElement} host @param {any} lab */
  constructor(host, lab) {
    this.lab = lab;
    this.head = el("div", { class: "sec-h" });
    this.plot = el("div");
    this.list = el("div", { class: "lab-flips" });
    fill(host, el("div", { class: "sec lab-line", "data-testid": "flips" }, this.head, this.plot, this.list));
    this.host = host;
  }

  /** @param {Float64Array} now totals of all pictures */
  draw(now) {
    const { lab } = this;
    const { pairs } = lab;
    const found = flipped(pairs, lab.startTotals, now);
    const whole = pairs.length / 2;
    this.head.parentElement?.setAttribute("data-flipped", String(found.length));
    this.head.parentElement?.setAttribute("data-pairs", String(whole));
    if (!whole) {
      fill(this.head, el("h2", null, "Which pairs change places"));
      fill(this.plot, el("p", { class: "meta muted" }, lab.problem ? "The mix cannot be worked out; the left side says why." : "A pair needs two pictures of one prompt that every reward of the mix has a value for."));
      fill(this.list);
      return;
    }
    const term = lab.mix.terms.find((one) => one.reward_id === lab.moved) ?? lab.active[0];
    const name = lab.row(term)?.name ?? "";
    const from = lab.startWeights.get(term.reward_id) ?? term.weight;
    fill(this.head, el("h2", { class: "nowrap", "data-testid": "flip-count" }, `${fmt.int(found.length)} of ${fmt.count(whole, "pair")} change places`), el("span", { class: "meta muted clip grow", translate: "no" }, found.length ? `${name} ${num(from)} → ${num(term.weight)}` : ""),
      button("Count from here", { size: "sm", testid: "flip-begin", disabled: !found.length, onclick: () => { lab.begin(); lab.drawMix(); } }));
    this.drawCurve(term, name, from);
    this.drawPairs(found, now);
  }

  drawCurve(term, name, from) {
    const { lab } = this;
    const at = lab.summed.indexOf(term);
    if (at < 0) { fill(this.plot, el("p", { class: "meta muted" }, lab.mix.combine === "pareto" ? "With fronts no weight counts, so there is no curve." : `${name} is no part of the sum, so it has no weight to move.`)); return; }
    const most = Math.max(MOST, 2 * Math.abs(from));
    const grid = Array.from({ length: POINTS }, (_, i) => (most * i) / (POINTS - 1));
    const asked = [...grid, from * (1 - TENTH), from * (1 + TENTH)];
    const shares = this.sharesOf(at, asked);
    const [less, more] = shares.slice(POINTS);
    const width = Math.max(280, (this.host.clientWidth || 640) - 32);
    const chart = lineChart({ label: `Share of pairs that change places, by the weight of ${name}`, width, height: HEIGHT, xMax: POINTS - 1, right: 12, range: [0, 10], cursor: Math.round((term.weight / most) * (POINTS - 1)), signed: false,
      series: [{ name: "flipped", points: grid.map((_, i) => [i, 100 * shares[i]]), colour: rewardColour(lab.mix.terms.indexOf(term)) }], onPick: (step) => this.pick(term, grid[step]) });
    for (const text of chart.querySelectorAll("text")) if (Number(text.getAttribute("y")) > HEIGHT - FOOT) text.remove(); // its steps are no weights
    const ticks = el("div", { class: "lab-ticks micro faint", "aria-hidden": "true" }, [0, 0.25, 0.5, 0.75, 1].map((share) => el("span", null, num(most * share))));
    fill(this.plot, el("div", { class: "chart-h" }, el("b", { class: "clip", translate: "no" }, name), el("span", { class: "muted nowrap" }, "% of pairs by its weight"), el("span", { class: "grow" }), el("span", { class: "muted nowrap", "data-testid": "tenth", "data-less": less, "data-more": more }, `A tenth less ${points(less)} %, a tenth more ${points(more)} %`)), chart, ticks);
  }

  /** The curve of a weight, which its own value does not change: worked out when something else did. @param {number} at @param {number[]} asked */
  sharesOf(at, asked) {
    const { lab } = this;
    const others = lab.weights.map((weight, k) => (k === at ? "moved" : weight)).join(" ");
    const known = this.known;
    if (known && known.others === others && known.pairs === lab.pairs && known.start === lab.startTotals) return known.shares;
    const shares = curve(lab.pairs, lab.startTotals, lab.columns, lab.weights, at, asked);
    this.known = { others, pairs: lab.pairs, start: lab.startTotals, shares };
    return shares;
  }

  /** @param {any} term @param {number} weight */
  pick(term, weight) {
    this.lab.weigh(term, Number(weight.toFixed(2)));
    this.lab.mixPanel.draw();
  }

  drawPairs(found, now) {
    const { lab } = this;
    const { startTotals: before, pairs } = lab;
    const apart = (p, of) => of[pairs[2 * p]] - of[pairs[2 * p + 1]];
    const strongest = [...found].sort((a, b) => Math.abs(apart(b, now)) - Math.abs(apart(a, now))).slice(0, SHOWN);
    const judged = new Map(lab.values.judged.flatMap(([i, j, won]) => [[`${i} ${j}`, won ? i : j], [`${j} ${i}`, won ? i : j]]));
    fill(this.list, strongest.map((p) => {
      const [i, j] = [pairs[2 * p], pairs[2 * p + 1]];
      const [up, down] = now[i] > now[j] ? [i, j] : [j, i];
      const chosen = judged.get(`${i} ${j}`);
      return el("div", { class: "lab-pair", "data-testid": "flip", "data-up": lab.values.ids[up], "data-down": lab.values.ids[down] },
        lab.thumb(up, el("span", { class: "pos" }, num(now[up] - now[down], 2, { sign: true }))), lab.thumb(down, el("span", { class: "faint" }, `was ${num(before[up] - before[down], 2, { sign: true })}`)),
        chosen === undefined ? null : el("p", { class: `micro ${chosen === up ? "ok" : "warn"}` }, chosen === up ? "as people chose" : "against people"));
    }), found.length > strongest.length && el("p", { class: "meta muted" }, `The ${strongest.length} that now stand furthest apart.`));
  }
}
