/**
 * The smallest tools every drawing here needs: elements, numbers as words, axis ticks.
 * Nothing in this file knows a page.
 */

const NS = "http://www.w3.org/2000/svg";

/**
 * One SVG element. Attributes that are null are left out; children may be strings (text, never markup).
 * @param {string} tag
 * @param {Record<string, unknown>} [attrs]
 * @param {...(Node|string|null)} children
 * @returns {SVGElement}
 */
export function svg(tag, attrs = {}, ...children) {
  const node = document.createElementNS(NS, tag);
  for (const [key, value] of Object.entries(attrs)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on") && typeof value === "function") {
      node.addEventListener(key.slice(2), /** @type {EventListener} */ (value));
    } else node.setAttribute(key, String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/**
 * A number the way the studio writes it: a real minus sign, no zero before the point, and an en dash
 * where there is no value.
 * @param {number|null|undefined} value
 * @param {number} [digits] decimals
 * @param {{sign?: boolean}} [options] sign: also write the plus
 */
export function num(value, digits = 2, { sign = false } = {}) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const text = Math.abs(value).toFixed(digits);
  const short = text.startsWith("0.") ? text.slice(1) : text;
  if (Number(text) === 0) return sign ? "±0" : short;
  return (value < 0 ? "−" : sign ? "+" : "") + short;
}

/** An advantage: signed, two decimals, the zero before the point kept so that columns line up. */
export function advantage(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const text = Math.abs(value).toFixed(2);
  return Number(text) === 0 ? "±0" : `${value < 0 ? "−" : "+"}${text}`;
}

/** A small or large number with about `figures` figures that count: .00012 becomes 1.2e−4. */
export function figure(value, figures = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e6) return value.toExponential(figures - 2).replace(/\.0+e/, "e").replace(/-/g, "−").replace("e+", "e");
  const digits = Math.max(0, figures - 1 - Math.floor(Math.log10(size)));
  return num(value, Math.min(digits, 6));
}

/** Thousands set apart by thin spaces: 2136 becomes "2 136". */
export function count(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return Math.round(value).toString().replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/**
 * Round tick positions that cover [low, high], about `wanted` of them.
 * @returns {{ticks: number[], digits: number}}
 */
export function ticks(low, high, wanted = 5) {
  if (!(high > low)) [low, high] = [low - 0.5, high + 0.5];
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999) ?? power * 10;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const out = [];
  for (let i = first; i <= last; i += 1) out.push(i * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (Math.abs(step / power - 2.5) < 1e-9 ? 1 : 0));
  return { ticks: out, digits };
}

/** The colour token of the reward at `index`, in the fixed order of the run's settings. */
export const rewardColour = (index) => `var(--r${(index % 6) + 1})`;

/** Dash patterns of the reward tokens: the second cue beside colour. */
export const rewardDash = (index) => [null, "6 3", "2 3", "8 3 2 3", "1 3", "10 4"][index % 6];

/** The colour token of an advantage: orange below the group's mean, teal above. */
export function advantageColour(value) {
  const size = Math.abs(value ?? 0);
  if (size < 0.1) return "var(--adv-0)";
  const level = size < 0.6 ? 1 : size < 1.2 ? 2 : 3;
  return `var(--adv-${value < 0 ? "n" : "p"}${level})`;
}

/** The class that colours an advantage written as text. */
export const advantageClass = (value) =>
  Math.abs(value ?? 0) < 0.005 ? "muted" : value < 0 ? "neg" : "pos";
