/** What rewards say of the project's newest samples: asked once for the same settings, drawn as a small histogram. */

import { api, el, fill, poll } from "/static/js/lib.js";
import { figure } from "/static/js/svg.js";

const BINS = 16;
const WIDTH = 72;
const HEIGHT = 24;
const LOOK_S = 1.5;

export class Glances {
  /** @param {{onNews: () => void}} options told when something new is known */
  constructor({ onNews }) {
    this.onNews = onNews;
    this.key = "";
    /** @type {Record<string, {state: string, values: (number|null)[], reason: string, compares: boolean}>} */
    this.seen = {};
    this.stop = () => {};
  }

  close() {
    this.stop();
  }

  /** Ask about these terms, if any is another than before. @param {any[]} terms of a config, trained and watched */
  want(terms) {
    const asked = terms.map(({ name, kind, config }) => ({ name, kind, config: config ?? {} }));
    const key = JSON.stringify(asked);
    if (key === this.key) return;
    this.key = key;
    this.stop();
    this.stop = poll(() => this.look(asked, key), LOOK_S);
  }

  async look(terms, key) {
    let found = {};
    try {
      found = terms.length ? await api("runs/glance", { body: { terms } }) : {};
    } catch (error) {
      if (error.status !== 422) throw error; // a setting that cannot be read: the preflight says which
    }
    if (key !== this.key) return;
    if (!Object.values(found).some((one) => one.state === "asked")) this.stop();
    const news = JSON.stringify(found) !== JSON.stringify(this.seen);
    this.seen = found;
    if (news) this.onNews();
  }
}

/** Values as their term's transform makes them (backend/rewards/compose.py); these samples stand for a group, and for the base's pictures.
 * @param {(number|null)[]} values @param {any} term */
export function transformed(values, { transform = "none", quantile = 0.5, temperature = 0, thresholds = [] } = {}) {
  const known = values.filter((v) => v !== null && Number.isFinite(v));
  if (transform === "log") return known.map((v) => Math.log1p(Math.max(v, 0)));
  if (transform === "sign") return known.map(Math.sign);
  if (transform === "rank") {
    return known.map((v) => (known.length < 2 ? 0.5 : known.reduce((sum, other) => sum + (v > other ? 1 : v === other ? 0.5 : 0), -0.5) / (known.length - 1)));
  }
  if (transform === "threshold") return known.map((v) => (v < (thresholds[0] ?? -Infinity) ? 0 : v));
  if (transform === "log-sigmoid") {
    const sorted = [...known].sort((a, b) => a - b);
    const at = (sorted.length - 1) * quantile;
    const reference = sorted[Math.floor(at)] + (at % 1) * ((sorted[Math.ceil(at)] ?? 0) - sorted[Math.floor(at)]);
    const mean = known.reduce((a, b) => a + b, 0) / known.length;
    const sd = known.length > 1 ? Math.sqrt(known.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (known.length - 1)) : 0;
    return known.map((v) => -Math.log1p(Math.exp(-(v - reference) / Math.max(temperature || sd, 1e-12))));
  }
  return known;
}

/** How many values fall into each of `bins` equal parts. @param {number[]} values @returns {{counts: number[], low: number, high: number}} */
export function binned(values, bins = BINS) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const counts = new Array(bins).fill(0);
  for (const value of values) counts[high > low ? Math.min(bins - 1, Math.floor((bins * (value - low)) / (high - low))) : Math.floor(bins / 2)] += 1;
  return { counts, low, high };
}

/** The histogram of a term, or why there is none yet. @param {HTMLElement} host @param {any} term @param {any} seen */
export function drawHistogram(host, term, seen) {
  const say = (text, title = "", cls = "faint") => fill(host, el("span", { class: `meta ${cls}`, title }, text));
  host.dataset.state = seen?.state ?? "unknown";
  if (!seen || seen.state === "unknown") return say("–", "Its settings cannot be asked yet.");
  if (seen.state === "asked") return say("asking", "A worker of the score queue is asked to try it on the newest samples.");
  if (seen.state === "failed") return say("failed", seen.reason, "bad");
  if (seen.compares) return say("compares", "It compares pictures of one prompt: a single picture has no value.");
  const values = transformed(seen.values, term);
  if (!values.length) return say(seen.values.length ? "no value" : "no samples", seen.values.length ? seen.reason : "Generate pictures first, and its distribution is drawn here.");
  const { counts, low, high } = binned(values);
  const most = Math.max(...counts);
  const bar = WIDTH / BINS;
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const missing = seen.values.length - values.length;
  const words = `${values.length} samples from ${figure(low)} to ${figure(high)}, mean ${figure(mean)}${missing ? `, ${missing} without a value` : ""}`;
  return fill(host, el("svg", { class: "hist", width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${term.name}: ${words}`, "data-counts": counts.join(" ") },
    el("title", null, words), counts.map((count, i) => (count ? el("rect", { x: (i * bar + 0.5).toFixed(1), width: (bar - 1).toFixed(1), y: (HEIGHT - 1 - (HEIGHT - 3) * (count / most)).toFixed(1), height: (1 + (HEIGHT - 3) * (count / most)).toFixed(1) }) : null)),
    el("path", { d: `M0 ${HEIGHT - 0.5}H${WIDTH}` })));
}
