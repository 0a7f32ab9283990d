/** The middle pane of Rollouts: the tree that a group belongs to, a judged pair, or pictures that another trainer logged. */

import { api, el, fill } from "/static/js/lib.js";
import { imported, nodeCard, nodeHint } from "/static/js/rollout_node.js";
import { drawPair } from "/static/js/rollout_pair.js";
import { bySteps } from "/static/js/rollout_row.js";
import { drawTree } from "/static/js/tree.js";
import { fromGroups, summary } from "/static/js/tree_model.js";
import { count, figure } from "/static/js/svg.js";

/** Around the drawn tree: heading, card, facts, legend and space. */
const AROUND = 36 + 72 + 42 + 32 + 12;
const LEAST = 376;

/**
 * @param {{group: any, leaf: any, full: any, groups: any[], choose: (group: number, leaf: number) => void, width: number, height: number}} asked
 *   full: the group with its nodes, when it has come; groups: it and the others of its tree; width, height: of the pane
 * @returns {HTMLElement[]}
 */
export function treePane({ group, leaf, full, groups, choose, width, height }) {
  if (!full) return [head("Tree of this prompt"), el("div", { class: "sec meta muted", role: "status" }, "Reading the tree")];
  if (group.given) return [head("Judged pair", el("span", { class: "meta muted" }, "nothing was drawn")), drawPair(group, leaf.idx, choose)];
  if (full.detail?.imported) return [head("Imported group"), imported(group, full, leaf, choose)];
  const sorted = [...groups].sort((a, b) => (a.fork_step ?? 0) - (b.fork_step ?? 0) || a.id - b.id);
  const tree = fromGroups(groups);
  const by = new Map(groups.map((one) => [one.id, one]));
  const card = el("div", { class: "node-card meta", role: "status", "data-testid": "node-card" }, nodeHint());
  const forks = full.groups_of_tree?.length ?? 0;
  return [
    el("div", { class: "pane-h" }, el("h2", { class: "nowrap" }, "Tree of this prompt"), el("span", { class: "meta muted clip", title: summary(tree) }, summary(tree)), el("span", { class: "grow" }),
      full.detail?.nfe !== undefined && el("span", { class: "meta nowrap" }, `NFE ${count(full.detail.nfe)}`)),
    el("div", { class: "tree-host scroll" }, drawTree({ groups, selected: { group: group.id, leaf: leaf.idx }, room: height - AROUND, width: Math.max(LEAST, width - 16), onSelect: choose, onLook: (node) => look(card, node, node ? by.get(node.record.group) : null) })),
    card,
    el("div", { class: "fork-facts meta" }, sorted.map((g) => el("span", null, el("b", { class: "strong" }, comparison(g)), el("span", { class: "muted" }, " spread "), figure(g.spread),
      el("span", { class: "muted" }, g.kept ? " kept" : " skipped"))), forks > groups.length && el("span", { class: "faint" }, `${groups.length} of ${forks} forks are drawn`)),
    legend(tree),
  ];
}

/** What a node had become; the first look at a group's latents has them decoded. */
function look(card, node, group) {
  const draw = () => fill(card, node ? nodeCard(node, group) : nodeHint());
  looked.set(card, draw);
  draw();
  if (group?.latents && !group.latents.url && !group.latents.asked && group.latents.nodes.includes(node.record.idx)) decode(group, () => looked.get(card)?.());
}

/** @type {WeakMap<HTMLElement, () => void>} what draws the card of the node that is looked at */
const looked = new WeakMap();
const ASK_MS = 500;
const TRIES = 120;

/** Ask until the strip is there; what failed is tried once more when the page is opened anew. @param {any} group @param {() => void} then */
async function decode(group, then) {
  const { latents } = group;
  latents.asked = true;
  try {
    for (let i = 0; i < TRIES && !latents.url; i += 1) {
      if (i) await new Promise((done) => { setTimeout(done, ASK_MS); });
      const said = await api(`rollouts/${group.id}/latents${i ? "" : "?again=1"}`, { method: "POST" });
      if (said.error) throw new Error(said.error);
      latents.url = said.url;
    }
    if (!latents.url) throw new Error("No worker has decoded it yet.");
  } catch (error) {
    latents.failed = error.message;
  }
  then();
}

const head = (/** @type {string} */ title, /** @type {Node|null} */ more = null) => el("div", { class: "pane-h" }, el("h2", null, title), more);

/** What a group compared, before its spread. */
const comparison = (group) => (group.fork_step !== null ? `fork ${group.fork_step}` : bySteps(group) ? "gains of each step" : "all paths");

function legend(tree) {
  const tones = ["n3", "n2", "n1", "0", "p1", "p2", "p3"];
  const noisy = tree.explored.size > 0;
  const idle = tree.nodes.some((n) => n.explored && !n.trained);
  return el("div", { class: "row meta faint tree-legend" }, el("span", null, "advantage"),
    el("span", { class: "row", style: "gap:1px", "aria-hidden": "true" }, tones.map((tone) => el("i", { style: `width:15px;height:10px;background:var(--adv-${tone})` }))),
    el("span", { class: "nowrap" }, "−1.2 to +1.2"), el("span", { class: "grow" }), el("span", { class: "nowrap" }, !noisy ? "no step draws noise" : idle ? "dotted: not learned from" : "steps with noise drawn wide"));
}
