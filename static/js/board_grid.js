/** A board as a grid of any two of its axes: source, prompt, seed, steps, guidance. Small copies, drawn as they scroll into view. */
import { el, fmt } from "/static/js/lib.js";
import { letter, missing } from "/static/js/board_view.js";

export const AXES = { source: "source", prompt: "prompt", seed: "seed", steps: "steps", guidance: "guidance" };
const SMALL = 256;

/** @typedef {import("/static/js/board_view.js").Cell} Cell */

/** The values of an axis with what their head says. @param {string} axis @param {any} data @returns {{value: any, head: any, word: string}[]} */
function axisValues(axis, data) {
  if (axis === "source") return data.sources.map((one, i) => ({ value: one.key, head: [el("b", null, letter(i)), ` ${one.name}`], word: one.name }));
  if (axis === "prompt") return data.prompts.map((one) => ({ value: one.id, head: one.text, word: one.text }));
  if (axis === "seed") return data.seeds.map((seed) => ({ value: seed, head: `seed ${seed}`, word: `seed ${seed}` }));
  if (axis === "steps") return data.steps.map((n) => ({ value: n, head: fmt.count(n, "step"), word: fmt.count(n, "step") }));
  return data.guidances.map((g) => ({ value: g, head: `guidance ${g}`, word: `guidance ${g}` }));
}

const FIELD = { source: "source", prompt: "prompt_id", seed: "seed", steps: "steps", guidance: "guidance" };

/** @param {{data: any, x: string, y: string, size: number, onpick: (cell: Cell) => void, ondraw: (cells: Cell[]) => void, wait: (cell: Cell) => boolean}} what */
export function boardGrid({ data, x, y, size, onpick, ondraw, wait }) {
  const [columns, rows] = [axisValues(x, data), axisValues(y, data)];
  // The axes that are not laid out stand at their first value.
  const fixed = Object.keys(AXES).filter((axis) => axis !== x && axis !== y).map((axis) => [FIELD[axis], axisValues(axis, data)[0]?.value]);
  const here = data.cells.filter((cell) => fixed.every(([field, value]) => cell[field] === value));
  const at = new Map(here.map((cell) => [`${cell[FIELD[x]]}\n${cell[FIELD[y]]}`, cell]));
  const tile = (column, row) => {
    const cell = at.get(`${column.value}\n${row.value}`);
    if (!cell) return el("td");
    const name = `${column.word}, ${row.word}`;
    return el("td", { "data-testid": "cell" }, cell.picture
      ? el("button", { type: "button", class: "gtile", "aria-label": name, onclick: () => onpick(cell) },
        el("img", { src: small(cell.picture), alt: "", loading: "lazy", decoding: "async", width: size, height: size, class: (cell.picture.width || 0) <= 128 ? "px" : null }))
      : el("div", { class: "gtile" }, missing(cell, wait(cell), () => ondraw([cell]))));
  };
  return el("div", { class: "bgrid", "data-testid": "board-grid", tabindex: "0", role: "region", "aria-label": "Grid", style: `--tile:${size}px` }, el("table", null,
    el("thead", null, el("tr", null, el("td", { class: "corner meta muted" }, `${AXES[y]} \\ ${AXES[x]}`), columns.map((one) => el("th", { scope: "col", title: one.word }, el("div", { class: "clip" }, one.head))))),
    el("tbody", null, rows.map((row) => el("tr", null, el("th", { scope: "row", title: row.word }, el("div", null, row.head)), columns.map((column) => tile(column, row)))))));
}

const small = (picture) => ((picture.width || 0) > SMALL ? `${picture.url}${picture.url.includes("?") ? "&" : "?"}side=${SMALL}` : picture.url);
