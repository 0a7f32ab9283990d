/**
 * One prompt on a board: its sources beside each other, two under a wipe, one at a time, or each as its distance from the first.
 * Every frame has the same size and the same view (lens.js).
 */
import { button, el, fill, fmt, icon, live } from "/static/js/lib.js";
import { drawDifference } from "/static/js/difference.js";
import { Lens, placed } from "/static/js/lens.js";
import { fit } from "/static/js/views.js";
import { Wipe } from "/static/js/wipe.js";

const GAP = 8;
export const letter = (i) => "ABCDEF"[i];

/** @typedef {{source: string, prompt_id: number, seed: string, steps: number, guidance: number, picture: any, can_draw: boolean}} Cell */

export class BoardView {
  /** @param {{onlens: () => void, onwipe: (at: number) => void, ondraw: (cells: Cell[]) => void}} options */
  constructor({ onlens, onwipe, ondraw }) {
    this.ondraw = ondraw;
    this.lens = new Lens({ onchange: () => { this.look(); onlens(); } });
    this.wipe = new Wipe({ onmove: (at) => { this.node.style.setProperty("--cut", `${at}%`); onwipe(at); }, drags: () => this.lens.whole.z <= 1 });
    this.node = el("div", { class: "bview stage", "data-testid": "board-view" });
    /** @type {HTMLElement[]} */
    this.frames = [];
    this.mode = "side";
    this.shown = 0;
    /** @type {[number, number]} which two lie under the wipe */
    this.pair = [0, 1];
    this.size = { width: 64, height: 64 };
    this.lens.listen(this.wipe.node, -1);
    this.resize = new ResizeObserver(() => this.place());
    this.resize.observe(this.node);
  }

  dispose() { this.resize.disconnect(); }

  /** @param {{mode: string, cells: Cell[], names: string[], pair: [number, number], shown: number, gain: number, wait: (cell: Cell) => boolean}} what */
  show({ mode, cells, names, pair, shown, gain, wait }) {
    Object.assign(this, { mode, pair, shown: Math.min(shown, cells.length - 1) });
    const first = cells.find((cell) => cell.picture)?.picture;
    this.size = { width: first?.width || 64, height: first?.height || first?.width || 64 };
    this.frames = cells.map((cell, i) => this.frame(cell, i, names[i], wait(cell)));
    const two = mode === "wipe" ? pair.map((i) => this.frames[i]).filter(Boolean) : this.frames;
    this.node.dataset.mode = mode;
    this.wipe.node.hidden = mode !== "wipe" || two.length < 2;
    two.forEach((node, i) => { node.classList.toggle("over", mode === "wipe" && i === 1); node.hidden = mode === "flicker" && this.frames[this.shown] !== node; });
    fill(this.node, two, this.wipe.node);
    if (mode === "difference") this.differences(cells, gain);
    this.place();
    this.look();
  }

  /** @param {Cell} cell @param {number} i @param {string} name @param {boolean} waits */
  frame(cell, i, name, waits) {
    const picture = cell.picture;
    const node = el("div", { class: "bframe", "data-testid": `frame-${i}`, "data-source": cell.source },
      picture ? el("img", { src: picture.url, alt: `${letter(i)}: ${name}`, draggable: "false", "data-testid": `picture-${i}` })
        : missing(cell, waits, () => this.ondraw([cell])),
      el("span", { class: "bname" }, el("b", null, letter(i)), " ", el("span", { translate: "no" }, name)));
    this.lens.listen(node, i);
    return node;
  }

  /** Each frame's picture by its distance from the first one's. @param {Cell[]} cells @param {number} gain */
  async differences(cells, gain) {
    const images = this.frames.map((node) => /** @type {HTMLImageElement | null} */ (node.querySelector("img")));
    await Promise.all(images.map((image) => image?.decode().catch(() => {})));
    const base = images[0];
    cells.forEach((cell, i) => {
      if (!i || !base || !images[i] || this.mode !== "difference" || !this.frames[i].isConnected) return;
      const canvas = el("canvas", { "data-testid": `difference-${i}`, role: "img", "aria-label": `Difference of ${letter(i)} from A` });
      const { mean, most } = drawDifference(canvas, base, images[i], gain);
      images[i].replaceWith(canvas);
      this.frames[i].append(el("span", { class: "bname low tn", "data-testid": `distance-${i}` }, most === 0 ? "the same to the pixel" : `mean ${fmt.num(mean, 4)} · most ${fmt.num(most, 2)}`));
      this.look();
    });
  }

  /** The next source in the same place. @param {number} i */
  turn(i) {
    if (!this.frames.length) return;
    this.shown = ((i % this.frames.length) + this.frames.length) % this.frames.length;
    this.frames.forEach((node, at) => { node.hidden = this.mode === "flicker" && at !== this.shown; });
    live(`${letter(this.shown)}, ${this.frames[this.shown].querySelector(".bname")?.textContent?.slice(2) ?? ""}`);
  }

  /** While on, the second picture lies where the first is. @param {boolean} on */
  flick(on) {
    this.node.classList.toggle("flick", on);
    if (this.mode !== "side" || this.frames.length < 2) return;
    const [a, b] = [this.frames[this.pair[0]].getBoundingClientRect(), this.frames[this.pair[1]].getBoundingClientRect()];
    this.frames[this.pair[1]].style.transform = on ? `translate(${a.left - b.left}px, ${a.top - b.top}px)` : "";
    this.frames[this.pair[1]].style.zIndex = on ? "2" : "";
  }

  /** As large as the room allows, in as many columns as make the pictures largest. */
  place() {
    const box = this.node.getBoundingClientRect();
    if (!box.width) return;
    const many = this.mode === "wipe" || this.mode === "flicker" ? 1 : this.frames.length || 1;
    let best = { width: 0, height: 0, small: false };
    let columns = 1;
    for (let n = 1; n <= many; n += 1) {
      const rows = Math.ceil(many / n);
      const size = fit(this.size.width, this.size.height, Math.max(24, (box.width - 32 - GAP * (n - 1)) / n), Math.max(24, (box.height - 16 - GAP * (rows - 1)) / rows));
      if (size.width > best.width) { best = size; columns = n; }
    }
    this.node.style.setProperty("--w", `${best.width}px`);
    this.node.style.setProperty("--h", `${best.height}px`);
    this.node.style.setProperty("--columns", String(columns));
    this.node.classList.toggle("small", best.small);
  }

  /** Show each frame's spot. */
  look() {
    this.frames.forEach((node, i) => {
      for (const [name, value] of Object.entries(placed(this.lens.view(i)))) node.style.setProperty(name, value);
    });
    this.node.classList.toggle("zoomed", this.lens.whole.z > 1);
  }
}

/** A cell that nobody drew. @param {Cell} cell @param {boolean} waits @param {() => void} onclick */
export function missing(cell, waits, onclick) {
  return el("div", { class: "nocell", "data-testid": "missing" }, el("span", null, waits ? [icon("clock"), " being drawn"] : "not generated"),
    !waits && (cell.can_draw ? button("Generate", { size: "sm", testid: "generate-cell", onclick })
      : el("span", { class: "meta faint" }, cell.seed === "run" ? "the run drew no such picture" : "nothing here can draw it")));
}
