/** One group of rollouts as a row of tiles by falling advantage, each with what its rewards added. */

import { el, kept } from "/static/js/lib.js";
import { sheetTile } from "/static/js/run_parts.js";
import { advantage, advantageClass, num, rewardColour, svg } from "/static/js/svg.js";

/**
 * @typedef {object} Part  how one reward came to its share of a leaf's advantage
 * @property {number|null} raw
 * @property {number|null} shaped
 * @property {number|null} z
 * @property {number|null} weight
 * @property {number|null} share
 * @property {string} status
 */

/**
 * @typedef {object} Leaf
 * @property {number} idx
 * @property {number|null} tile
 * @property {number} stride
 * @property {boolean} [completes]   it only says what a latent on the way is worth
 * @property {number|null} advantage
 * @property {number|null} total
 * @property {Record<string, Part>} rewards
 * @property {string|null} [text]   a completion in words
 */

/**
 * @typedef {object} Group
 * @property {number} id
 * @property {number} step
 * @property {number} tree
 * @property {string} prompt
 * @property {number|null} fork_step
 * @property {boolean} [given]   a stored pair that was judged; nothing was drawn
 * @property {number|null} mean
 * @property {number|null} spread
 * @property {boolean} kept
 * @property {string} reason
 * @property {string|null} sheet_url
 * @property {number} tiles
 * @property {Leaf[]} leaves
 * @property {{z: number|null, apart: number|null, judge: number|null, missing: number|null}} [facts]
 * @property {boolean} [seen]       whether who asks has looked at it
 * @property {any[]} [neighbours]   the same prompt at other steps
 */

const BAR = { width: 20, height: 28 };
/** Up to this many siblings stand in one line at 64 px; more are drawn smaller. */
const WIDE = 8;
/** Of more siblings a row that is not chosen shows the best and the worst, so many each. */
const ENDS = 8;

/** Why a value is missing, as people read it. @param {Part|undefined} part */
export const cause = (part) => (part?.status && part.status !== "ok" ? `No value: ${part.status}.` : "This reward gave no value.");

const attribute = (name) => `data-${name.toLowerCase().replace(/[^a-z0-9-]+/g, "-")}`;

/** Do two rewards of a group pull apart: is what one likes what the other dislikes? @param {Group} group @param {string[]} names */
export function disagree(group, names) {
  for (let i = 0; i < names.length; i += 1) {
    for (let j = i + 1; j < names.length; j += 1) {
      const pairs = group.leaves.map((leaf) => [leaf.rewards[names[i]]?.z, leaf.rewards[names[j]]?.z])
        .filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b));
      if (pairs.length > 3 && correlation(pairs) < -0.5) return `${kept(names[i])} and ${kept(names[j])} pull apart here`;
    }
  }
  return "";
}

function correlation(pairs) {
  const mean = (k) => pairs.reduce((sum, p) => sum + p[k], 0) / pairs.length;
  const [ma, mb] = [mean(0), mean(1)];
  let [ab, aa, bb] = [0, 0, 0];
  for (const [a, b] of pairs) { ab += (a - ma) * (b - mb); aa += (a - ma) ** 2; bb += (b - mb) ** 2; }
  return aa && bb ? ab / Math.sqrt(aa * bb) : 0;
}

/**
 * The stacked bar: shares above and below one zero that all tiles of the group have in common.
 * @param {Leaf} leaf @param {string[]} names @param {{up: number, down: number}} scale
 */
function shareStack(leaf, names, scale, width = BAR.width) {
  const root = svg("svg", { width, height: BAR.height, "aria-hidden": "true" });
  const unit = (BAR.height - 1) / Math.max(1e-9, scale.up + scale.down);
  const zero = 0.5 + scale.up * unit;
  let [up, down] = [zero, zero];
  names.forEach((name, i) => {
    const share = leaf.rewards[name]?.share;
    if (!Number.isFinite(share) || share === 0) return;
    const tall = Math.abs(share) * unit;
    const y = share > 0 ? up - tall : down;
    if (share > 0) up -= tall; else down += tall;
    root.append(svg("rect", {
      x: 0, y: (y + 0.25).toFixed(2), width, height: Math.max(0.5, tall - 0.5).toFixed(2), style: `fill:${rewardColour(i)}`, "data-reward": name, "data-share": share, "data-height": tall / unit,
    }));
  });
  root.append(svg("path", { d: `M0 ${zero.toFixed(1)}H${width}`, style: "stroke:var(--line-control);stroke-width:1" }));
  return root;
}

/** The largest sums of shares above and below zero in a group. @param {Group} group @param {string[]} names */
function shareScale(group, names) {
  let [up, down] = [0, 0];
  for (const leaf of group.leaves) {
    const shares = names.map((n) => leaf.rewards[n]?.share).filter((v) => Number.isFinite(v));
    up = Math.max(up, shares.filter((v) => v > 0).reduce((a, b) => a + b, 0));
    down = Math.max(down, -shares.filter((v) => v < 0).reduce((a, b) => a + b, 0));
  }
  return { up, down };
}

/** Whether steps were compared by what they gained: then a picture has a reward, and its steps the advantages. @param {Group} group */
export const bySteps = (group) => group.leaves.some((leaf) => leaf.completes);

/** Leaves that were compared with each other: the siblings of one stride, best first. @param {Group} group */
export function lines(group) {
  const ends = group.leaves.filter((leaf) => !leaf.completes);
  if (bySteps(group)) ends.sort((a, b) => (b.total ?? -Infinity) - (a.total ?? -Infinity));
  const strides = [...new Set(ends.map((l) => l.stride))].sort((a, b) => a - b);
  return strides.map((stride) => ({ stride, leaves: ends.filter((l) => l.stride === stride) }));
}

/** What a group is, in its row: "fork 2", "steps by their gain", "judged pair". @param {Group} group */
function kindOf(group) {
  if (group.given) return "judged pair";
  if (group.fork_step !== null) return `fork ${group.fork_step}`;
  return bySteps(group) ? "steps by their gain" : "";
}

/**
 * @param {Group} group @param {string[]} names trained rewards in order
 * @param {{current: boolean, leaf: number|null, picked: number[], onSelect: (leaf: number) => void}} options
 */
export function groupRow(group, names, { current, leaf: chosen, picked, onSelect }) {
  const scale = shareScale(group, names);
  const apart = disagree(group, names);
  const shown = lines(group);
  const small = Math.max(...shown.map((line) => line.leaves.length)) > WIDE;
  const skipped = group.kept ? null : el("span", { class: "badge", title: group.reason }, group.reason ? `skipped, ${short(group.reason)}` : "skipped");
  const first = shown[0]?.leaves[0]?.idx;
  return el("article", { class: `grp ${current ? "on" : ""} ${small ? "small" : ""}`, "data-testid": "group-row", "data-group": group.id, "aria-current": current ? "true" : null },
    el("div", { class: "grp-h" }, el("span", { class: "p clip", title: group.prompt, translate: "no" }, group.prompt), apart && el("span", { class: "badge warn", title: apart }, "rewards disagree"), skipped, group.facts?.missing ? el("span", { class: "badge warn", title: `Trained rewards gave no value ${group.facts.missing} times` }, "missing value") : null,
      el("span", { class: "grow" }), group.seen ? el("span", { class: "faint", title: "You have looked at this group" }, "seen") : null, el("span", { class: "faint nowrap" }, [`step ${group.step}`, kindOf(group)].filter(Boolean).join(" · ")),
      !group.given && el("span", { class: "nowrap" }, num(group.mean, 2), " ", el("span", { class: "faint" }, `sd ${num(group.spread, 2)}`))),
    shown.map((line) => [shown.length > 1 && line.stride !== shown[0].stride ? el("p", { class: "micro faint line-h" }, `stride ${line.stride}`) : null,
      el("div", { class: "grp-t" }, ends(line.leaves, current, chosen).map(([leaf, i, left]) => [left ? el("span", { class: "between faint", title: `${left} more between` }, `+${left}`) : null, tile(group, leaf, names, scale, {
        small, words: `sample ${i + 1} of ${line.leaves.length}${shown.length > 1 ? `, stride ${line.stride}` : ""}`,
        chosen: current && leaf.idx === chosen, pick: pickSign(group, leaf, picked), onSelect, focusable: leaf.idx === (current ? chosen : first),
      })]))]));
}

/**
 * A drawn row chosen or let go, where nothing else of it changes; false when it must be drawn anew.
 * @param {HTMLElement} row @param {Group} group @param {{current: boolean, leaf: number|null}} chosen
 */
export function markRow(row, group, { current, leaf }) {
  if (lines(group).some((line) => line.leaves.length > 2 * ENDS)) return false;
  const set = (/** @type {Element} */ node, /** @type {boolean} */ on) => (on ? node.setAttribute("aria-current", "true") : node.removeAttribute("aria-current"));
  row.classList.toggle("on", current);
  set(row, current);
  const tiles = /** @type {HTMLElement[]} */ ([...row.querySelectorAll(".tile")]);
  for (const tile of tiles) {
    const chosen = current && Number(tile.dataset.leaf) === leaf;
    set(tile, chosen);
    tile.tabIndex = (current ? chosen : tile === tiles[0]) ? 0 : -1;
    if (chosen && row.contains(document.activeElement)) tile.focus({ preventScroll: true });
  }
  return true;
}

/** The leaves that are shown: [leaf, its place, how many were left out before it]. */
function ends(leaves, current, chosen) {
  const all = leaves.map((leaf, i) => [leaf, i, 0]);
  if (leaves.length <= 2 * ENDS) return all;
  const kept = all.filter(([leaf, i]) => i < ENDS || i >= leaves.length - ENDS || (current && leaf.idx === chosen));
  return kept.map(([leaf, i], k) => [leaf, i, k ? i - kept[k - 1][1] - 1 : 0]);
}

const short = (reason) => {
  const text = reason.replace(/\.$/, "");
  return text.length > 34 ? `${text.slice(0, 33)}…` : text;
};

/** Of two that are chosen the better is +, the worse −. */
function pickSign(group, leaf, picked) {
  if (!picked.includes(leaf.idx)) return "";
  const order = group.leaves.map((l) => l.idx).filter((idx) => picked.includes(idx));
  if (order.length !== 2) return "✓";
  return order[1] === leaf.idx ? "−" : "+";
}

function tile(group, leaf, names, scale, { small, words, chosen, pick, onSelect, focusable }) {
  const values = Object.fromEntries(names.map((name) => [attribute(name), leaf.rewards[name]?.share ?? null]));
  const size = small ? 41 : 64;
  const text = group.kept ? advantage(leaf.advantage) : "±0";
  const said = bySteps(group) ? `reward ${num(leaf.total, 2)}` : group.given ? verdict(leaf) : `advantage ${text}`;
  return el("button", {
    class: "tile", type: "button", "data-testid": "sample", "data-leaf": leaf.idx, "data-advantage": leaf.advantage, "data-total": sumOf(leaf, names), ...values, tabindex: focusable ? "0" : "-1",
    "aria-current": chosen ? "true" : null, "aria-label": `${words}, ${said}`, onclick: () => onSelect(leaf.idx), title: words,
  },
  group.sheet_url && leaf.tile !== null ? sheetTile(group.sheet_url, group.tiles, leaf.tile, size) : leaf.text ? el("span", { class: "words", title: leaf.text, translate: "no" }, leaf.text) : el("span", { class: "gone", title: "The picture of this rollout was not kept." }, "not kept"),
  pick && el("span", { class: "pick" }, pick), figures(group, leaf, names, scale, small, text));
}

/** What the stacked bar ends at: the sum of the shares there are. */
const sumOf = (leaf, names) => names.map((name) => leaf.rewards[name]?.share).filter((share) => Number.isFinite(share)).reduce((a, b) => a + b, 0);

/** Which of a judged pair it is. @param {Leaf} leaf */
export const verdict = (leaf) => ((leaf.advantage ?? 0) > 0 ? "preferred" : "rejected");

/** What stands under a picture: its shares and advantage, or its reward where steps are compared, or the verdict. */
function figures(group, leaf, names, scale, small, text) {
  if (group.given) return el("span", { class: "u short" }, el("span", { class: advantageClass(leaf.advantage) }, verdict(leaf)));
  if (bySteps(group)) return el("span", { class: "u short" }, el("span", null, el("b", null, num(leaf.total, 2))));
  const missing = names.filter((name) => leaf.rewards[name]?.share === null || leaf.rewards[name]?.share === undefined);
  return el("span", { class: "u" }, shareStack(leaf, names, scale, small ? 6 : BAR.width), el("span", null,
    el("b", { class: group.kept ? advantageClass(leaf.advantage) : "muted" }, text),
    missing.length ? el("span", { class: "faint", title: `${missing[0]}: ${cause(leaf.rewards[missing[0]])}` }, "–") : el("span", { class: "faint" }, num(leaf.total, 2))));
}
