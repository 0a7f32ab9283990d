/** The step scrubber: one slider that charts, samples, numbers and links all follow. */

import { svg, ticks } from "/static/js/svg.js";

const EDGE = 8;

/**
 * @param {{onChoose: (step: number|null) => void}} options  null: follow the newest step
 * @returns {{node: HTMLElement, draw: (state: {width: number, max: number, done: number, step: number, following: boolean,
 *            checkpoints: number[], alarms: {step: number, text: string}[], marks?: {step: number, text: string}[]}) => void}}
 */
export function scrubber({ onChoose }) {
  const node = document.createElement("div");
  node.className = "scr";
  node.dataset.testid = "step-scrubber";
  node.tabIndex = 0;
  node.setAttribute("role", "slider");
  node.setAttribute("aria-label", "Step");
  let now = { width: 800, max: 1, done: 0, step: 0, following: true, checkpoints: [], alarms: [] };

  const choose = (/** @type {number} */ step) => {
    const inside = Math.max(0, Math.min(now.done, Math.round(step)));
    onChoose(inside >= now.done ? null : inside);
  };
  const stepAt = (/** @type {PointerEvent} */ event) => {
    const box = node.getBoundingClientRect();
    const pad = Number.parseFloat(getComputedStyle(node).paddingLeft) || 0;
    return ((event.clientX - box.left - pad - EDGE) / (now.width - 2 * EDGE)) * now.max;
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    node.setPointerCapture(event.pointerId);
    choose(stepAt(event));
  });
  node.addEventListener("pointermove", (event) => { if (node.hasPointerCapture(event.pointerId)) choose(stepAt(event)); });
  node.addEventListener("keydown", (event) => {
    const by = event.shiftKey ? 10 : 1;
    /** @type {Record<string, number>} */
    const to = { ArrowLeft: now.step - by, ArrowDown: now.step - by, ArrowRight: now.step + by, ArrowUp: now.step + by,
      PageDown: now.step - 10, PageUp: now.step + 10, Home: 0, End: now.done };
    if (!(event.key in to)) return;
    event.preventDefault();
    event.stopPropagation();
    choose(to[event.key]);
  });

  function draw(state) {
    now = state;
    const x = (/** @type {number} */ step) => EDGE + (step / Math.max(1, state.max)) * (state.width - 2 * EDGE);
    node.setAttribute("aria-valuemin", "0");
    node.setAttribute("aria-valuemax", String(state.done));
    node.setAttribute("aria-valuenow", String(state.step));
    node.setAttribute("aria-valuetext", `step ${state.step} of ${state.max}${state.following ? ", newest" : ""}`);
    const root = svg("svg", { class: "ch", width: state.width, height: 40, "aria-hidden": "true" },
      svg("path", { d: `M${EDGE} 20H${state.width - EDGE}`, style: "stroke:var(--line);stroke-width:4;stroke-linecap:round" }),
      state.done > 0 ? svg("path", { d: `M${EDGE} 20H${x(state.done).toFixed(1)}`, style: "stroke:var(--line-control);stroke-width:4;stroke-linecap:round" }) : null);
    for (const step of ticks(0, state.max, Math.max(2, Math.round(state.width / 150))).ticks.filter(Number.isInteger)) {
      const anchor = step === 0 ? "start" : step > state.max * 0.98 ? "end" : "middle";
      root.append(svg("text", { x: x(step).toFixed(1), y: 38, "text-anchor": anchor }, String(step)));
    }
    for (const step of thinned(state.checkpoints, state.max, state.width)) {
      const at = x(step);
      root.append(svg("path", { d: `M${at - 4} 4h8v9l-4-3-4 3z`, style: "fill:var(--muted)" }, svg("title", {}, `checkpoint at ${step}`)));
    }
    for (const alarm of state.alarms) {
      const at = x(alarm.step);
      root.append(svg("path", { d: `M${at} 3l6 10h-12z`, style: "fill:var(--warn)" }, svg("title", {}, alarm.text)));
    }
    for (const mark of state.marks ?? []) {
      root.append(svg("path", { d: `M${x(mark.step)} 24l4 4-4 4-4-4z`, style: "fill:var(--muted)" }, svg("title", {}, mark.text)));
    }
    root.append(svg("rect", {
      class: "thumb", x: (x(state.step) - 5).toFixed(1), y: 11, width: 10, height: 18, rx: 3,
      style: "fill:var(--panel);stroke:var(--accent);stroke-width:2", "data-step": state.step,
    }));
    node.replaceChildren(root);
  }
  return { node, draw };
}

/** As many flags as stand apart; the newest always stays. */
function thinned(steps, max, width) {
  const room = (12 * Math.max(1, max)) / width;
  const out = [];
  for (const step of [...steps].sort((a, b) => b - a)) if (!out.length || out.at(-1) - step >= room) out.push(step);
  return out;
}
