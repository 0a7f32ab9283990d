/** Samples on fixed prompts from step 0: rows are prompts, columns are evaluated steps, the chosen one outlined. */

import { el, fill, kept } from "/static/js/lib.js";
import { mainReward } from "/static/js/run_charts.js";
import { advantageClass, num } from "/static/js/svg.js";

/** @typedef {import("/static/js/run_state.js").RunState} RunState */

const CELL = 112;

/**
 * Which evaluations stand in the grid: the base, the chosen one, and others evenly between.
 * @param {RunState} state @param {number} room
 */
function shownSteps(state, room) {
  const all = state.evaluations.filter((e) => e.samples.length).map((e) => e.step);
  const chosen = state.evaluationAt(state.step)?.step ?? all[0];
  if (all.length <= room) return { steps: all, chosen };
  const upto = all.filter((step) => step <= chosen);
  const pool = upto.length >= room ? upto : all;
  const picked = new Set([all[0], chosen]);
  for (let i = 1; picked.size < room && i < pool.length; i += 1) {
    picked.add(pool[Math.round((i * (pool.length - 1)) / Math.max(1, room - 1))] ?? chosen);
  }
  return { steps: [...picked].sort((a, b) => a - b), chosen };
}

/** @param {RunState} state @param {HTMLElement} host @param {(step: number) => void} onChoose @param {string} [reward] */
export function drawSamples(state, host, onChoose, reward) {
  const name = reward ?? mainReward(state);
  const room = Math.max(2, Math.min(8, Math.floor((host.clientWidth - 240) / CELL)));
  const { steps, chosen } = shownSteps(state, room);
  const byStep = new Map(state.evaluations.map((e) => [e.step, e]));
  const first = byStep.get(steps[0]);
  if (!first) {
    return fill(host, el("div", { class: "sec" }, el("h2", null, "Fixed prompts"),
      el("p", { class: "meta muted", style: "margin-top:4px" }, "Pictures of the base appear here when the first evaluation ends.")));
  }
  const head = el("tr", null, el("th", null, el("span", { class: "row" }, el("h2", null, "Fixed prompts"), chosen !== state.step && state.steps.length
    ? el("span", { class: "meta muted nowrap", "data-testid": "samples-of", title: `Nothing was drawn at step ${state.step}.` }, `of step ${chosen}, nearest to ${state.step}`) : null)),
    steps.map((step) => el("th", { class: step === chosen ? "now" : "" }, step === 0 ? "step 0, base" : String(step))));
  const rows = first.samples.map((sample, row) => {
    const value = (/** @type {number} */ step) => byStep.get(step)?.samples[row]?.rewards?.[name] ?? null;
    const [from, to] = [value(0), value(chosen)];
    const gain = from === null || to === null ? null : to - from;
    return el("tr", null,
      el("th", { scope: "row" }, el("span", { translate: "no" }, sample.prompt), el("span", { class: "faint" }, `seed ${sample.seed} · `,
        el("b", { class: advantageClass(gain), title: `${kept(name)}, change from step 0` }, num(gain, 2, { sign: true })))),
      steps.map((step) => picture(byStep.get(step)?.samples[row], step, step === chosen, value(step), name, onChoose)));
  });
  return fill(host, el("table", { class: "smp", "data-testid": "sample-grid" }, el("thead", null, head), el("tbody", null, rows)));
}

function picture(sample, step, now, value, name, onChoose) {
  if (!sample) return el("td", null, el("span", { class: "gone", title: "This evaluation kept no picture of this prompt." }, "not made"));
  const image = el("img", {
    src: sample.url, width: 64, height: 64, alt: `step ${step}: ${sample.prompt}`, loading: "lazy",
    onload: (e) => e.target.classList.toggle("px", e.target.naturalWidth <= 128),
  });
  return el("td", { class: now ? "now" : "" }, el("button", {
    class: "shot-button", onclick: () => onChoose(step), "data-step": step, "aria-pressed": String(now), title: `Show step ${step}`,
  }, image, el("span", { class: "micro faint", translate: value === null ? null : "no", title: value === null ? `${kept(name)} said nothing about this picture.` : name }, num(value, 2))));
}

