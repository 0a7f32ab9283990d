/**
 * Drawings of a plan before anything has been grown: the glyph on a recipe's card and the tree that
 * one prompt of a run will grow.
 */

import { num, svg } from "./svg.js";

/** trunk, explored edges (dark), tails, dashed tails */
const CHAINS = [[], ["M2 4h36M2 10h36M2 16h36M2 22h36"], [], []];
const SOLVED = [[], [], ["M2 4h32M2 10h32M2 16h32M2 22h32"], []];
const GLYPHS = {
  "flow-grpo": CHAINS,
  "grpo-guard": [[], ["M2 4h36M2 10h36M2 16h36M2 22h36M30 1v24"], [], []],
  "pref-grpo": [[], ["M2 4h26M2 10h26M2 16h26M2 22h26M28 4c5 0 5 6 0 6M28 16c5 0 5 6 0 6"], [], []],
  "dance-grpo": [[], ["M2 13c6 0 4-9 10-9h6M2 13c6 0 4-3 10-3h6M2 13c6 0 4 3 10 3h6M2 13c6 0 4 9 10 9h6M28 4h10M28 16h10"], ["M18 4h10M18 10h20M18 16h10M18 22h20"], []],
  "mix-grpo": [[], ["M12 4h12M12 10h12M12 16h12M12 22h12"], ["M2 4h10M2 10h10M2 16h10M2 22h10M24 4h14M24 10h14M24 16h14M24 22h14"], []],
  "dense-grpo": [[], ["M2 6h32M2 20h32"], [], ["M12 6c3 0 3 4 7 4h17M22 6c3 0 3 4 7 4", "M12 20c3 0 3-4 7-4h17M22 20c3 0 3-4 7-4"]],
  "branch-grpo": [["M2 13h6"], ["M8 13c4 0 2-7 7-7M8 13c4 0 2 7 7 7M22 6c4 0 2-4 7-4M22 6c4 0 2 4 7 4M22 20c4 0 2-4 7-4M22 20c4 0 2 4 7 4"], ["M15 6h7M15 20h7M29 2h9M29 10h9M29 16h9M29 24h9"], []],
  "tempflow": [["M2 13h36"], ["M6 13c4 0 2-10 8-10M6 13c4 0 2-5 8-5M18 13c4 0 2 5 8 5M18 13c4 0 2 10 8 10"], ["M14 3h24M14 8h24M26 18h12M26 23h12"], []],
  "diffusion-nft": [SOLVED[0], ["M34 4h4M34 10h4"], SOLVED[2], ["M34 16h4M34 22h4"]],
  "awm": [SOLVED[0], ["M34 4h4M34 10h4M34 16h4M34 22h4"], SOLVED[2], []],
  "best-of-n-sft": [SOLVED[0], ["M34 4h4M36 2v4"], SOLVED[2], []],
  "flow-dpo": [[], ["M6 7h11v11H6z"], [], ["M23 7h11v11H23z"]],
  "flow-rwr": [[], ["M4 5h22"], ["M4 11h16M4 17h10M4 23h5"], []],
  "g2rpo": [["M2 13h36"], ["M7 13c6 0 4-10 10-10M7 13c6 0 4-5 10-5M7 13c6 0 4 5 10 5M7 13c6 0 4 10 10 10"], ["M17 3h21M17 8h21"], ["M17 18h21M17 23h21"]],
};

/** The sign of a method: what its tree does, in 40 × 26. */
export function glyph(method) {
  const [trunk, explored, tails, dashed] = GLYPHS[method] ?? [["M2 13h36"], ["M7 13c6 0 4-8 10-8M7 13c6 0 4 8 10 8"], ["M17 5h21M17 21h21"], []];
  return svg("svg", { class: "gly", width: 40, height: 26, viewBox: "0 0 40 26", "aria-hidden": "true" },
    ...[...trunk, ...tails].map((d) => svg("path", { d })),
    ...explored.map((d) => svg("path", { d, class: "x" })),
    ...dashed.map((d) => svg("path", { d, "stroke-dasharray": "3 3" })));
}

/** The mark of an empty page: a trunk that forks into one thing made and one still to come. */
export function emptyMark() {
  return svg("svg", { width: 88, height: 44, viewBox: "0 0 88 44", fill: "none", style: "stroke:var(--line-control)", "stroke-width": 1.5, "aria-hidden": "true" },
    svg("path", { d: "M4 22h24c12 0 10-14 22-14h10M28 22c12 0 10 14 22 14h10" }),
    svg("rect", { x: 62, y: 1, width: 14, height: 14 }),
    svg("rect", { x: 62, y: 29, width: 14, height: 14, "stroke-dasharray": "3 3" }));
}

/**
 * @typedef {object} Plan
 * @property {number} steps      T
 * @property {number[]} sigmas   T + 1 values, or empty when they are not known
 * @property {number[]} forks    steps at which children leave the trunk; empty for chains
 * @property {number} children   a fork, or the number of chains
 * @property {number[]} strides
 */

const LEFT = 30;
const RIGHT = 92;

/** @param {Plan} plan @param {number} width @returns {SVGElement} */
export function planTree(plan, width = 750) {
  const lanes = plan.forks.length || 1;
  const shown = Math.min(plan.children, plan.forks.length > 4 ? 6 : 12);
  const lane = plan.forks.length ? Math.max(20, Math.min(26, shown * 2)) : plan.children * 8;
  const height = plan.forks.length ? 36 + lanes * (lane + 6) : 36 + lane;
  const x = spread(plan, width);
  const end = x[plan.steps];
  const root = svg("svg", { class: "tree plan", width, height: height + 6, viewBox: `0 0 ${width} ${height + 6}`, role: "img", "aria-label": sentence(plan) });
  drawAxis(root, plan, x, height);
  if (!plan.forks.length) return drawChains(root, plan, x, end, height);
  const order = [...plan.forks.keys()];
  const above = order.filter((i) => i % 2 === 0);
  const below = order.filter((i) => i % 2 === 1).reverse();
  let y = 8;
  const middle = 8 + above.length * (lane + 6) + 3;
  const draw = (i) => { drawFork(root, plan, i, x, middle, y, lane, shown, end); y += lane + 6; };
  above.forEach(draw);
  y += 8;
  below.forEach(draw);
  root.append(svg("path", { class: "trunk", d: `M${LEFT} ${middle}H${end}` }));
  x.forEach((at, step) => root.append(svg("circle", {
    class: "node", cx: at, cy: middle, r: plan.forks.includes(step) ? 5 : 2.5,
    style: plan.forks.includes(step) ? "fill:var(--text);stroke:var(--text)" : null,
  })));
  root.append(svg("text", { x: end + 8, y: middle + 4 }, "trunk"));
  return root;
}

function sentence(plan) {
  if (!plan.forks.length) return `Plan: ${plan.children} chains of ${plan.steps} explored steps`;
  return `Plan: a trunk of ${plan.steps} steps, forks at ${plan.forks.join(", ")}, ${plan.children} children each, strides ${plan.strides.join(", ")}`;
}

function spread(plan, width) {
  const room = width - LEFT - RIGHT;
  const explored = new Set(plan.forks.length ? plan.forks : [...Array(plan.steps).keys()]);
  const weights = [...Array(plan.steps).keys()].map((step) => (explored.has(step) ? 1.9 : 1));
  const total = weights.reduce((a, b) => a + b, 0);
  const x = [LEFT];
  weights.forEach((w, i) => x.push(x[i] + (w / total) * room));
  return x;
}

function drawAxis(root, plan, x, height) {
  root.append(svg("text", { x: 6, y: height + 2 }, "σ"));
  x.forEach((at, step) => {
    root.append(svg("path", { class: "grid", d: `M${at.toFixed(1)} 4V${height - 14}` }));
    const sigma = plan.sigmas[step];
    const text = sigma === undefined ? String(step) : sigma === 0 ? "0" : sigma >= 0.995 ? "1" : num(sigma, 2);
    root.append(svg("text", { x: at.toFixed(1), y: height + 2, "text-anchor": "middle" }, text));
  });
}

function drawChains(root, plan, x, end, height) {
  for (let i = 0; i < plan.children; i += 1) {
    const y = 10 + i * 8;
    root.append(svg("path", { d: `M${LEFT} ${y}H${end}`, fill: "none", style: "stroke:var(--text);stroke-width:1.25" }));
  }
  root.append(svg("text", { x: end + 8, y: Math.min(height / 2, 10 + plan.children * 4) }, `${plan.children} chains`));
  return root;
}

function drawFork(root, plan, index, x, middle, top, lane, shown, end) {
  const step = plan.forks[index];
  const [x0, x1] = [x[step], x[step + 1]];
  for (let i = 0; i < shown; i += 1) {
    const y = top + (lane * (i + 0.5)) / shown;
    const w = x1 - x0;
    root.append(
      svg("path", { d: `M${x0} ${middle}C${x0 + 0.57 * w} ${middle} ${x0 + 0.34 * w} ${y} ${x1} ${y}`, fill: "none", style: "stroke:var(--text);stroke-width:1" }),
      svg("path", { class: plan.strides.length > 1 && i % plan.strides.length ? "ode s2" : "ode", d: `M${x1} ${y}H${end}` }),
    );
  }
  root.append(svg("text", { x: end + 8, y: top + lane / 2 + 4, class: "lab" }, `fork ${step} × ${plan.children}`));
}
