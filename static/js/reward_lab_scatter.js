/** Two rewards over a set: a canvas of points, and a box over them that is drawn with the pointer or moved with the keys. */

import { el, fill, fmt, kept, keys, live } from "/static/js/lib.js";
import { frame } from "/static/js/plots.js";
import { figure, num } from "/static/js/svg.js";

const SHOWN = 24;
/** A key moves the box by this share of the axis. */
const STEP = 0.05;
const ARROWS = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowDown: ["y", -1], ArrowUp: ["y", 1] };

export class Scatter {
  /** @param {HTMLElement} host @param {{thumb: (i: number, caption: any) => HTMLElement, act: (rows: number[]) => any}} options act: what can be done with the selected */
  constructor(host, { thumb, act }) {
    Object.assign(this, { thumb, act });
    this.plot = el("div", { class: "lab-plot" });
    this.picked = el("div", { class: "sec", "data-testid": "brushed", "aria-live": "off" });
    fill(host, this.plot, this.picked);
    /** @type {{x: [number, number], y: [number, number]} | null} in the rewards' units */
    this.box = null;
    this.selected = [];
    this.watch = new ResizeObserver(() => { if (this.data && Math.abs(this.plot.clientWidth - this.width) > 4) this.draw(); });
    this.watch.observe(this.plot);
    this.theme = new MutationObserver(() => { if (this.data) this.paint(); });
    for (const node of [document.documentElement, document.body]) this.theme.observe(node, { attributes: true, attributeFilter: ["data-theme", "class"] });
  }

  close() {
    this.watch.disconnect();
    this.theme.disconnect();
  }

  /** @param {{x: (number|null)[], y: (number|null)[], xWord: string, yWord: string}} data */
  show(data) {
    const same = this.data && this.data.xWord === data.xWord && this.data.yWord === data.yWord;
    this.data = data;
    this.rows = data.x.map((_, i) => i).filter((i) => data.x[i] !== null && data.y[i] !== null);
    if (!same) this.box = null;
    this.draw();
  }

  draw() {
    const { data, rows } = this;
    this.width = this.plot.clientWidth || 640;
    const height = Math.max(260, Math.min(440, Math.round(this.width * 0.6)));
    if (rows.length < 2) {
      this.canvas = null;
      fill(this.plot, el("p", { class: "meta muted", style: "padding:12px 16px", "data-testid": "scatter-empty" }, `Fewer than two pictures have a value of both ${kept(data.xWord)} and ${kept(data.yWord)}. Score the set first.`));
      fill(this.picked);
      return;
    }
    const range = (/** @type {(number|null)[]} */ column) => {
      const values = rows.map((i) => /** @type {number} */ (column[i]));
      const [low, high] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
      const air = (high - low || 1) * 0.04;
      return /** @type {[number, number]} */ ([low - air, high + air]);
    };
    this.range = { x: range(data.x), y: range(data.y) };
    const { root, x, y, area } = frame({ width: this.width, height, x: this.range.x, y: this.range.y, label: "", xWord: data.xWord, yWord: data.yWord, isNamed: true });
    root.setAttribute("aria-hidden", "true");
    Object.assign(this, { at: { x, y }, area, height });
    this.canvas = /** @type {HTMLCanvasElement} */ (el("canvas", { tabindex: "0", role: "img", "data-testid": "scatter", "data-points": rows.length, "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown Escape",
      "aria-label": `${kept(data.xWord)} against ${kept(data.yWord)}, ${rows.length} pictures. Arrow keys move a box that selects, with Shift they make it larger or smaller, Escape takes it away.`,
      onpointerdown: (e) => this.drag(e), onkeydown: (e) => this.key(e) }));
    this.accent = el("i", { style: "color:var(--accent);display:none" });
    fill(this.plot, root, this.canvas, this.accent);
    this.select();
  }

  /** Draw all points and the box. */
  paint() {
    const canvas = this.canvas;
    if (!canvas) return;
    const dpr = window.devicePixelRatio || 1;
    Object.assign(canvas, { width: Math.round(this.width * dpr), height: Math.round(this.height * dpr) });
    Object.assign(canvas.style, { width: `${this.width}px`, height: `${this.height}px` });
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.scale(dpr, dpr);
    const chosen = new Set(this.selected);
    const size = this.rows.length > 1500 ? 2.5 : 5;
    const dot = (i, r) => { pen.beginPath(); pen.arc(this.at.x(this.data.x[i]), this.at.y(this.data.y[i]), r, 0, 7); pen.fill(); };
    pen.fillStyle = getComputedStyle(canvas).color;
    pen.globalAlpha = this.rows.length > 1500 ? 0.35 : 0.5;
    for (const i of this.rows) if (!chosen.has(i)) dot(i, size / 2);
    pen.globalAlpha = 1;
    const accent = getComputedStyle(this.accent).color;
    pen.fillStyle = accent;
    for (const i of this.selected) dot(i, size / 2 + 0.5);
    if (!this.box) return;
    const { x, y } = this.box;
    pen.strokeStyle = accent;
    pen.setLineDash([4, 3]);
    pen.strokeRect(this.at.x(x[0]), this.at.y(y[1]), this.at.x(x[1]) - this.at.x(x[0]), this.at.y(y[0]) - this.at.y(y[1]));
  }

  /** Find what the box holds, and show it. */
  select() {
    const { x, y } = this.box ?? {};
    const inside = (v, [low, high]) => v >= low && v <= high;
    this.selected = this.box ? this.rows.filter((i) => inside(this.data.x[i], x) && inside(this.data.y[i], y)) : [];
    if (this.canvas) this.canvas.dataset.selected = String(this.selected.length);
    this.paint();
    this.drawPicked();
  }

  drawPicked() {
    const rows = this.selected;
    if (!rows.length) {
      fill(this.picked, el("p", { class: "meta muted" }, this.box ? "No picture lies in the box." : "Draw a box over the points, or press an arrow key on the plot, to see the pictures behind them."));
      return;
    }
    const every = rows.length > SHOWN ? rows.length / SHOWN : 1;
    const shown = Array.from({ length: Math.min(SHOWN, rows.length) }, (_, k) => rows[Math.floor(k * every)]);
    const caption = (i) => [el("span", null, figure(this.data.x[i], 2)), " ", el("span", { class: "faint" }, figure(this.data.y[i], 2))];
    fill(this.picked, el("div", { class: "sec-h" }, el("h2", null, `${fmt.count(rows.length, "picture")} selected`), el("span", { class: "meta muted clip grow" }, rows.length > shown.length ? `${shown.length} of them are shown` : ""), this.act(rows)),
      el("div", { class: "lab-thumbs" }, shown.map((i) => this.thumb(i, caption(i)))));
  }

  /** @param {PointerEvent} e */
  drag(e) {
    if (e.button !== 0) return;
    const canvas = /** @type {HTMLCanvasElement} */ (this.canvas);
    canvas.setPointerCapture(e.pointerId);
    const rect = canvas.getBoundingClientRect();
    const value = (event) => ({ x: this.back("x", event.clientX - rect.left), y: this.back("y", event.clientY - rect.top) });
    const from = value(e);
    let waiting = 0;
    const move = (event) => {
      const to = value(event);
      this.box = { x: [Math.min(from.x, to.x), Math.max(from.x, to.x)], y: [Math.min(from.y, to.y), Math.max(from.y, to.y)] };
      if (!waiting) waiting = requestAnimationFrame(() => { waiting = 0; this.select(); });
    };
    const end = (event) => {
      canvas.removeEventListener("pointermove", move);
      canvas.removeEventListener("pointerup", end);
      canvas.removeEventListener("pointercancel", end);
      const far = Math.abs(event.clientX - e.clientX) + Math.abs(event.clientY - e.clientY);
      if (far < 4) this.box = null;
      cancelAnimationFrame(waiting);
      this.select();
    };
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
  }

  /** A place on the canvas as a value. @param {"x"|"y"} axis @param {number} px */
  back(axis, px) {
    const [low, high] = this.range[axis];
    const { left, right, top, bottom } = this.area;
    const share = axis === "x" ? (px - left) / (right - left) : (bottom - px) / (bottom - top);
    return low + Math.max(0, Math.min(1, share)) * (high - low);
  }

  /** @param {KeyboardEvent} e */
  key(e) {
    if (!keys.enabled()) return;
    if (e.key === "Escape" && this.box) { this.box = null; e.stopPropagation(); this.select(); return; }
    const arrow = ARROWS[e.key];
    if (!arrow) return;
    e.preventDefault();
    e.stopPropagation();
    const [axis, sign] = arrow;
    const middle = (/** @type {[number, number]} */ [low, high]) => /** @type {[number, number]} */ ([low + 0.4 * (high - low), low + 0.6 * (high - low)]);
    const [low, high] = this.range[axis];
    const by = sign * STEP * (high - low);
    if (!this.box) this.box = { x: middle(this.range.x), y: middle(this.range.y) };
    else if (e.shiftKey) this.box[axis] = [this.box[axis][0], Math.max(this.box[axis][0] + Math.abs(by), Math.min(high, this.box[axis][1] + by))];
    else {
      const most = Math.max(low - this.box[axis][0], Math.min(high - this.box[axis][1], by));
      this.box[axis] = [this.box[axis][0] + most, this.box[axis][1] + most];
    }
    this.select();
    live(`${fmt.count(this.selected.length, "picture")} selected`);
  }
}

/** A correlation with its interval. @param {{value: number|null, low: number|null, high: number|null} | undefined} found */
export const correlation = (found) => (found && found.value !== null ? `${num(found.value)} (${num(found.low)} to ${num(found.high)})` : "–");
