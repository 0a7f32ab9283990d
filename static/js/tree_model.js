/**
 * A rollout tree as objects, made from stored groups or from a plan on paper, and where each of its nodes stands.
 * Nothing is drawn here.
 *
 * @typedef {object} Node
 * @property {string} id
 * @property {Node|null} parent    the nearest node above that is kept; between the two lies plain ODE
 * @property {Node[]} children
 * @property {number} step         index of its sigma
 * @property {number} stride
 * @property {boolean} explored    the step that led here drew noise
 * @property {boolean} trained     and something is learned from it
 * @property {number|null} advantage
 * @property {boolean} leaf
 * @property {boolean} completes   a leaf that only values the node it hangs on
 * @property {any} record          the stored node with `group`, of stored trees
 * @property {number} y
 * @property {number} hidden       siblings that are folded away below this one
 *
 * @typedef {object} Model
 * @property {Node[]} roots
 * @property {Node[]} nodes
 * @property {number} last         T
 * @property {(step: number) => number|null} sigmaAt
 * @property {Set<number>} explored   steps that draw noise somewhere
 * @property {number[]} strides
 * @property {boolean} given       stored pictures: nothing was grown
 */

/** @param {Partial<Node>} some @returns {Node} */
const node = (some) => ({ id: "", parent: null, children: [], step: 0, stride: 1, explored: false, trained: false, advantage: null, leaf: false, completes: false, record: null, y: 0, hidden: 0, ...some });

/**
 * The groups of one tree as one: trunk nodes that two groups share are the same node.
 * @param {any[]} groups @returns {Model}
 */
export function fromGroups(groups) {
  /** @type {Map<string, Node>} */
  const all = new Map();
  for (const group of groups) {
    const stored = new Map(group.nodes.map((n) => [n.idx, n]));
    const keyOf = (n) => {
      if (n.kind !== "trunk" || group.fork_step === null) return `${group.id}:${n.idx}`;
      let root = n;
      while (root.parent !== null && stored.has(root.parent)) root = stored.get(root.parent);
      return `trunk ${root.seed ?? ""}:${n.step}`;
    };
    for (const n of [...group.nodes].sort((a, b) => a.idx - b.idx)) {
      const id = keyOf(n);
      if (all.has(id)) continue;
      const explored = n.kind === "child" || (n.kind === "leaf" && n.eta !== null && n.eta !== undefined);
      const above = n.parent === null || !stored.has(n.parent) ? null : all.get(keyOf(stored.get(n.parent))) ?? null;
      const made = node({ id, parent: above, step: n.step, stride: n.stride, explored, trained: explored && n.advantage !== null, advantage: n.advantage, leaf: n.kind === "leaf", record: { ...n, group: group.id } });
      above?.children.push(made);
      all.set(id, made);
    }
  }
  const nodes = [...all.values()];
  for (const n of nodes) n.completes = n.leaf && !n.explored && Boolean(n.parent?.children.some((other) => other.explored));
  const sigmas = groups[0]?.detail?.sigmas ?? [];
  return model(nodes, Math.max(sigmas.length - 1, ...nodes.map((n) => n.step), 1), (step) => sigmas[step] ?? nodes.find((n) => n.step === step)?.record.sigma ?? null);
}

/** A plan as the server grew it on paper. @param {any} plan @returns {Model} */
export function fromPlan(plan) {
  /** @type {Node[]} */
  const nodes = [];
  for (const n of plan.nodes) {
    const above = n.parent === null ? null : nodes[n.parent];
    const made = node({ id: String(n.idx), parent: above, step: n.step, stride: n.stride, explored: n.explored, trained: n.trained, leaf: n.leaf, completes: n.completes });
    above?.children.push(made);
    nodes.push(made);
  }
  return model(nodes, plan.steps, (step) => plan.sigmas[step] ?? null);
}

function model(nodes, last, sigmaAt) {
  return {
    roots: nodes.filter((n) => n.parent === null), nodes, last, sigmaAt,
    explored: new Set(nodes.filter((n) => n.explored).map((n) => n.step - 1)),
    strides: [...new Set(nodes.filter((n) => n.leaf && !n.completes).map((n) => n.stride))].sort((a, b) => a - b),
    given: nodes.length > 0 && nodes.every((n) => n.leaf && n.parent === null && !n.explored),
  };
}

/** What grows out of a node, without the leaves that only value it. @param {Node} n */
const grown = (n) => n.children.filter((child) => !child.completes);

/** A path ends here: what follows are its finishing strides, or nothing. @param {Node} n */
export const isTip = (n) => (!n.leaf || n.explored || n.parent === null) && grown(n).every((child) => child.leaf && !child.explored);

/** Leaves of a tip by stride. @param {Node} n @returns {Node[]} */
export const leavesOf = (n) => (n.leaf ? [n] : grown(n).sort((a, b) => a.stride - b.stride));

/** @param {Node} n @returns {Node[]} */
export function tipsOf(n) {
  return isTip(n) ? [n] : grown(n).flatMap(tipsOf);
}

/** What a path was worth: its last edge's advantage, else its leaves'. @param {Node} tip */
export function worth(tip) {
  if (tip.advantage !== null) return tip.advantage;
  const known = leavesOf(tip).map((leaf) => leaf.advantage).filter((v) => v !== null);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
}

/** Where children part from a root without noise before them: (step, children) by step.
 * @param {Node} root @returns {{step: number, children: Node[]}[]} */
export function forksOf(root) {
  /** @type {Map<number, Node[]>} */
  const at = new Map();
  const walk = (n) => {
    for (const child of grown(n)) {
      if (child.explored) at.set(child.step - 1, [...(at.get(child.step - 1) ?? []), child]);
      else if (!child.leaf) walk(child);
    }
  };
  walk(root);
  return [...at.entries()].map(([step, children]) => ({ step, children })).sort((a, b) => a.step - b.step);
}

/** One beginning that several forks leave at different steps. @param {Node} root */
export const isTrunk = (root) => forksOf(root).length > 1 && tipsOf(root).length > 1;

const best = (n) => Math.max(...tipsOf(n).map((tip) => worth(tip) ?? -Infinity));

/** Siblings by falling worth; of many that end at once only the best, the middle and the worst. */
function ordered(siblings, fold) {
  const sorted = [...siblings].sort((a, b) => best(b) - best(a));
  if (!fold || sorted.length <= 3 || !sorted.every((n) => tipsOf(n).length === 1)) return sorted;
  const kept = [sorted[0], sorted[Math.floor(sorted.length / 2)], /** @type {Node} */ (sorted.at(-1))];
  kept[2].hidden = sorted.length - kept.length;
  return kept;
}

/**
 * Give every node that is shown its height. Returns the nodes shown in order and the height used.
 * @param {Model} tree @param {{top: number, pitch: number, gap: number, trunkGap: number, foldAbove: number}} room
 */
export function layout(tree, { top, pitch, gap, trunkGap, foldAbove }) {
  const fold = tree.roots.flatMap(tipsOf).length > foldAbove;
  /** @type {Node[]} */
  const shown = [];
  let y = top;
  const place = (/** @type {Node} */ n) => {
    shown.push(n);
    if (isTip(n)) {
      n.y = y;
      y += pitch;
      leavesOf(n).filter((leaf) => leaf !== n).forEach((leaf) => { leaf.y = n.y; shown.push(leaf); });
    } else {
      const below = ordered(grown(n), fold);
      below.forEach(place);
      n.y = (below[0].y + below[below.length - 1].y) / 2;
    }
    n.children.filter((child) => child.completes).forEach((leaf) => { leaf.y = n.y; shown.push(leaf); });
  };
  const trunk = (/** @type {Node} */ root) => {
    const forks = forksOf(root);
    const run = (fork) => { ordered(fork.children, fold).forEach(place); y += gap; };
    forks.filter((_, i) => i % 2 === 0).forEach(run);
    const middle = y + trunkGap / 2 - pitch / 2;
    y += trunkGap;
    forks.filter((_, i) => i % 2 === 1).reverse().forEach(run);
    const still = (/** @type {Node} */ n) => { n.y = middle; shown.push(n); grown(n).filter((c) => !c.explored && !c.leaf).forEach(still); };
    still(root);
  };
  ordered(tree.roots, fold).forEach((root, i) => {
    if (i && tipsOf(root).length > 1) y += gap;
    if (isTrunk(root)) trunk(root);
    else place(root);
  });
  return { shown, bottom: y };
}

const times = (n, one) => `${n} ${n === 1 ? one : `${one}s`}`;

/** "1 trunk · 2 forks × 8 · 2 strides", "12 chains", "16 leaves of 4 splits". @param {Model} tree */
export function summary(tree) {
  if (tree.given) return "a stored pair";
  const [first] = tree.roots;
  if (!first) return "";
  const forks = forksOf(first);
  const tips = tree.roots.flatMap(tipsOf).length;
  const strides = tree.strides.length > 1 ? ` · ${times(tree.strides.length, "stride")}` : "";
  const valued = tree.nodes.some((n) => n.completes) ? " · every latent finished" : "";
  const splits = new Set(tree.nodes.filter((n) => n.children.filter((c) => c.explored).length > 1).map((n) => n.step)).size;
  if (!tree.explored.size) return `${times(tips, "sample")}, no noise on the way${strides}`;
  if (tree.roots.length === tips) return `${times(tips, "chain")}${strides}${valued}`;
  const single = forks.every((fork) => fork.children.every((child) => tipsOf(child).length === 1));
  const children = forks[0]?.children.length ?? 0;
  const trunks = tree.roots.length > 1 || forks.length > 1 ? `${times(tree.roots.length, "trunk")} · ` : "";
  if (single) return `${trunks}${times(forks.length, "fork")} × ${children}${strides}${valued}`;
  return `${times(tips, "path")} of ${times(splits, "split")}${strides}${valued}`;
}
