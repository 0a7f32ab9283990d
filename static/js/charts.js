/**
 * Live charts: plain data in, SVG out. A chart is redrawn whole from its spec, which for the few
 * hundred points a run has costs less than a frame; longer series are thinned per pixel column with
 * their extremes kept. A missing value is a gap and stays one.
 */

import { at, known, smooth, thin, thinBand } from "./series.js";
import { num, svg, ticks } from "./svg.js";

export { at, known, smooth, thin };

/**
 * @typedef {object} Series
 * @property {string} name            key, used in the readout
 * @property {string} [label]         written at the line's end
 * @property {[number, number|null][]} points
 * @property {[number, number, number][]} [band]   step, low, high
 * @property {string} [colour]        CSS colour
 * @property {string|null} [dash]
 * @property {number} [width]
 * @property {number} [opacity]
 * @property {boolean} [dots]         mark each point: a value measured there
 * @property {number} [bandOpacity]
 * @property {boolean} [quiet]        drawn, but without cursor dot and readout
 */

/**
 * @typedef {object} ChartSpec
 * @property {Series[]} series
 * @property {string} label           what a screen reader hears
 * @property {number} width
 * @property {number} height
 * @property {number} [xMin]          first step that is shown, 0 unless zoomed
 * @property {number} [xMax]          last step of the run
 * @property {[number, number]|null} [zoom]   only these steps, whatever there is
 * @property {{step: number, text: string}[]} [marks]   what people changed, and where
 * @property {number|null} [cursor]   the selected step
 * @property {{y: number, text: string, tone: string}[]} [floors]
 * @property {[number, number]} [range]   y range that is always shown
 * @property {boolean} [signed]       ticks carry a plus
 * @property {number} [right]         room for the labels at the line ends
 * @property {string} [empty]         said when there is nothing to draw
 * @property {(step: number) => void} [onPick]
 * @property {(step: number|null) => void} [onHover]
 * @property {(from: number, to: number) => void} [onZoom]   steps that were drawn over
 */

const LEFT = 34;
const TOP = 8;
const BOTTOM = 20;

/** @param {ChartSpec} given @returns {SVGElement} */
export function lineChart(given) {
  const spec = zoomed(given);
  const { width, height } = spec;
  const [low, high] = extent(spec);
  const right = spec.right ?? roomForLabels(spec);
  const area = { x0: LEFT, x1: width - right, y0: TOP, y1: height - BOTTOM };
  const { ticks: yTicks, digits } = ticks(low, high, height > 200 ? 5 : 3);
  const xMin = spec.xMin ?? 0;
  const xMax = spec.zoom?.[1] ?? Math.max(spec.xMax ?? 0, ...spec.series.map((s) => s.points.at(-1)?.[0] ?? 0), xMin + 1);
  const x = (/** @type {number} */ step) => area.x0 + ((step - xMin) / (xMax - xMin)) * (area.x1 - area.x0);
  const y = (/** @type {number} */ v) => area.y1 - ((v - low) / (high - low || 1)) * (area.y1 - area.y0);
  const root = svg("svg", {
    class: "ch", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": spec.label,
  });
  if (!spec.series.some((s) => s.points.some(([, v]) => v !== null))) {
    root.append(svg("text", { x: area.x0, y: height / 2 }, spec.empty ?? "no value yet"));
    return root;
  }
  for (const value of yTicks) {
    root.append(
      svg("path", { class: "grid", d: `M${area.x0} ${y(value).toFixed(1)}H${area.x1}` }),
      svg("text", { x: area.x0 - 6, y: y(value) + 4, "text-anchor": "end" }, tickText(value, digits, spec.signed)),
    );
  }
  drawSteps(root, [xMin, xMax], x, height, area.x1 - area.x0);
  for (const floor of spec.floors ?? []) drawFloor(root, floor, y, area);
  for (const mark of spec.marks ?? []) if (mark.step >= xMin && mark.step <= xMax) drawMark(root, mark, x, area);
  for (const series of spec.series) drawSeries(root, series, x, y, area);
  drawLabels(root, spec.series, x, y, area);
  keepCursor(root, spec.cursor ?? null, [xMin, xMax], (host, step) => drawCursor(host, spec.series, step, x, y, area));
  if (spec.onPick || spec.onHover || spec.onZoom) listen(root, spec, area, [xMin, xMax], x);
  return root;
}

/** The spec with nothing outside its zoom and no more points than pixels tell apart: ranges and labels follow what is seen. @param {ChartSpec} spec */
function zoomed(spec) {
  const [from, to] = spec.zoom ?? [0, Math.max(spec.xMax ?? 0, ...spec.series.map((s) => s.points.at(-1)?.[0] ?? 0), 1)];
  const inside = (/** @type {any} */ p) => p[0] >= from && p[0] <= to;
  const pixel = (/** @type {number} */ step) => ((step - from) / (to - from)) * spec.width;
  const series = spec.series.map((s) => ({ ...s, points: thin(spec.zoom ? s.points.filter(inside) : s.points, pixel), band: s.band && thinBand(spec.zoom ? s.band.filter(inside) : s.band, pixel) }));
  return spec.zoom ? { ...spec, series, xMin: from, xMax: to } : { ...spec, series };
}

/** Where somebody changed a setting. */
function drawMark(root, mark, x, area) {
  const at = x(mark.step).toFixed(1);
  root.append(svg("g", { class: "mark", "data-step": mark.step },
    svg("path", { d: `M${at} ${area.y0}V${area.y1}`, style: "stroke:var(--muted);stroke-dasharray:1 3", fill: "none" }),
    svg("path", { d: `M${at} ${area.y0 - 4}l4 4-4 4-4-4z`, style: "fill:var(--muted)" }), svg("title", {}, mark.text)));
}

/** Labels stand at the line ends: a run that is half done has room for them inside. */
function roomForLabels(spec) {
  const longest = Math.max(0, ...spec.series.map((s) => (s.label ?? "").length));
  if (!longest) return 10;
  const last = Math.max(0, ...spec.series.map((s) => s.points.at(-1)?.[0] ?? 0));
  const from = spec.xMin ?? 0;
  const free = (1 - (last - from) / Math.max((spec.xMax ?? 0) - from, last - from, 1)) * (spec.width - LEFT - 10);
  return Math.max(10, longest * 6.2 + 14 - free);
}

/** @param {ChartSpec} spec @returns {[number, number]} */
function extent(spec) {
  let [low, high] = spec.range ?? [Infinity, -Infinity];
  for (const series of spec.series) {
    for (const [, value] of series.points) {
      if (value !== null && Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    for (const [, a, b] of series.quiet ? [] : (series.band ?? [])) {
      if (Number.isFinite(a) && Number.isFinite(b)) [low, high] = [Math.min(low, a), Math.max(high, b)];
    }
  }
  for (const floor of spec.floors ?? []) [low, high] = [Math.min(low, floor.y), Math.max(high, floor.y)];
  if (!Number.isFinite(low)) return [0, 1];
  if (low === 0 && high === 0) return [0, 1];
  if (high - low < 1e-12) {
    const half = Math.max(Math.abs(high) * 0.05, 1e-6);
    return [low - half, high + half];
  }
  const air = (high - low) * 0.06;
  const floorAt = spec.range ? spec.range[0] : -Infinity;
  return [low - air < floorAt && low >= floorAt ? floorAt : low - air, high + air];
}

function tickText(value, digits, signed) {
  if (Math.abs(value) < 1e-12) return "0";
  if (digits > 3) return value.toExponential(0).replace(/-/g, "−");
  return num(value, digits, { sign: signed });
}

function drawSteps(root, [xMin, xMax], x, height, room) {
  const { ticks: steps } = ticks(xMin, xMax, Math.max(2, Math.round(room / 90)));
  for (const step of steps.filter(Number.isInteger)) {
    const anchor = step - xMin < (xMax - xMin) * 0.02 ? "start" : xMax - step < (xMax - xMin) * 0.03 ? "end" : "middle";
    root.append(svg("text", { x: x(step).toFixed(1), y: height - 3, "text-anchor": anchor }, String(step)));
  }
}

function drawFloor(root, floor, y, area) {
  const at = y(floor.y).toFixed(1);
  root.append(
    svg("path", { d: `M${area.x0} ${at}H${area.x1}`, style: `stroke:${floor.tone};stroke-dasharray:3 3`, fill: "none" }),
    svg("text", { x: area.x1, y: Number(at) - 4, "text-anchor": "end", style: `fill:${floor.tone}` }, floor.text),
  );
}

function drawSeries(root, series, x, y, area) {
  const band = (series.band ?? []).filter(([, a, b]) => Number.isFinite(a) && Number.isFinite(b));
  if (band.length > 1) {
    const upper = band.map(([s, , b]) => `${x(s).toFixed(1)},${y(b).toFixed(1)}`);
    const lower = band.map(([s, a]) => `${x(s).toFixed(1)},${y(a).toFixed(1)}`).reverse();
    root.append(svg("polygon", { class: "band", points: [...upper, ...lower].join(" "), style: [series.colour && `fill:${series.colour}`, series.bandOpacity && `opacity:${series.bandOpacity}`].filter(Boolean).join(";") }));
  }
  const style = [
    series.colour && `stroke:${series.colour}`, series.width && `stroke-width:${series.width}`,
    series.dash && `stroke-dasharray:${series.dash}`, series.opacity && `opacity:${series.opacity}`,
  ].filter(Boolean).join(";");
  const { points } = series;
  root.append(svg("path", { class: "ln", d: linePath(points, x, y), style }));
  if (!series.quiet) drawGaps(root, points, x, area);
  for (const [i, [step, value]] of points.entries()) {
    const alone = (points[i - 1]?.[1] ?? null) === null && (points[i + 1]?.[1] ?? null) === null;
    if (value === null || !(series.dots || alone)) continue;
    root.append(svg("circle", {
      cx: x(step).toFixed(1), cy: y(value).toFixed(1), r: 1.75, style: `fill:${series.colour ?? "var(--text)"}`,
    }));
  }
}

/** A step without a value between steps that have one is marked: a gap of a pixel would not be seen. */
function drawGaps(root, points, x, area) {
  const known = points.flatMap(([, value], i) => (value === null ? [] : [i]));
  const missing = points.slice(known[0] ?? 0, known.at(-1) ?? 0).filter(([, value]) => value === null);
  let last = -Infinity;
  for (const [step] of missing) {
    if (x(step) - last < 3) continue;
    last = x(step);
    root.append(svg("path", { class: "gap", d: `M${(last - 2.5).toFixed(1)} ${area.y1 - 6}l5 5m0-5l-5 5`, style: "stroke:var(--bad);stroke-width:1.5", fill: "none", "data-step": step },
      svg("title", {}, `no value at step ${step}`)));
  }
}

/** A path that breaks where a value is missing. */
export function linePath(points, x, y) {
  let d = "";
  let open = false;
  for (const [step, value] of points) {
    if (value === null || !Number.isFinite(value)) { open = false; continue; }
    d += `${open ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`;
    open = true;
  }
  return d;
}

function drawLabels(root, series, x, y, area) {
  const ends = series.filter((s) => s.label && s.points.some(([, v]) => v !== null)).map((s) => {
    const last = s.points.filter(([, v]) => v !== null).at(-1);
    return { text: s.label, isName: s.isName, x: x(last[0]) + 8, at: y(last[1]) };
  }).sort((a, b) => a.at - b.at);
  const pitch = Math.min(13, (area.y1 - area.y0) / Math.max(1, ends.length - 1));
  for (let i = 1; i < ends.length; i += 1) ends[i].at = Math.max(ends[i].at, ends[i - 1].at + pitch);
  if (ends.length) ends[ends.length - 1].at = Math.min(ends[ends.length - 1].at, area.y1);
  for (let i = ends.length - 2; i >= 0; i -= 1) ends[i].at = Math.min(ends[i].at, ends[i + 1].at - pitch);
  for (const end of ends) {
    root.append(svg("text", { class: "lab", x: end.x, y: end.at + 4, translate: end.isName ? "no" : null }, end.text));
  }
}

/** @type {WeakMap<SVGElement, (step: number|null) => void>} of every chart, what moves its cursor */
const cursors = new WeakMap();

/** Another step is chosen: nothing else of the chart is drawn anew. @param {SVGElement} root @param {number|null} step */
export function moveCursor(root, step) {
  cursors.get(root)?.(step);
}

/** A place in the chart for its cursor. @param {(host: SVGElement, step: number) => void} draw */
function keepCursor(root, first, [xMin, xMax], draw) {
  const host = svg("g");
  root.append(host);
  let now = /** @type {number|null|undefined} */ (undefined);
  const move = (/** @type {number|null} */ step) => {
    if (step === now) return;
    now = step;
    host.replaceChildren();
    if (step !== null && Number.isFinite(step) && step >= xMin && step <= xMax) draw(host, step);
  };
  move(first);
  cursors.set(root, move);
}

function drawCursor(root, all, step, x, y, area) {
  root.append(svg("path", { class: "cur", d: `M${x(step).toFixed(1)} ${area.y0}V${area.y1}`, "data-step": step }));
  for (const series of all.filter((s) => !s.quiet)) {
    const point = at(series.points, step);
    if (point) root.append(svg("circle", { class: "curdot", cx: x(point[0]).toFixed(1), cy: y(point[1]).toFixed(1), r: 3 }));
  }
}

function listen(root, spec, area, [xMin, xMax], x) {
  const ghost = svg("path", { class: "hover", d: "", "pointer-events": "none" });
  const stepAt = (/** @type {MouseEvent} */ event, box = root.getBoundingClientRect()) => {
    const inside = ((event.clientX - box.left) / box.width) * spec.width;
    return Math.max(xMin, Math.min(xMax, Math.round(xMin + ((inside - area.x0) / (area.x1 - area.x0)) * (xMax - xMin))));
  };
  root.append(ghost);
  let drawn = false;
  if (spec.onZoom) drawOver(root, area, x, stepAt, (from, to) => { drawn = true; spec.onZoom?.(from, to); });
  root.addEventListener("pointermove", (event) => {
    const step = stepAt(/** @type {MouseEvent} */ (event));
    ghost.setAttribute("d", `M${x(step).toFixed(1)} ${area.y0}V${area.y1}`);
    spec.onHover?.(step);
  });
  root.addEventListener("pointerleave", () => { ghost.setAttribute("d", ""); spec.onHover?.(null); });
  if (spec.onPick) {
    root.style.cursor = "pointer";
    root.addEventListener("click", (event) => { if (!drawn) spec.onPick?.(stepAt(/** @type {MouseEvent} */ (event))); });
  }
}

const FAR = 8;

/** Drawing over a part of the chart chooses its steps, even if the chart is drawn anew meanwhile; a click stays a click. */
function drawOver(root, area, x, stepAt, onDone) {
  const box = svg("rect", { class: "over", y: area.y0, height: area.y1 - area.y0, width: 0, style: "fill:var(--accent);opacity:.14", "pointer-events": "none" });
  root.append(box);
  root.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch") return;
    const place = root.getBoundingClientRect();
    const [from, began] = [stepAt(event, place), event.clientX];
    const move = (/** @type {PointerEvent} */ now) => {
      const [a, b] = [x(from), x(stepAt(now, place))].sort((p, q) => p - q);
      box.setAttribute("x", a.toFixed(1));
      box.setAttribute("width", Math.abs(now.clientX - began) < FAR ? "0" : (b - a).toFixed(1));
    };
    const up = (/** @type {PointerEvent} */ end) => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", up);
      box.setAttribute("width", "0");
      const to = stepAt(end, place);
      if (Math.abs(end.clientX - began) >= FAR && Math.abs(to - from) >= 2) onDone(Math.min(from, to), Math.max(from, to));
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", up);
  });
}

/** A line without axes, for a table cell. */
export function spark(values, width = 72, height = 18) {
  const known = values.filter((v) => v !== null && Number.isFinite(v));
  const root = svg("svg", { class: "spark", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  if (known.length < 2) return root;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const x = (/** @type {number} */ i) => 2 + (i / (values.length - 1)) * (width - 4);
  const y = (/** @type {number} */ v) => height - 3 - ((v - low) / (high - low || 1)) * (height - 6);
  const d = linePath(values.map((v, i) => [i, v]), x, y);
  root.append(svg("path", { d, fill: "none", stroke: "var(--muted)", "stroke-width": 1.25, "stroke-linejoin": "round" }));
  return root;
}

/** Parts of a whole, side by side: the seconds of an iteration by phase. */
export function shareBar(parts, height = 10) {
  const total = parts.reduce((sum, part) => sum + part.value, 0) || 1;
  const shades = [1, 0.62, 0.42, 0.28, 0.18];
  const bar = document.createElement("div");
  bar.className = "rstack";
  bar.style.height = `${height}px`;
  parts.forEach((part, i) => {
    const piece = document.createElement("i");
    piece.style.cssText = `height:${height}px;width:${(100 * part.value) / total}%;background:var(--muted);opacity:${shades[Math.min(i, 4)]}`;
    piece.title = `${part.name} ${num(part.value, 2)} s, ${num((100 * part.value) / total, 0)} %`;
    bar.append(piece);
  });
  return bar;
}

/**
 * Phases piled on each other: what an iteration's time or work went to.
 * @param {{steps: number[], parts: {name: string, values: (number|null)[]}[], label: string, width: number,
 *          height: number, xMax: number, cursor: number|null, onPick?: (step: number) => void,
 *          onHover?: (step: number|null) => void}} spec
 */
export function areaChart(spec) {
  const shades = [0.62, 0.4, 0.26, 0.16, 0.1, 0.06];
  let base = spec.steps.map(() => 0);
  const parts = spec.parts.map((part, i) => {
    const from = base;
    base = base.map((value, j) => value + (part.values[j] ?? 0));
    const last = part.values.findLast((value) => value !== null) ?? 0;
    return { name: part.name, from, to: base, last, shade: shades[Math.min(i, shades.length - 1)] };
  });
  const named = new Set([...parts].sort((a, b) => b.last - a.last).slice(0, 3));
  const points = (/** @type {number[]} */ values) => spec.steps.map((step, i) => /** @type {[number, number]} */ ([step, values[i]]));
  return lineChart({
    ...spec, range: [0, 0],
    series: parts.map((part, i) => ({
      name: part.name, label: named.has(part) ? part.name : undefined, points: points(part.to), colour: "var(--muted)", width: 0.75,
      band: spec.steps.map((step, j) => /** @type {[number, number, number]} */ ([step, part.from[j], part.to[j]])),
      bandOpacity: part.shade, quiet: i < parts.length - 1,
    })),
  });
}

/**
 * A share for every (iteration, denoising step): darker is more. Cells without a value stay empty.
 * @param {{steps: number[], rows: {name: string, values: (number|null)[]}[], label: string, width: number,
 *          height: number, xMax: number, cursor: number|null, empty?: string, zoom?: [number, number]|null,
 *          onPick?: (step: number) => void, onHover?: (step: number|null) => void, onZoom?: (from: number, to: number) => void}} spec
 */
export function heatChart(spec) {
  const area = { x0: LEFT, x1: spec.width - 10, y0: TOP, y1: spec.height - BOTTOM };
  const root = svg("svg", { class: "ch", width: spec.width, height: spec.height, viewBox: `0 0 ${spec.width} ${spec.height}`, role: "img", "aria-label": spec.label });
  const [xMin, xMax] = spec.zoom ?? [0, Math.max(spec.xMax, spec.steps.at(-1) ?? 0, 1)];
  const x = (/** @type {number} */ step) => area.x0 + ((step - xMin) / (xMax - xMin)) * (area.x1 - area.x0);
  if (!spec.rows.length) {
    root.append(svg("text", { x: area.x0, y: spec.height / 2 }, spec.empty ?? "no value yet"));
    return root;
  }
  const tall = (area.y1 - area.y0) / spec.rows.length;
  const most = spec.rows.reduce((high, row) => row.values.reduce((/** @type {number} */ top, v) => (v > top ? v : top), high), 0.02);
  const bin = Math.max(1, Math.ceil((xMax - xMin) / 120));
  spec.rows.forEach((row, r) => {
    const y = area.y0 + r * tall;
    if (r % Math.ceil(spec.rows.length / 5) === 0) root.append(svg("text", { x: area.x0 - 6, y: y + tall / 2 + 4, "text-anchor": "end" }, row.name));
    root.append(svg("path", { class: "grid", d: `M${area.x0} ${(y + tall).toFixed(1)}H${area.x1}` }));
    for (let from = 0; from < spec.steps.length; from += bin) {
      if (spec.steps[from] < xMin || spec.steps[from] > xMax) continue;
      const part = row.values.slice(from, from + bin).filter((v) => v !== null && Number.isFinite(v));
      if (!part.length) continue;
      const value = part.reduce((a, b) => a + b, 0) / part.length;
      root.append(svg("rect", {
        x: x(spec.steps[from] - 0.5).toFixed(1), y: (y + 0.5).toFixed(1), width: Math.max(1, x(bin) - x(0)).toFixed(1), height: (tall - 1).toFixed(1),
        style: `fill:var(--text);opacity:${(0.07 + 0.8 * (value / most)).toFixed(2)}`,
      }));
    }
  });
  drawSteps(root, [xMin, xMax], x, spec.height, area.x1 - area.x0);
  keepCursor(root, spec.cursor, [xMin, xMax], (host, step) => host.append(svg("path", { class: "cur", d: `M${x(step).toFixed(1)} ${area.y0}V${area.y1}`, "data-step": step })));
  if (spec.onPick || spec.onHover || spec.onZoom) listen(root, spec, area, [xMin, xMax], x);
  return root;
}
