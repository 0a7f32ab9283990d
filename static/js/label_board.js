/** One or four pictures on the light table, as large as fits and all alike; zoomed together, as two are on the stage. */
import { el } from "/static/js/lib.js";
import { fit } from "/static/js/views.js";

const GAP = 8;

export class Board {
  /** @param {number} num of pictures @param {(place: number) => void} [onpick] */
  constructor(num, onpick) {
    this.frames = Array.from({ length: num }, (_, place) => el(onpick ? "button" : "div", { class: "frame", type: onpick ? "button" : null, "data-testid": `img-${place + 1}`, "data-place": String(place + 1),
      onclick: onpick && (() => onpick(place)) }, el("div", { class: "shown" })));
    this.node = el("div", { class: "pair board stage", onpointermove: (e) => this.follow(e) }, this.frames);
    this.size = { width: 1, height: 1 };
    this.resize = new ResizeObserver(() => this.place());
    this.resize.observe(this.node);
  }

  dispose() { this.resize.disconnect(); }

  /** @param {HTMLImageElement[]} pictures */
  show(pictures) {
    this.frames.forEach((frame, i) => frame.firstElementChild.replaceChildren(...(pictures[i] ? [pictures[i]] : [])));
    if (!pictures.length) return;
    this.size = { width: Math.max(...pictures.map((p) => p.naturalWidth)), height: Math.max(...pictures.map((p) => p.naturalHeight)) };
    this.place();
  }

  /** In one row or in two, whichever makes the pictures larger. */
  place() {
    const box = this.node.getBoundingClientRect();
    if (!box.width) return;
    const num = this.frames.length;
    const sizes = [num, Math.ceil(num / 2)].map((columns) => {
      const rows = Math.ceil(num / columns);
      return { columns, ...fit(this.size.width, this.size.height, Math.max(32, (box.width - 32 - GAP * (columns - 1)) / columns), Math.max(32, (box.height - 12 - GAP * (rows - 1)) / rows)) };
    });
    const best = sizes.reduce((a, b) => (b.width > a.width ? b : a));
    this.node.classList.toggle("small", best.small);
    this.node.style.setProperty("--w", `${best.width}px`);
    this.node.style.setProperty("--h", `${best.height}px`);
    this.node.style.setProperty("--columns", String(best.columns));
  }

  zoom() { return this.node.classList.toggle("zoom"); }

  unzoom() { this.node.classList.remove("zoom"); }

  /** @param {PointerEvent} e */
  follow(e) {
    const frame = e.target instanceof Element ? e.target.closest(".frame") : null;
    if (!frame) return;
    const box = frame.getBoundingClientRect();
    this.node.style.setProperty("--zx", `${(100 * (e.clientX - box.left)) / box.width}%`);
    this.node.style.setProperty("--zy", `${(100 * (e.clientY - box.top)) / box.height}%`);
  }
}
