/** Boxes in pictures, in shares of the picture's width and height: drawn with the pointer, or moved and sized by keys. */
import { el, fill } from "/static/js/lib.js";

const STEP = 0.02;
const LEAST = 0.02;
const FIRST = 0.3;
const within = (value, low, high) => Math.min(high, Math.max(low, value));
const round = (value) => Math.round(value * 1e4) / 1e4;
const pct = (value) => `${Math.round(value * 100)} %`;

/** @implements {import("/static/js/label_marks.js").Surface} */
export class Boxes {
  /** @param {{left: HTMLElement, right?: HTMLElement}} frames the pictures' frames, by side */
  constructor(frames) {
    this.name = /** @type {"regions"} */ ("regions");
    this.word = "box";
    this.how = "Drag a box, or let the arrows place one: ⇧ with arrows sizes it, Enter keeps it";
    this.sides = /** @type {("left"|"right")[]} */ (Object.keys(frames));
    this.marking = false;
    /** @type {import("/static/js/label_marks.js").Marks | null} */
    this.marks = null;
    this.layers = Object.fromEntries(Object.entries(frames).map(([side, frame]) => {
      const layer = el("div", { class: "boxes", "data-side": side, onpointerdown: (e) => this.drag(e, side) });
      frame.append(layer);
      return [side, layer];
    }));
  }

  /** @param {boolean} on */
  setMarking(on) {
    this.marking = on;
    for (const layer of Object.values(this.layers)) layer.classList.toggle("on", on);
  }

  /** @param {"left"|"right"} side */
  begin(side) { return { side, x: (1 - FIRST) / 2, y: (1 - FIRST) / 2, width: FIRST, height: FIRST, reason: "" }; }

  move(mark, dx, dy) {
    return { ...mark, x: round(within(mark.x + dx * STEP, 0, 1 - mark.width)), y: round(within(mark.y + dy * STEP, 0, 1 - mark.height)) };
  }

  grow(mark, dx, dy) {
    return { ...mark, width: round(within(mark.width + dx * STEP, LEAST, 1 - mark.x)), height: round(within(mark.height + dy * STEP, LEAST, 1 - mark.y)) };
  }

  say(mark) {
    const where = this.sides.length > 1 ? ` on the ${mark.side}` : "";
    return `Box${where}, ${pct(mark.width)} by ${pct(mark.height)}, at ${pct(mark.x)} from the left and ${pct(mark.y)} from the top${mark.reason ? `: ${mark.reason}` : ""}`;
  }

  draw(list, at) {
    for (const [side, layer] of Object.entries(this.layers)) {
      fill(layer, list.map((mark, i) => mark.side === side && el("div", { class: `box ${i === at ? "at" : ""}`, role: "img", "aria-label": this.say(mark), "data-testid": "box",
        style: { left: `${mark.x * 100}%`, top: `${mark.y * 100}%`, width: `${mark.width * 100}%`, height: `${mark.height * 100}%` } }, mark.reason && el("span", null, mark.reason))));
    }
  }

  /** @param {PointerEvent} e @param {"left"|"right"} side */
  drag(e, side) {
    if (!this.marking || !this.marks || e.button) return;
    e.preventDefault();
    const layer = this.layers[side];
    const area = layer.getBoundingClientRect();
    const at = (event) => [within((event.clientX - area.left) / area.width, 0, 1), within((event.clientY - area.top) / area.height, 0, 1)];
    const [x0, y0] = at(e);
    const ghost = el("div", { class: "box at" });
    let box = null;
    const to = (event) => {
      const [x, y] = at(event);
      box = { side, x: round(Math.min(x, x0)), y: round(Math.min(y, y0)), width: round(Math.abs(x - x0)), height: round(Math.abs(y - y0)), reason: "" };
      for (const [name, value] of Object.entries({ left: box.x, top: box.y, width: box.width, height: box.height })) ghost.style[name] = `${value * 100}%`;
      if (!ghost.isConnected) layer.append(ghost);
    };
    const end = (event) => {
      layer.removeEventListener("pointermove", to);
      layer.removeEventListener("pointerup", end);
      layer.removeEventListener("pointercancel", end);
      ghost.remove();
      if (event.type === "pointerup" && box && box.width >= LEAST && box.height >= LEAST) this.marks?.add(box);
      else this.marks?.choose(this.marks.list.findLastIndex((mark) => mark.side === side && x0 >= mark.x && x0 <= mark.x + mark.width && y0 >= mark.y && y0 <= mark.y + mark.height));
    };
    layer.setPointerCapture(e.pointerId);
    layer.addEventListener("pointermove", to);
    layer.addEventListener("pointerup", end);
    layer.addEventListener("pointercancel", end);
  }
}
