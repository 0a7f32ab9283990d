/**
 * The edge between two pictures that lie over each other: dragged by its grip, moved 2 % by a key, always saying where it is.
 * Whoever shows it clips the upper picture by the share it tells.
 */
import { el } from "/static/js/lib.js";

const STEP = 2;

export class Wipe {
  /** @param {{onmove: (at: number) => void, drags?: () => boolean}} options `drags`: whether a press beside the grip moves the edge */
  constructor({ onmove, drags = () => true }) {
    this.grip = el("div", { class: "grip", role: "slider", tabindex: "0", "aria-label": "Wipe", "aria-valuemin": 0, "aria-valuemax": 100, "data-testid": "wipe",
      onkeydown: (e) => this.key(e) }, el("i"), el("i"));
    this.print = el("span", { class: "at tn" });
    this.node = el("div", { class: "wipe-ui", hidden: true, onpointerdown: (e) => this.drag(e) }, el("div", { class: "edge" }), this.grip, this.print);
    this.onmove = onmove;
    this.drags = drags;
    this.at = 50;
  }

  /** @param {number} at share of the left picture that shows, in percent */
  to(at) {
    this.at = Math.max(0, Math.min(100, Math.round(at)));
    this.grip.setAttribute("aria-valuenow", String(this.at));
    this.grip.setAttribute("aria-valuetext", `${this.at} % left, ${100 - this.at} % right`);
    this.print.textContent = `${this.at} %`;
    this.onmove(this.at);
  }

  /** @param {number} steps */
  nudge(steps) { this.to(this.at + steps * STEP); }

  /** @param {KeyboardEvent} e */
  key(e) {
    const move = { ArrowLeft: -1, ArrowRight: 1, PageDown: -5, PageUp: 5 }[e.key];
    if (move) this.nudge(move * (e.shiftKey ? 5 : 1));
    else if (e.key === "Home") this.to(0);
    else if (e.key === "End") this.to(100);
    else return;
    e.preventDefault();
  }

  /** @param {PointerEvent} e */
  drag(e) {
    if (!this.drags() && !this.grip.contains(/** @type {Node} */ (e.target))) return;
    const box = this.node.getBoundingClientRect();
    const to = (event) => this.to((100 * (event.clientX - box.left)) / box.width);
    const end = () => { this.node.removeEventListener("pointermove", to); };
    this.node.setPointerCapture(e.pointerId);
    this.node.addEventListener("pointermove", to);
    this.node.addEventListener("pointerup", end, { once: true });
    this.node.addEventListener("pointercancel", end, { once: true });
    to(e);
    this.grip.focus({ preventScroll: true });
  }
}
