/**
 * The rollout tree of one prompt: stored nodes in, SVG out. Time runs right with σ on top, explored
 * steps are drawn wide, an explored edge is coloured and thick by its advantage, the strides that
 * finish a branch are solid and dashed, and each branch ends in its tiles.
 */

import { advantage, advantageClass, advantageColour, num, svg } from "./svg.js";

/**
 * @typedef {object} TreeNode  a row of the store's rollout nodes
 * @property {number} idx
 * @property {number|null} parent
 * @property {"trunk"|"child"|"leaf"} kind
 * @property {number} step
 * @property {number} stride
 * @property {number} sigma
 * @property {number|null} eta
 * @property {number|null} advantage
 * @property {number|null} tile
 */

/**
 * @typedef {object} TreeGroup
 * @property {number} id
 * @property {number|null} fork_step
 * @property {string|null} sheet_url
 * @property {number} tiles
 * @property {string|null} [trunk_url]
 * @property {TreeNode[]} nodes
 * @property {{sigmas?: number[], eta?: number}} detail
 */

/**
 * @typedef {object} Branch  everything that grew out of one explored step
 * @property {number} group
 * @property {TreeNode[]} path     the nodes from the first explored one to the last
 * @property {TreeNode|null} from  the node the branch left
 * @property {TreeNode[]} leaves   by stride
 * @property {number} advantage
 * @property {number} y
 */

const WIDTH = 472;
const PITCH = 39;
const TILE = 32;
const HEAD = 34;
const FOLD_ABOVE = 32;

/**
 * @param {{groups: TreeGroup[], selected?: {group: number, leaf: number}|null,
 *          onSelect?: (group: number, leaf: number) => void, fold?: boolean, room?: number}} input  room: height there is
 * @returns {SVGElement}
 */
export function drawTree({ groups, selected = null, onSelect, fold = true, room = 0 }) {
  const sorted = [...groups].sort((a, b) => (a.fork_step ?? 0) - (b.fork_step ?? 0) || a.id - b.id);
  const forks = sorted.map((group) => ({ group, branches: branchesOf(group) }));
  const leaves = forks.reduce((sum, f) => sum + f.branches.length, 0);
  const folded = fold && leaves > FOLD_ABOVE ? forks.map(foldFork) : forks.map((f) => ({ ...f, hidden: 0 }));
  const strides = [...new Set(forks.flatMap((f) => f.branches.flatMap((b) => b.leaves.map((l) => l.stride))))].sort((a, b) => a - b);
  const shared = hasTrunk(forks);
  const place = columns(forks, strides.length);
  const many = folded.reduce((sum, f) => sum + f.branches.length, 0) || 1;
  const pitch = room ? Math.max(TILE + 3, Math.min(PITCH, (room - HEAD - 76) / many)) : PITCH;
  const { trunkY, height } = rows(folded, shared, pitch);
  const root = svg("svg", {
    class: "tree", width: WIDTH, height, viewBox: `0 0 ${WIDTH} ${height}`, role: "img",
    "aria-label": describe(forks, strides, shared), "data-testid": "rollout-tree",
  });
  drawHead(root, place, forks, strides, height, shared);
  for (const fork of folded) {
    for (const branch of fork.branches) drawBranch(root, branch, fork.group, place, trunkY, strides, selected, onSelect);
    if (fork.hidden) {
      const last = fork.branches.at(-1);
      root.append(svg("text", { x: WIDTH - 2, y: last.y + 19, "text-anchor": "end" }, `${fork.hidden} more between`));
    }
  }
  if (shared) drawTrunk(root, forks, place, trunkY);
  return root;
}

/** Groups the leaves of a stored group by the explored step they grew out of. */
export function branchesOf(group) {
  const byIdx = new Map(group.nodes.map((node) => [node.idx, node]));
  const branches = new Map();
  for (const leaf of group.nodes.filter((node) => node.kind === "leaf")) {
    const path = [];
    let at = leaf.parent === null ? null : byIdx.get(leaf.parent) ?? null;
    while (at && at.kind !== "trunk") {
      if (at.kind === "child") path.unshift(at);
      at = at.parent === null ? null : byIdx.get(at.parent) ?? null;
    }
    const key = path.length ? path.map((n) => n.idx).join(".") : `leaf${leaf.idx}`;
    const branch = branches.get(key) ?? { group: group.id, path, from: at, leaves: [], advantage: 0, y: 0 };
    branch.leaves.push(leaf);
    branches.set(key, branch);
  }
  const out = [...branches.values()];
  for (const branch of out) {
    branch.leaves.sort((a, b) => a.stride - b.stride);
    branch.advantage = branch.path.at(-1)?.advantage ?? mean(branch.leaves.map((l) => l.advantage));
  }
  return out.sort((a, b) => (b.advantage ?? 0) - (a.advantage ?? 0));
}

const mean = (values) => {
  const known = values.filter((v) => v !== null && v !== undefined);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
};

/** One trunk node a step means one trunk; many at step 0 mean chains that share nothing. */
function hasTrunk(forks) {
  const origins = forks.map((f) => new Set(f.branches.map((b) => b.from?.idx)));
  return forks.some((f) => f.branches.length > 0) && forks.every((f, i) => origins[i].size === 1 && f.branches.every((b) => b.from !== null));
}

function foldFork({ group, branches }) {
  if (branches.length <= 3) return { group, branches, hidden: 0 };
  const kept = [branches[0], branches[Math.floor(branches.length / 2)], branches.at(-1)];
  return { group, branches: kept, hidden: branches.length - kept.length };
}

/** Where each step stands: explored intervals wide, the others narrow. */
function columns(forks, strides) {
  const sigmas = forks[0]?.group.detail?.sigmas ?? [];
  const nodes = forks.flatMap((f) => f.group.nodes);
  const last = Math.max(sigmas.length - 1, ...nodes.map((n) => n.step), 1);
  const explored = new Set();
  for (const { branches } of forks) for (const b of branches) for (const node of b.path) explored.add(node.step - 1);
  const end = WIDTH - 74 - 36 * Math.max(1, strides);
  const narrowest = Math.min(16, (end - 22) / last);
  const wide = explored.size ? Math.min(88, (end - 22 - narrowest * (last - explored.size)) / explored.size) : narrowest;
  const narrow = last > explored.size ? Math.min(40, (end - 22 - wide * explored.size) / (last - explored.size)) : 0;
  const x = [22];
  for (let step = 0; step < last; step += 1) x.push(x[step] + (explored.has(step) ? wide : narrow));
  const sigmaAt = (/** @type {number} */ step) => sigmas[step] ?? nodes.find((n) => n.step === step)?.sigma ?? null;
  return { x, last, explored, tileX: end + 4, sigmaAt };
}

/** Gives every branch its height: the earliest forks outermost, the trunk between. */
function rows(forks, shared, pitch) {
  let y = HEAD + 22;
  let trunkY = y;
  const run = (/** @type {Branch[]} */ list) => { for (const branch of list) { branch.y = y; y += pitch; } };
  const trunkRow = () => { if (shared) { trunkY = y + 4; y += PITCH + 8; } };
  if (forks.length === 1) {
    const half = Math.ceil(forks[0].branches.length / 2);
    run(forks[0].branches.slice(0, half));
    trunkRow();
    run(forks[0].branches.slice(half));
  } else {
    forks.filter((_, i) => i % 2 === 0).forEach((f) => { run(f.branches); y += 6; });
    trunkRow();
    forks.filter((_, i) => i % 2 === 1).reverse().forEach((f) => { run(f.branches); y += 6; });
  }
  return { trunkY, height: y };
}

function describe(forks, strides, shared) {
  const children = forks[0]?.branches.length ?? 0;
  if (!shared) return `Rollout tree of one prompt: ${children} chains, every one from its own start`;
  const at = forks.map((f) => f.group.fork_step).filter((s) => s !== null).join(", ");
  return `Rollout tree of one prompt: a trunk, ${forks.length === 1 ? "a fork" : `${forks.length} forks`} at step ${at}, ${children} children each, finished at stride ${strides.join(" and ")}`;
}

function drawHead(root, place, forks, strides, height, shared) {
  root.append(svg("text", { x: 4, y: 10, class: "lab" }, "σ"));
  let written = -Infinity;
  const forkSteps = new Set(forks.map((f) => f.group.fork_step));
  for (let step = 0; step <= place.last; step += 1) {
    const x = place.x[step];
    root.append(svg("path", { class: "grid", d: `M${x.toFixed(1)} 30V${height - 14}` }));
    const sigma = place.sigmaAt(step);
    const next = place.x[step + 1] ?? Infinity;
    const important = step === 0 || forkSteps.has(step);
    if (sigma === null) continue;
    const text = sigma === 0 ? "0" : sigma >= 0.995 ? "1" : num(sigma, 2);
    const half = text.length * 3.2;
    if (x - half < written || (!important && forkSteps.has(step + 1) && next - x < half + 12)) continue;
    root.append(svg("text", { x: x.toFixed(1), y: 24, "text-anchor": "middle" }, text));
    written = x + half;
  }
  if (shared) {
    let from = -Infinity;
    for (const { group } of forks) {
      const at = Math.max(place.x[group.fork_step ?? 0] + 6, from);
      const eta = group.detail?.eta ?? group.nodes.find((n) => n.eta)?.eta;
      root.append(svg("text", { x: at, y: 10, class: "lab" }, `fork ${group.fork_step}${eta ? ` · η ${num(eta, 2)}` : ""}`));
      from = at + 74;
    }
  }
  root.append(svg("text", { x: place.tileX, y: 10, class: "lab" }, "stride"));
  strides.forEach((stride, i) => root.append(
    svg("text", { x: place.tileX + 16 + 36 * i, y: 24, "text-anchor": "middle" }, String(stride))));
  root.append(svg("text", { x: WIDTH - 2, y: 10, class: "lab", "text-anchor": "end" }, "A"));
}

function drawBranch(root, branch, group, place, trunkY, strides, selected, onSelect) {
  const { x } = place;
  const start = branch.path[0];
  let at = start ? start.step - 1 : 0;
  branch.path.forEach((node, i) => {
    const colour = advantageColour(node.advantage);
    const width = Math.min(4, 1.5 + 1.4 * Math.abs(node.advantage ?? 0));
    const [x0, x1] = [x[node.step - 1], x[node.step]];
    const y0 = i === 0 && branch.from && branch.from.kind === "trunk" && trunkY !== null && branchLeavesTrunk(branch, group) ? trunkY : branch.y;
    const w = x1 - x0;
    const d = y0 === branch.y
      ? `M${x0} ${branch.y}H${x1}`
      : `M${x0} ${y0}C${x0 + 0.57 * w} ${y0} ${x0 + 0.34 * w} ${branch.y} ${x1} ${branch.y}`;
    root.append(
      svg("path", { class: "ex", d, style: `stroke:${colour};stroke-width:${width.toFixed(1)}`, "data-advantage": node.advantage }),
      svg("circle", { cx: x1, cy: branch.y, r: branch.path.length > 1 ? 2 : 3, style: `fill:${colour}` }),
    );
    at = node.step;
  });
  branch.leaves.forEach((leaf, i) => {
    const offset = (i - (branch.leaves.length - 1) / 2) * 5;
    if (at < place.last) {
      const cls = leaf.stride > 1 ? "ode s2" : "ode";
      root.append(svg("path", { class: cls, d: `M${x[at] + 3} ${branch.y + offset}H${place.tileX - 5}` }));
    }
    root.append(leafTile(leaf, group, place.tileX + 36 * strides.indexOf(leaf.stride), branch.y - TILE / 2, selected, onSelect));
  });
  const a = branch.advantage;
  const tone = { pos: "var(--adv-pos-text)", neg: "var(--adv-neg-text)", muted: "var(--muted)" }[advantageClass(a)];
  root.append(svg("text", { x: WIDTH - 2, y: branch.y + 4, "text-anchor": "end", style: `fill:${tone};font-weight:600` }, advantage(a)));
}

/** Chains each start at their own root; children of a fork all leave one trunk node. */
function branchLeavesTrunk(branch, group) {
  const origins = new Set(group.nodes.filter((n) => n.kind === "trunk" && n.step === branch.from?.step).map((n) => n.idx));
  return origins.size === 1;
}

function leafTile(leaf, group, x, y, selected, onSelect) {
  const chosen = selected && selected.group === group.id && selected.leaf === leaf.idx;
  const node = svg("g", {
    class: "leaf", "data-leaf": leaf.idx, "data-group": group.id,
    onclick: onSelect ? () => onSelect(group.id, leaf.idx) : null,
  });
  if (group.sheet_url && leaf.tile !== null) node.append(cropped(group.sheet_url, group.tiles, leaf.tile, x, y, TILE));
  else node.append(svg("rect", { x, y, width: TILE, height: TILE, fill: "none", style: "stroke:var(--line-control)", "stroke-dasharray": "3 3" }));
  if (chosen) node.append(svg("rect", { x: x - 2, y: y - 2, width: TILE + 4, height: TILE + 4, fill: "none", style: "stroke:var(--accent)", "stroke-width": 2 }));
  return node;
}

/** One tile of a strip inside an SVG. */
export function cropped(url, tiles, index, x, y, size) {
  const frame = svg("svg", { x, y, width: size, height: size, viewBox: `${index} 0 1 1`, preserveAspectRatio: "none" });
  frame.append(svg("image", { href: url, x: 0, y: 0, width: tiles, height: 1, preserveAspectRatio: "none" }));
  return frame;
}

function drawTrunk(root, forks, place, y) {
  const forked = new Set(forks.map((f) => f.group.fork_step));
  root.append(svg("path", { class: "trunk", d: `M22 ${y}H${place.x[place.last] + 6}` }));
  place.x.forEach((x, step) => {
    const fork = forked.has(step);
    root.append(svg("circle", { class: "node", cx: x, cy: y, r: fork ? 5 : 2.5, style: fork ? "fill:var(--text);stroke:var(--text)" : null }));
  });
  root.append(svg("text", { x: place.tileX + 6, y: y + 4 }, "trunk"));
}
