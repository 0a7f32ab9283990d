/** One node of the tree as it is pointed at, with its latent decoded where that was kept; and a group that was imported. */

import { el } from "/static/js/lib.js";
import { lines } from "/static/js/rollout_row.js";
import { sheetTile } from "/static/js/run_parts.js";
import { advantage, num } from "/static/js/svg.js";

const SIDE = 56;

/** What stands there while nothing is pointed at. */
export const nodeHint = () => el("span", { class: "faint" }, "Point at a node, or move to the tree with Tab and walk it with the arrow keys, to see what it had become there.");

/** @param {any} node of the tree's model @param {any} group with its nodes */
export function nodeCard(node, group) {
  const latent = latentOf(node, group);
  const n = node.record;
  const shown = pictureOf(node, group);
  const facts = [
    ["σ", num(n.sigma, 3)], n.eta !== null && n.eta !== undefined && ["η", num(n.eta, 2)], Number.isFinite(n.log_prob) && ["log-prob", num(n.log_prob, 3)],
    Number.isFinite(n.ratio) && ["ratio", n.ratio.toFixed(3)], [node.leaf ? "advantage" : "advantage of the edge", n.advantage === null ? "–" : advantage(n.advantage)],
  ].filter(Boolean);
  return [latent, shown.url ? el("span", { class: "stage" }, sheetTile(shown.url, shown.tiles, shown.tile, SIDE, shown.said)) : latent ? null : el("span", { class: "gone" }, "not kept"),
    el("div", { class: "grow" }, el("p", null, el("b", { class: "strong" }, title(node)), " ", el("span", { class: "muted" }, shown.said)),
      el("p", { class: "row tn", style: "gap:4px 14px;flex-wrap:wrap" }, facts.map(([word, value]) => el("span", { class: "nowrap" }, el("span", { class: "muted" }, `${word} `), value))))];
}

/** The latent of a node decoded, noise and all; or that a worker is at it. */
function latentOf(node, group) {
  const at = group?.latents?.nodes.indexOf(node.record.idx) ?? -1;
  if (at < 0) return null;
  if (!group.latents.url) return el("span", { class: "gone", "data-testid": "latent-waits", title: group.latents.failed ?? "A worker decodes the latents of this group." }, group.latents.failed ? "not decoded" : "decoding");
  const said = `its latent at σ ${num(node.record.sigma, 3)}, decoded`;
  return el("span", { class: "stage", title: said, "data-testid": "latent" }, sheetTile(group.latents.url, group.latents.nodes.length, at, SIDE, said));
}

/** What a screen reader says of a node. @param {any} node */
export const title = (node) => (node.leaf ? (node.completes ? `Finished from step ${node.parent?.step ?? 0}` : `Picture${node.stride > 1 ? `, stride ${node.stride}` : ""}`) : node.record.kind === "trunk" ? `Trunk at step ${node.step}` : `Node at step ${node.step}`);

/** The picture of a latent, and what kind of picture it is. */
function pictureOf(node, group) {
  const n = node.record;
  const none = (said) => ({ url: null, tiles: 0, tile: 0, said });
  const tile = (leaf, said) => ({ url: group.sheet_url, tiles: group.tiles, tile: leaf.record.tile, said });
  const kept = (leaf) => group?.sheet_url && leaf.record.tile !== null && leaf.record.group === group.id;
  if (!group) return none("is being read");
  if (node.leaf) return kept(node) ? tile(node, node.completes ? "finished without noise from here" : "as it was scored") : none("its picture was not kept");
  if (n.kind === "trunk" && group.trunk_url) {
    const trunk = group.nodes.filter((one) => one.kind === "trunk");
    const at = trunk.findIndex((one) => one.idx === n.idx);
    if (at >= 0 && at < (group.trunk_tiles ?? trunk.length)) return { url: group.trunk_url, tiles: group.trunk_tiles ?? trunk.length, tile: at, said: group.latents?.nodes.includes(n.idx) ? "its latent, and the clean picture that the model foresaw here" : "the clean picture that the model foresaw here" };
  }
  const latent = group.latents?.nodes.includes(n.idx);
  const finished = node.children.find((child) => child.completes) ?? (node.children.length && node.children.every((child) => child.leaf && !child.explored) ? node.children[0] : null);
  if (finished && kept(finished)) return tile(finished, latent ? "its latent, and the picture that it became without noise" : "its latent was not kept; finished without noise it became this");
  return none(latent ? "its latent, noise and all" : "its latent was not kept, so there is nothing to decode; only the trunk's and finished ones are");
}

/** A group of another trainer: no tree was logged. @param {any} group @param {any} full @param {any} leaf @param {(group: number, leaf: number) => void} choose */
export function imported(group, full, leaf, choose) {
  const detail = full.detail;
  const ranked = lines(group).flatMap((line) => line.leaves);
  const size = ranked.length > 12 ? 96 : 144;
  return el("div", { class: "sec scroll", "data-testid": "imported-group" }, el("p", { style: "margin-bottom:8px", translate: "no" }, group.prompt),
    el("p", { class: "meta muted", style: "margin-bottom:12px" }, detail.computed ? "The log has no advantages; they were worked out here: (total − mean) / standard deviation of the group." : "The advantages are those of the log.",
      " ", Number.isFinite(detail.divisor) ? "The shares say how each follows from the rewards." : "They do not follow from the logged rewards, so no shares are shown.", " No tree was logged."),
    el("div", { class: "row imported", style: "gap:8px;flex-wrap:wrap;align-items:flex-start" }, ranked.map((one) => el("button", { type: "button", class: "judged-one", "aria-pressed": String(one.idx === leaf.idx), "aria-label": `advantage ${advantage(one.advantage)}`, onclick: () => choose(group.id, one.idx) },
      group.sheet_url && one.tile !== null ? sheetTile(group.sheet_url, group.tiles, one.tile, size) : el("span", { class: "words", translate: "no", style: `width:${size}px` }, one.text ?? "not kept"),
      el("span", { class: "meta tn" }, advantage(one.advantage))))));
}
