/** A judged pair as the policy learns from it: the two pictures, and which of them was preferred. */

import { el } from "/static/js/lib.js";
import { verdict } from "/static/js/rollout_row.js";
import { sheetTile } from "/static/js/run_parts.js";

const side = () => (innerWidth > 640 ? 192 : 128);

/** @param {import("/static/js/rollout_row.js").Group} group @param {number} chosen @param {(group: number, leaf: number) => void} onSelect */
export function drawPair(group, chosen, onSelect) {
  return el("div", { class: "sec", "data-testid": "judged-pair" }, el("p", { style: "margin-bottom:12px", translate: "no" }, group.prompt),
    el("div", { class: "row judged", style: "gap:8px;align-items:flex-start" }, group.leaves.map((leaf) => el("button", { type: "button", class: "judged-one", "aria-pressed": String(leaf.idx === chosen), onclick: () => onSelect(group.id, leaf.idx) },
      group.sheet_url && leaf.tile !== null ? sheetTile(group.sheet_url, group.tiles, leaf.tile, side(), verdict(leaf)) : el("span", { class: "gone" }, "not kept"),
      el("span", { class: `meta ${verdict(leaf) === "preferred" ? "pos" : "neg"}` }, verdict(leaf))))),
    el("p", { class: "meta muted", style: "margin-top:12px" }, "Both are made noisy by the same noise; the policy learns to explain the preferred one better than the other, compared with the base."));
}
