/** Plots: is a reward's confidence earned, where do two rewards part, how sure is a share, how a share moves with something. */

import { kept } from "/static/js/lib.js";
import { num, svg, ticks } from "/static/js/svg.js";

const PAD = { left: 38, right: 12, top: 10, bottom: 34 };

/** The empty frame of a plot with both axes. */
export function frame({ width, height, x: [x0, x1], y: [y0, y1], label, xWord, yWord, isNamed = false }) {
  const translate = isNamed ? "no" : null;
  const area = { left: PAD.left, right: width - PAD.right, top: PAD.top, bottom: height - PAD.bottom };
  const x = (/** @type {number} */ v) => area.left + ((v - x0) / (x1 - x0 || 1)) * (area.right - area.left);
  const y = (/** @type {number} */ v) => area.bottom - ((v - y0) / (y1 - y0 || 1)) * (area.bottom - area.top);
  const root = svg("svg", { class: "ch", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const across = ticks(x0, x1, Math.max(3, Math.round(width / 110)));
  const up = ticks(y0, y1, Math.max(3, Math.round(height / 60)));
  for (const v of across.ticks) {
    root.append(svg("path", { class: "grid", d: `M${x(v).toFixed(1)} ${area.top}V${area.bottom}` }),
      svg("text", { x: x(v).toFixed(1), y: area.bottom + 15, "text-anchor": "middle" }, Math.abs(v) < 1e-12 ? "0" : num(v, across.digits)));
  }
  for (const v of up.ticks) {
    root.append(svg("path", { class: "grid", d: `M${area.left} ${y(v).toFixed(1)}H${area.right}` }),
      svg("text", { x: area.left - 6, y: y(v) + 4, "text-anchor": "end" }, Math.abs(v) < 1e-12 ? "0" : num(v, up.digits)));
  }
  root.append(svg("text", { x: area.right, y: height - 2, "text-anchor": "end", class: "lab", translate }, xWord),
    svg("text", { x: area.left + 6, y: area.top + 10, class: "lab", translate }, yWord));
  return { root, x, y, area };
}

/**
 * Five bins of confidence against how often the favoured picture did win.
 * @param {{predicted: number, observed: number|null, low: number, high: number, num: number}[]} bins
 */
export function calibrationPlot(bins, width = 320, height = 250) {
  const said = bins.filter((b) => b.num > 0).map((b) => `sure ${num(b.predicted)}, right ${num(b.observed)} of ${b.num}`).join("; ");
  const lowest = Math.min(0.4, ...bins.filter((b) => b.num > 0).map((b) => b.low));
  const { root, x, y } = frame({ width, height, x: [0.5, 1], y: [Math.floor(lowest * 10) / 10, 1], label: `Calibration. ${said}`, xWord: "how sure it was", yWord: "how often it was right" });
  root.append(svg("path", { d: `M${x(0.5)} ${y(0.5)}L${x(1)} ${y(1)}`, fill: "none", style: "stroke:var(--line-control);stroke-dasharray:3 3" }));
  for (const bin of bins.filter((b) => b.num > 0 && b.observed !== null)) {
    const at = x(bin.predicted).toFixed(1);
    root.append(svg("path", { d: `M${at} ${y(bin.low).toFixed(1)}V${y(bin.high).toFixed(1)}`, style: "stroke:var(--text);stroke-width:1.5" }),
      svg("circle", { cx: at, cy: y(/** @type {number} */ (bin.observed)).toFixed(1), r: 4, style: "fill:var(--text)", "data-testid": "calibration-bin" },
        svg("title", {}, `sure ${num(bin.predicted)}: right in ${num(bin.observed)} of ${bin.num} pairs, 95 % ${num(bin.low)} to ${num(bin.high)}`)),
      svg("text", { x: Number(at) + 7, y: y(/** @type {number} */ (bin.observed)) + 4 }, String(bin.num)));
  }
  return root;
}

/** Accuracy by number of pairs learned from. @param {{pairs: number, accuracy: number, low: number, high: number}[]} curve */
export function learningCurve(curve, width = 320, height = 250) {
  const most = Math.max(...curve.map((c) => c.pairs), 10);
  const low = Math.min(0.5, ...curve.map((c) => c.low));
  const { root, x, y } = frame({ width, height, x: [0, most * 1.05], y: [Math.floor(low * 10) / 10, 1], label: `Held-out accuracy by pairs learned from: ${curve.map((c) => `${c.pairs} pairs ${num(c.accuracy)}`).join(", ")}`, xWord: "pairs learned from", yWord: "held-out accuracy" });
  const point = (c, key) => `${x(c.pairs).toFixed(1)},${y(c[key]).toFixed(1)}`;
  root.append(svg("polygon", { class: "band", points: [...curve.map((c) => point(c, "high")), ...[...curve].reverse().map((c) => point(c, "low"))].join(" ") }),
    svg("path", { d: `M${x(0)} ${y(0.5)}H${x(most * 1.05)}`, fill: "none", style: "stroke:var(--warn);stroke-dasharray:3 3" }),
    svg("text", { x: x(most * 1.05), y: y(0.5) - 4, "text-anchor": "end", style: "fill:var(--warn)" }, "guessing"),
    svg("polyline", { class: "ln", points: curve.map((c) => point(c, "accuracy")).join(" ") }));
  for (const c of curve) root.append(svg("circle", { cx: x(c.pairs).toFixed(1), cy: y(c.accuracy).toFixed(1), r: 2.5, style: "fill:var(--text)" }));
  return root;
}

/**
 * Samples by two rewards; a dot opens its picture.
 * @param {{x: number, y: number, url: string, prompt: string}[]} points
 * @param {{xWord: string, yWord: string, width?: number, height?: number, onPick: (point: any) => void}} options
 */
export function scatterPlot(points, { xWord, yWord, width = 660, height = 300, onPick }) {
  const range = (values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const air = (high - low || 1) * 0.05;
    return /** @type {[number, number]} */ ([low - air, high + air]);
  };
  const { root, x, y } = frame({ width, height, x: range(points.map((p) => p.x)), y: range(points.map((p) => p.y)), label: `${kept(xWord)} against ${kept(yWord)}, ${points.length} samples, rank correlation ${num(spearman(points))}`, xWord, yWord, isNamed: true });
  for (const point of points) {
    root.append(svg("circle", {
      cx: x(point.x).toFixed(1), cy: y(point.y).toFixed(1), r: 3.5, class: "pt", style: "fill:var(--text);opacity:.45;cursor:pointer", onclick: () => onPick(point),
    }, svg("title", {}, `${point.prompt}: ${xWord} ${num(point.x)}, ${yWord} ${num(point.y)}`)));
  }
  return root;
}

/** Rank correlation of the points; ties share their mean rank. */
export function spearman(points) {
  const rank = (values) => {
    const order = values.map((v, i) => [v, i]).sort((a, b) => a[0] - b[0]);
    const out = new Array(values.length);
    for (let i = 0; i < order.length;) {
      let j = i;
      while (j + 1 < order.length && order[j + 1][0] === order[i][0]) j += 1;
      for (let k = i; k <= j; k += 1) out[order[k][1]] = (i + j) / 2;
      i = j + 1;
    }
    return out;
  };
  const [a, b] = [rank(points.map((p) => p.x)), rank(points.map((p) => p.y))];
  const mean = (points.length - 1) / 2;
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) { ab += (a[i] - mean) * (b[i] - mean); aa += (a[i] - mean) ** 2; bb += (b[i] - mean) ** 2; }
  return aa && bb ? ab / Math.sqrt(aa * bb) : Number.NaN;
}

/** A share with its interval on a line from `from` to 1, chance dashed. @param {{accuracy: number, low: number, high: number}} share */
export function intervalBar(share, { width = 154, from = 0.4, tone = "var(--text)" } = {}) {
  const x = (/** @type {number} */ v) => 4 + ((Math.max(from, v) - from) / (1 - from)) * (width - 8);
  return svg("svg", { width, height: 14, "aria-hidden": "true" },
    svg("path", { d: `M${x(0.5)} 0v14`, style: "stroke:var(--line-control);stroke-dasharray:2 2" }),
    svg("path", { d: `M${x(share.low)} 7H${x(share.high)}`, style: `stroke:${tone};stroke-width:2` }),
    svg("circle", { cx: x(share.accuracy), cy: 7, r: 3.5, style: `fill:${tone}` }));
}

/** A number with its interval on a line from `from` to `to`, what nothing would give (`chance`) dashed.
 * @param {number|null} value @param {number|null} low @param {number|null} high
 * @param {{width?: number, from: number, to: number, chance?: number|null, bold?: boolean}} options */
export function intervalLine(value, low, high, { width = 120, from, to, chance = null, bold = false }) {
  const x = (/** @type {number} */ v) => 4 + ((Math.min(to, Math.max(from, v)) - from) / (to - from || 1)) * (width - 8);
  const known = value !== null && Number.isFinite(value);
  return svg("svg", { class: "iv", width, height: 14, viewBox: `0 0 ${width} 14`, "aria-hidden": "true" },
    svg("path", { d: `M4 7H${width - 4}`, style: "stroke:var(--line)" }),
    chance !== null ? svg("path", { d: `M${x(chance)} 1v12`, style: "stroke:var(--line-control);stroke-dasharray:2 2" }) : null,
    known && low !== null && high !== null ? svg("path", { d: `M${x(low)} 7H${x(high)}`, style: "stroke:var(--text);stroke-width:2" }) : null,
    known ? svg("circle", { cx: x(value), cy: 7, r: bold ? 4 : 3.5, style: "fill:var(--text)" }) : null);
}

/**
 * Agreement with its interval in bands of something: of seconds, of days. Bands without any are left open.
 * @param {{agreement: {value: number|null, low: number, high: number, num: number}, label: string}[]} bands
 * @param {{xWord: string, width?: number, height?: number}} options
 */
export function bandPlot(bands, { xWord, width = 340, height = 150 }) {
  const known = bands.filter((band) => band.agreement.value !== null);
  const lowest = Math.min(0.4, ...known.map((band) => band.agreement.low));
  const said = known.map((band) => `${band.label} ${num(band.agreement.value)}`).join("; ");
  const area = { left: 30, right: width - 10, top: 8, bottom: height - 32 };
  const y0 = Math.max(0, Math.floor(lowest * 10) / 10);
  const x = (/** @type {number} */ i) => area.left + ((i + 0.5) / Math.max(1, bands.length)) * (area.right - area.left);
  const y = (/** @type {number} */ v) => area.bottom - ((v - y0) / (1 - y0)) * (area.bottom - area.top);
  const root = svg("svg", { class: "ch", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Agreement with the rest by ${xWord}. ${said}` });
  const up = ticks(y0, 1, 3);
  for (const v of up.ticks) root.append(svg("path", { class: "grid", d: `M${area.left} ${y(v).toFixed(1)}H${area.right}` }), svg("text", { x: area.left - 6, y: y(v) + 4, "text-anchor": "end" }, v === 0 ? "0" : num(v, up.digits)));
  if (y0 < 0.5) root.append(svg("path", { d: `M${area.left} ${y(0.5)}H${area.right}`, fill: "none", style: "stroke:var(--line-control);stroke-dasharray:3 3" }));
  const every = Math.ceil(bands.length / 6);
  bands.forEach((band, i) => {
    const at = x(i).toFixed(1);
    if (i % every === 0) root.append(svg("text", { x: at, y: area.bottom + 14, "text-anchor": "middle" }, band.label));
    const { value, low, high, num: n } = band.agreement;
    if (value === null) return;
    root.append(svg("path", { d: `M${at} ${y(low).toFixed(1)}V${y(high).toFixed(1)}`, style: "stroke:var(--text);stroke-width:1.5" }),
      svg("circle", { cx: at, cy: y(value).toFixed(1), r: 3.5, style: "fill:var(--text)" }, svg("title", {}, `${band.label}: ${num(value)} of ${n} comparable, 95 % ${num(low)} to ${num(high)}`)));
  });
  if (known.length > 1) root.append(svg("polyline", { class: "ln", style: "opacity:.35", points: bands.map((band, i) => (band.agreement.value === null ? "" : `${x(i).toFixed(1)},${y(band.agreement.value).toFixed(1)}`)).filter(Boolean).join(" ") }));
  root.append(svg("text", { x: area.right, y: height - 2, "text-anchor": "end", class: "lab" }, xWord));
  return root;
}
