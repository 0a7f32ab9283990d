/** Pictures of what changes with the run or with the prompt: a threshold that rises, and how much a prompt counts by its successes. */

import { fmt } from "/static/js/lib.js";
import { figure, num, svg } from "/static/js/svg.js";

const PAD = { left: 38, right: 8, top: 10, bottom: 20 };
const POINTS = 61;
/** What a solved or hopeless prompt keeps, and the band in which one counts in full (backend/rewards/_operators.py). */
const EXPLORED = 0.05;
const BAND = [0.2, 0.8];
const TINY = 1e-12;

/** The threshold that holds when so much of the run is done: equal parts, in order. @param {number[]} thresholds @param {number} done 0 to 1 */
export const thresholdAt = (thresholds, done) => thresholds[Math.min(Math.floor(done * thresholds.length), thresholds.length - 1)];

/** How much a prompt counts of whose pictures a share p succeeds. @param {string} kind none, peak or band @param {number} p */
export function difficultyWeight(kind, p) {
  if (kind === "none") return 1;
  const full = kind === "band" ? Number(p > BAND[0] - TINY && p < BAND[1] + TINY) : 4 * p * (1 - p);
  return Math.max(full, EXPLORED);
}

/** Rising numbers of a text; null where one cannot be read or they fall. @param {string} text @returns {number[] | null} */
export function readList(text) {
  const found = text.split(/[,;\s]+/).filter(Boolean).map((part) => Number(part.replace("−", "-")));
  return found.length && found.every((v, i) => Number.isFinite(v) && (i === 0 || v >= found[i - 1])) ? found : null;
}

function area(width, height) {
  const [left, right, top, bottom] = [PAD.left, width - PAD.right, PAD.top, height - PAD.bottom];
  return { left, right, top, bottom, x: (share) => left + share * (right - left), y: (share) => bottom - share * (bottom - top) };
}

const word = (x, y, text, anchor = "middle") => svg("text", { x: x.toFixed(1), y: y.toFixed(1), "text-anchor": anchor }, text);

/**
 * Steps of a threshold over the run, with the share of values that reach each.
 * @param {number[]} thresholds @param {number[]} values what the reward said, without missing ones
 * @param {{done?: number|null, colour?: string, width?: number, height?: number}} [options] done: a mark at this share of the run
 */
export function risingFigure(thresholds, values, { done = null, colour = "var(--text)", width = 320, height = 120 } = {}) {
  const { left, right, bottom, x, y } = area(width, height);
  const num_ = thresholds.length;
  const ends = [...thresholds, ...(values.length ? [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))] : [])];
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const at = (v) => y(0.06 + 0.8 * ((v - low) / (high - low || 1)));
  const reach = thresholds.map((t) => (values.length ? values.filter((v) => v >= t).length / values.length : null));
  const said = thresholds.map((t, i) => `${figure(t)}${reach[i] === null ? "" : `, reached by ${num(100 * reach[i], 0)} %`}`).join("; ");
  const root = svg("svg", { class: "ch", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "data-testid": "rising", "data-thresholds": thresholds.join(" "), "data-reach": reach.map((r) => r ?? "").join(" "), "aria-label": `Threshold through the run: ${said}` });
  for (const v of [low, high]) root.append(svg("path", { class: "grid", d: `M${left} ${at(v).toFixed(1)}H${right}` }), word(left - 6, at(v) + 4, figure(v, 2), "end"));
  thresholds.forEach((t, i) => {
    const [from, to] = [x(i / num_), x((i + 1) / num_)];
    const holds = done !== null && thresholdAt(thresholds, done) === t && Math.min(Math.floor(done * num_), num_ - 1) === i;
    root.append(svg("path", { d: `M${from.toFixed(1)} ${at(t).toFixed(1)}H${to.toFixed(1)}${i + 1 < num_ ? `V${at(thresholds[i + 1]).toFixed(1)}` : ""}`, fill: "none", style: `stroke:${colour};stroke-width:${holds ? 3 : 1.5}` }));
    if (reach[i] !== null && to - from > 26) root.append(word((from + to) / 2, at(t) - 5, `${num(100 * reach[i], 0)} %`));
  });
  if (done !== null) root.append(svg("path", { d: `M${x(done).toFixed(1)} ${PAD.top}V${bottom}`, style: "stroke:var(--accent);stroke-dasharray:3 3" }));
  root.append(word(left, height - 5, "begin", "start"), word(right, height - 5, "end of the run", "end"));
  return root;
}

/**
 * How much prompts count by the share of their pictures that succeed.
 * @param {string} kind none, peak or band @param {number[]} [shares] of prompts there are: a dot each, larger where several lie
 * @param {{width?: number, height?: number}} [options]
 */
export function difficultyFigure(kind, shares = [], { width = 320, height = 120 } = {}) {
  const { left, right, x, y } = area(width, height);
  const at = (w) => y(0.9 * w);
  const line = Array.from({ length: POINTS }, (_, i) => i / (POINTS - 1)).map((p) => `${x(p).toFixed(1)},${at(difficultyWeight(kind, p)).toFixed(1)}`);
  const dots = new Map();
  for (const p of shares) dots.set(p, (dots.get(p) ?? 0) + 1);
  const mean = shares.length ? shares.reduce((sum, p) => sum + difficultyWeight(kind, p), 0) / shares.length : null;
  const root = svg("svg", { class: "ch", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "data-testid": "difficulty", "data-kind": kind, "data-mean": mean,
    "aria-label": mean === null ? "How much a prompt counts by its share of successes" : `How much a prompt counts by its share of successes; ${fmt.count(shares.length, "prompt")} here, on average ${num(mean)}` });
  for (const w of [0, 0.5, 1]) root.append(svg("path", { class: "grid", d: `M${left} ${at(w).toFixed(1)}H${right}` }), word(left - 6, at(w) + 4, w === 0.5 ? ".5" : String(w), "end"));
  root.append(svg("polyline", { class: "ln", points: line.join(" ") }));
  for (const [p, count] of dots) root.append(svg("circle", { cx: x(p).toFixed(1), cy: at(difficultyWeight(kind, p)).toFixed(1), r: Math.min(9, 2.5 + Math.sqrt(count)).toFixed(1), style: "fill:var(--accent);opacity:.7" }, svg("title", {}, `${fmt.count(count, "prompt")}: ${num(100 * p, 0)} % succeed, counts ${num(difficultyWeight(kind, p))}`)));
  root.append(word(left, height - 5, "none succeed", "start"), word(right, height - 5, "all succeed", "end"));
  return root;
}
