/**
 * Draws a rollout tree, grown or planned. Time runs right with σ on top, steps that draw noise are wide, an explored
 * edge is coloured and thick by its advantage (dotted where nothing is learned from it), the strides that finish a
 * path are solid and dashed, and each path ends in its pictures.
 */

import { advantage, advantageClass, advantageColour, num, svg } from "./svg.js";
import { makeWalkable } from "./tree_walk.js";
import { forksOf, fromGroups, isTip, isTrunk, layout, leavesOf, summary, tipsOf, worth } from "./tree_model.js";

/** @typedef {import("./tree_model.js").Node} Node @typedef {import("./tree_model.js").Model} Model */

const WIDTH = 472;
const LEFT = 22;
const HEAD = 34;
const FOOT = 14;
const PITCH = 39;
const TILE = 32;
const STRIDE = 36;
const FOLD_ABOVE = 32;
/** A step that draws noise is at most so wide, so that the others are seen. */
const WIDE = 88;
/** Of a picture that only values a latent, under its node. */
const VALUED = 26;

/**
 * The tree of stored groups.
 * @param {{groups: any[], selected?: {group: number, leaf: number}|null,
 *          onSelect?: (group: number, leaf: number) => void, onLook?: (node: Node|null) => void, room?: number, width?: number}} input
 *   room: height there is; onLook: a node is pointed at or has the focus
 * @returns {SVGElement}
 */
export function drawTree({ groups, selected = null, onSelect, onLook, room = 0, width = WIDTH }) {
  const tree = fromGroups(groups);
  const by = new Map(groups.map((group) => [group.id, group]));
  const tips = Math.min(tree.roots.flatMap(tipsOf).length, FOLD_ABOVE) || 1;
  const valued = tree.nodes.some((n) => n.completes);
  const place = columns(tree, width, 74 + STRIDE * Math.max(1, tree.strides.length));
  const small = Math.max(8, Math.min(VALUED, place.step - 3));
  const pitch = valued ? Math.max(PITCH, small + 22) : Math.max(TILE + 3, Math.min(PITCH, room ? (room - HEAD - 76) / tips : PITCH));
  const { shown, bottom } = layout(tree, { top: HEAD + 22, pitch, gap: 6, trunkGap: 47, foldAbove: FOLD_ABOVE });
  const height = bottom + (valued ? small - 8 : 0);
  const root = frame(tree, place, width, height, `Rollout tree of one prompt: ${summary(tree)}`, "rollout-tree");
  drawHead(root, tree, place, height, { tiles: valued ? "reward" : "A", width });
  drawLines(root, shown, place, (n) => ({ colour: n.trained ? advantageColour(n.advantage) : "var(--line-control)", width: n.trained ? Math.min(4, 1.5 + 1.4 * Math.abs(n.advantage ?? 0)) : 1.25, title: said(n) }));
  const tile = (n, x, y, size) => leafTile(n, by.get(n.record.group), x, y, size, selected, onSelect);
  for (const n of shown) {
    if (n.completes) root.append(...valuedTile(n, place, small, tile));
    if (!isTip(n)) continue;
    for (const leaf of leavesOf(n)) root.append(tile(leaf, place.end + 4 + STRIDE * tree.strides.indexOf(leaf.stride), n.y - TILE / 2, TILE));
    if (valued) { root.append(svg("text", { x: width - 2, y: n.y + 4, "text-anchor": "end", class: "lab", style: "font-weight:600" }, num(total(leavesOf(n)[0]), 2))); continue; }
    const a = worth(n);
    const tone = { pos: "var(--adv-pos-text)", neg: "var(--adv-neg-text)", muted: "var(--muted)" }[advantageClass(a)];
    root.append(svg("text", { x: width - 2, y: n.y + 4, "text-anchor": "end", style: `fill:${tone};font-weight:600` }, advantage(a)));
    if (n.hidden) root.append(svg("text", { x: width - 2, y: n.y + 19, "text-anchor": "end" }, `${n.hidden} more between`));
  }
  if (onLook) makeWalkable(root, shown, { at: (n) => (n.completes ? [place.x[n.parent?.step ?? 0], n.y + 10 + small / 2] : n.leaf && n.parent ? [place.end + 4 + TILE / 2 + STRIDE * tree.strides.indexOf(n.stride), n.y] : [place.x[n.step], n.y]), selected, onSelect, onLook });
  return root;
}

/**
 * The tree of a plan, before anything has been grown.
 * @param {Model} tree
 * @param {{width: number, sometimes: number[], say: (step: number) => string, more: number}} options
 *   sometimes: steps that explore for other prompts or in other updates; say: what a step does; more: paths not drawn
 */
export function drawPlan(tree, { width, sometimes, say, more }) {
  const tips = tree.roots.flatMap(tipsOf).length;
  const valued = tree.nodes.some((n) => n.completes);
  const place = columns(tree, width, 74, sometimes);
  const pitch = valued ? 15 : tips > 48 ? 4 : tips > 20 ? 6 : 9;
  const { shown, bottom } = layout(tree, { top: HEAD + 12, pitch, gap: 6, trunkGap: 20, foldAbove: 64 });
  const height = bottom + FOOT;
  const root = frame(tree, place, width, height, `Plan of one prompt's tree: ${summary(tree)}`, "plan-tree");
  drawHead(root, tree, place, height, { tiles: "", width, sometimes, say });
  drawLines(root, shown, place, (n) => ({ colour: n.trained ? "var(--text)" : "var(--line-control)", width: 1.25, title: "" }));
  for (const n of shown) {
    if (n.completes) {
      const x = place.x[n.parent?.step ?? 0];
      root.append(svg("path", { class: "ode", d: `M${x} ${n.y + 2}v3` }), svg("rect", { x: x - 1.5, y: n.y + 5, width: 3, height: 3, style: "fill:var(--line-control)" }));
    }
    if (!isTip(n)) continue;
    leavesOf(n).forEach((leaf, i) => root.append(svg("rect", { x: place.end + 3 + 7 * i, y: n.y - 2, width: 4, height: 4, class: "end", "data-stride": leaf.stride })));
    if (n.hidden) root.append(svg("text", { x: place.end + 10 + 7 * tree.strides.length, y: n.y + 4 }, `+ ${n.hidden}`));
  }
  const words = [`${tips + more} ${tips + more === 1 ? "path" : "paths"}`, ...(tree.strides.length > 1 ? [`strides ${tree.strides.join(", ")}`] : [])];
  words.forEach((word, i) => root.append(svg("text", { x: width - 2, y: 10 + 14 * i, "text-anchor": "end", class: i ? null : "lab" }, word)));
  return root;
}

/** Σ w·raw of a picture, in its rewards' units. @param {Node} leaf */
function total(leaf) {
  const known = Object.values(leaf?.record?.rewards ?? {}).filter((part) => Number.isFinite(part.raw) && Number.isFinite(part.weight));
  return known.length ? known.reduce((sum, part) => sum + part.weight * part.raw, 0) : null;
}

function frame(tree, place, width, height, label, testid) {
  return svg("svg", { class: "tree", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, "data-testid": testid, "data-paths": tree.roots.flatMap(tipsOf).length, "data-explored": [...tree.explored].sort((a, b) => a - b).join(" ") });
}

/** Where each step stands: those that draw noise wide, the others narrow. */
function columns(tree, width, right, sometimes = []) {
  const noisy = new Set([...tree.explored, ...sometimes]);
  const end = width - right;
  const room = end - LEFT;
  const quiet = tree.last - noisy.size;
  const least = Math.min(16, room / tree.last);
  const wide = !quiet ? room / noisy.size : Math.min(WIDE, (room - least * quiet) / (noisy.size || 1));
  const narrow = quiet ? (room - wide * noisy.size) / quiet : 0;
  const x = [LEFT];
  for (let step = 0; step < tree.last; step += 1) x.push(x[step] + (noisy.has(step) ? wide : narrow));
  return { x, end, step: noisy.size ? wide : narrow };
}

function drawHead(root, tree, place, height, { tiles, width, sometimes = [], say = null }) {
  const { x } = place;
  root.append(svg("text", { x: 4, y: 10, class: "lab" }, "σ"));
  let written = -Infinity;
  const important = new Set([0, ...tree.roots.flatMap(forksOf).map((fork) => fork.step)]);
  for (let step = 0; step <= tree.last; step += 1) {
    root.append(svg("path", { class: "grid", d: `M${x[step].toFixed(1)} 30V${height - FOOT}` }));
    if (step < tree.last) drawStep(root, tree, x, step, height, sometimes, say);
    const sigma = tree.sigmaAt(step);
    if (sigma === null) continue;
    const text = sigma === 0 ? "0" : sigma >= 0.995 ? "1" : num(sigma, 2);
    const half = text.length * 3.2;
    const next = x[step + 1] ?? Infinity;
    if (x[step] - half < written || (!important.has(step) && important.has(step + 1) && next - x[step] < half + 12)) continue;
    root.append(svg("text", { x: x[step].toFixed(1), y: 24, "text-anchor": "middle" }, text));
    written = x[step] + half;
  }
  for (const [at, word] of noisy(tree, x)) root.append(svg("text", { x: at, y: 10, class: "lab" }, word));
  if (!tiles) return;
  if (tree.strides.some((stride) => stride !== 1)) {
    root.append(svg("text", { x: place.end + 4, y: 10, class: "lab" }, "stride"));
    tree.strides.forEach((stride, i) => root.append(svg("text", { x: place.end + 20 + STRIDE * i, y: 24, "text-anchor": "middle" }, String(stride))));
  }
  root.append(svg("text", { x: width - 2, y: 10, class: "lab", "text-anchor": "end" }, tiles));
}

/** A step's column: a bar on top where it draws noise, and its sentence under the pointer. */
function drawStep(root, tree, x, step, height, sometimes, say) {
  const now = tree.explored.has(step);
  if (now || sometimes.includes(step)) root.append(svg("path", { d: `M${(x[step] + 1).toFixed(1)} 30H${(x[step + 1] - 1).toFixed(1)}`, style: `stroke:var(--${now ? "text" : "line-control"});stroke-width:2${now ? "" : ";stroke-dasharray:2 2"}`, fill: "none" }));
  const words = say ? say(step) : `step ${step}, σ ${num(tree.sigmaAt(step), 3)} → ${num(tree.sigmaAt(step + 1), 3)}${now ? ", draws noise" : ", without noise"}`;
  root.append(svg("rect", { class: "step", x: x[step], y: 12, width: Math.max(1, x[step + 1] - x[step]), height: Math.max(0, height - 12), "data-step": step }, svg("title", {}, words)));
}

/** Words over the steps that draw noise: "fork 1", "noise 2–5". */
function noisy(tree, x) {
  const forks = new Set(tree.roots.flatMap(forksOf).filter((fork) => fork.children.length > 1).map((fork) => fork.step));
  const eta = tree.nodes.find((n) => n.explored && n.record?.eta)?.record.eta;
  const words = [];
  const steps = [...tree.explored].sort((a, b) => a - b);
  let free = -Infinity;
  for (let i = 0; i < steps.length;) {
    let j = i;
    while (j + 1 < steps.length && steps[j + 1] === steps[j] + 1 && !(forks.has(steps[j + 1]) && forks.has(steps[j]))) j += 1;
    const text = i === j && forks.has(steps[i]) ? `fork ${steps[i]}` : i === j ? `noise ${steps[i]}` : `noise ${steps[i]}–${steps[j]}`;
    const word = eta && !words.length ? `${text} · η ${num(eta, 2)}` : text;
    const at = Math.max(x[steps[i]] + 6, free);
    words.push(/** @type {[number, string]} */ ([at, word]));
    free = at + word.length * 6 + 8;
    i = j + 1;
  }
  return words.filter(([at, word]) => at + word.length * 6 < x[tree.last] + 30);
}

/** @param {(n: Node) => {colour: string, width: number, title: string}} look */
function drawLines(root, shown, { x, end }, look) {
  const set = new Set(shown);
  const forked = (n) => n.children.filter((c) => c.explored && c.step - 1 === n.step && set.has(c)).length > 1;
  for (const n of shown) {
    if (n.parent === null && isTrunk(n)) root.append(svg("path", { class: "trunk", d: `M${x[n.step]} ${n.y}H${x[Math.max(...forksOf(n).map((f) => f.step))]}` }));
    else if (n.parent && !n.leaf && !n.explored && n.y === n.parent.y && !onTrunk(n)) root.append(svg("path", { class: "trunk", d: `M${x[n.parent.step]} ${n.y}H${x[n.step]}` }));
    if (isTip(n) && !n.leaf) {
      leavesOf(n).forEach((leaf, i, all) => root.append(svg("path", { class: leaf.stride > 1 ? "ode s2" : "ode", d: `M${x[n.step] + (n.explored ? 3 : 0)} ${n.y + (i - (all.length - 1) / 2) * Math.min(5, 3)}H${end}` })));
    }
  }
  for (const n of shown.filter((one) => one.explored)) root.append(...edge(n, x, look(n)));
  for (const n of shown) {
    const forks = forked(n);
    if (n.explored) root.append(svg("circle", { cx: x[n.step], cy: n.y, r: forks ? 3.5 : isTip(n) ? 3 : 2, style: `fill:${forks ? "var(--text)" : look(n).colour}` }));
    else if (!n.leaf) root.append(svg("circle", { class: "node", cx: x[n.step], cy: n.y, r: forks ? 5 : 2.5, style: forks ? "fill:var(--text);stroke:var(--text)" : null }));
  }
  for (const n of shown.filter((one) => one.parent === null && !one.leaf)) {  // forks whose own node was not stored
    for (const fork of forksOf(n).filter((f) => f.children.length > 1 && f.children.every((c) => c.parent === n) && f.step !== n.step)) root.append(svg("circle", { class: "node", cx: x[fork.step], cy: n.y, r: 5, style: "fill:var(--text);stroke:var(--text)" }));
  }
}

/** @param {Node} n */
function onTrunk(n) {
  let root = n;
  while (root.parent) root = root.parent;
  return isTrunk(root) && n.y === root.y;
}

/** The stretch without noise up to where an explored edge begins, and the edge. */
function edge(n, x, { colour, width, title }) {
  const from = n.parent;
  const [x0, x1] = [x[n.step - 1], x[n.step]];
  const y0 = from?.y ?? n.y;
  const w = x1 - x0;
  const d = Math.abs(y0 - n.y) < 0.5 ? `M${x0} ${n.y}H${x1}` : `M${x0} ${y0}C${x0 + 0.57 * w} ${y0} ${x0 + 0.34 * w} ${n.y} ${x1} ${n.y}`;
  const made = svg("path", { class: "ex", d, style: `stroke:${colour};stroke-width:${width.toFixed(2)}${n.trained ? "" : ";stroke-dasharray:2 2"}`, "data-advantage": n.advantage, "data-trained": String(n.trained) }, title ? svg("title", {}, title) : null);
  if (!from || from.step >= n.step - 1 || onTrunk(from)) return [made];
  const shared = from.children.filter((c) => c.explored).length > 1;
  return [svg("path", { class: shared ? "trunk" : "ode", d: `M${x[from.step]} ${y0}H${x0}` }), made];
}

const said = (n) => [`step ${n.step - 1}`, n.advantage === null ? "nothing learned" : `advantage ${advantage(n.advantage)}`, Number.isFinite(n.record?.ratio) && `ratio ${n.record.ratio.toFixed(3)}`, Number.isFinite(n.record?.log_prob) && `log-prob ${num(n.record.log_prob, 3)}`].filter(Boolean).join(", ");

function valuedTile(n, { x }, size, tile) {
  const at = x[n.parent?.step ?? 0];
  return [svg("path", { class: "ode", d: `M${at} ${n.y + 2}v8` }), tile(n, at - size / 2, n.y + 10, size)];
}

function leafTile(leaf, group, x, y, size, selected, onSelect) {
  const { idx, tile } = leaf.record;
  const chosen = selected && selected.group === group.id && selected.leaf === idx;
  const made = svg("g", { class: "leaf", "data-leaf": idx, "data-group": group.id, "data-completes": leaf.completes ? "" : null, onclick: onSelect ? () => onSelect(group.id, idx) : null });
  if (group.sheet_url && tile !== null) made.append(cropped(group.sheet_url, group.tiles, tile, x, y, size));
  else made.append(svg("rect", { x, y, width: size, height: size, fill: "none", style: "stroke:var(--line-control)", "stroke-dasharray": "3 3" }));
  if (chosen) made.append(svg("rect", { x: x - 2, y: y - 2, width: size + 4, height: size + 4, fill: "none", style: "stroke:var(--accent)", "stroke-width": 2 }));
  return made;
}

/** One tile of a strip inside an SVG. */
export function cropped(url, tiles, index, x, y, size) {
  const outer = svg("svg", { x, y, width: size, height: size, viewBox: `${index} 0 1 1`, preserveAspectRatio: "none" });
  outer.append(svg("image", { href: url, x: 0, y: 0, width: tiles, height: 1, preserveAspectRatio: "none" }));
  return outer;
}
