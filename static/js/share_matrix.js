/** A square of shares with their intervals: who agrees with whom, who beats whom. */
import { el, fmt } from "/static/js/lib.js";

/** @param {{heads: string[], short?: string[], cells: (any | null)[][], testid: string, middle: number | null, say: (i: number, j: number, cell: any) => string, onpick?: (i: number, j: number) => void}} options
 * `middle`: the share that says nothing, from which shading grows both ways; null shades from 0. */
export function matrixTable({ heads, short = heads, cells, testid, middle, say, onpick }) {
  const inside = (i, j, cell) => [el("b", { class: "strong" }, fmt.pct(cell.value)), el("span", { class: "faint micro" }, `${Math.round(100 * cell.low)}–${Math.round(100 * cell.high)}`)];
  const shade = (value) => (middle === null ? 0.22 * value : 0.44 * Math.abs(value - middle));
  return el("div", { class: "tbl-x" }, el("table", { class: "square", "data-testid": testid }, el("thead", null, el("tr", null, el("td"), short.map((head, j) => el("th", { scope: "col", title: heads[j] }, el("span", { class: "clip" }, head))))),
    el("tbody", null, cells.map((row, i) => el("tr", null, el("th", { scope: "row", title: heads[i] }, el("span", { class: "clip" }, heads[i])), row.map((cell, j) => {
      if (!cell) return el("td", { class: "none" }, el("span", { class: "faint" }, i === j ? "" : "–"));
      const ground = cell.value !== null && middle !== null && cell.value < middle ? "var(--adv-n1)" : middle === null ? "var(--text)" : "var(--adv-p1)";
      const style = `background:color-mix(in oklab, ${ground} ${Math.round(100 * shade(cell.value ?? middle ?? 0))}%, transparent)`;
      if (!onpick) return el("td", { style, title: say(i, j, cell) }, inside(i, j, cell));
      return el("td", { style }, el("button", { type: "button", "data-testid": `${testid}-cell`, "aria-label": say(i, j, cell), title: say(i, j, cell), onclick: () => onpick(i, j) }, inside(i, j, cell)));
    }))))));
}
