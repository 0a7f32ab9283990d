/** A drawn tree that can be pointed at and walked by keyboard: one stop of Tab, arrows from node to node, Enter chooses a picture. */

import { title } from "./rollout_node.js";
import { advantage, svg } from "./svg.js";

/** @typedef {import("./tree_model.js").Node} Node */

/**
 * @param {SVGElement} root @param {Node[]} shown in the order of drawing
 * @param {{at: (n: Node) => number[], selected: {group: number, leaf: number}|null, onSelect?: (group: number, leaf: number) => void, onLook: (n: Node|null) => void}} options
 */
export function makeWalkable(root, shown, { at, selected, onSelect, onLook }) {
  root.setAttribute("role", "group");
  const seen = new Set(shown);
  const first = shown.find((n) => n.leaf && selected && n.record.group === selected.group && n.record.idx === selected.leaf) ?? shown[0];
  /** @type {Map<Node, SVGElement>} */
  const spots = new Map();
  const move = (/** @type {Node|undefined} */ n) => { const spot = n && spots.get(n); if (spot) { spots.forEach((other) => other.setAttribute("tabindex", "-1")); spot.setAttribute("tabindex", "0"); spot.focus(); } };
  const next = {
    ArrowLeft: (n) => above(n, seen), ArrowRight: (n) => n.children.find((c) => seen.has(c)),
    ArrowUp: (n) => beside(n, shown, -1), ArrowDown: (n) => beside(n, shown, 1),
  };
  for (const n of shown) {
    const [x, y] = at(n);
    const size = n.leaf ? 15 : 6;
    const worth = n.record.advantage === null || n.record.advantage === undefined ? "nothing learned" : `advantage ${advantage(n.record.advantage)}`;
    const spot = svg("circle", { class: "spot", cx: x, cy: y, r: size, role: n.leaf ? "button" : "img", tabindex: n === first ? "0" : "-1", "aria-label": `${title(n)}, ${worth}`, "data-testid": "tree-node", "data-node": `${n.record.group}:${n.record.idx}`, "data-kind": n.record.kind, "data-step": n.step, onpointerenter: () => onLook(n), onfocus: () => onLook(n), onclick: n.leaf && onSelect ? () => onSelect(n.record.group, n.record.idx) : null,
      onkeydown: (e) => {
        if (next[e.key]) { e.preventDefault(); e.stopPropagation(); move(next[e.key](n)); } else if (e.key === "Enter" && n.leaf && onSelect) { e.preventDefault(); e.stopPropagation(); onSelect(n.record.group, n.record.idx); }
      } });
    spots.set(n, spot);
    root.append(spot);
  }
  root.addEventListener("pointerleave", () => onLook(/** @type {any} */ ([...spots].find(([, spot]) => spot === document.activeElement)?.[0]) ?? null));
}

/** The nearest node above that is drawn. */
function above(n, seen) {
  let at = n.parent;
  while (at && !seen.has(at)) at = at.parent;
  return at ?? undefined;
}

/** The next node of the same step up or down. */
function beside(n, shown, by) {
  const column = shown.filter((o) => o.step === n.step && o.leaf === n.leaf && o.completes === n.completes).sort((a, b) => a.y - b.y || a.stride - b.stride);
  return column[column.indexOf(n) + by];
}
