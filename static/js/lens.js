/**
 * Zoom and pan of frames that show the same spot: the wheel zooms at the pointer, a drag moves, a double click goes in and out.
 * A view is {z, x, y}: how much larger, and which point of the picture (0 to 1) stands in the middle. All frames have one size, so
 * the same view shows the same spot in each. A frame's picture takes --z, --tx and --ty.
 */

/** @typedef {{z: number, x: number, y: number}} View */

export const MOST = 32;
const WHEEL = 1.0015;

/** A view whose picture covers its frame. @param {View} view @returns {View} */
export function held({ z, x, y }) {
  const zoom = Math.max(1, Math.min(MOST, z));
  const half = 0.5 / zoom;
  const inside = (v) => Math.max(half, Math.min(1 - half, v));
  return { z: zoom, x: inside(x), y: inside(y) };
}

/** The view after zooming by `factor` about the point (u, v) of the frame, 0 to 1: what lies there stays there.
 * @param {View} view @param {number} factor @param {number} u @param {number} v */
function zoomedAt(view, factor, u, v) {
  const z = Math.max(1, Math.min(MOST, view.z * factor));
  return held({ z, x: view.x + (u - 0.5) / view.z - (u - 0.5) / z, y: view.y + (v - 0.5) / view.z - (v - 0.5) / z });
}

/** What a frame's picture is moved by, in shares of the frame. @param {View} view */
export const placed = ({ z, x, y }) => ({ "--z": String(z), "--tx": `${100 * (0.5 - x * z)}%`, "--ty": `${100 * (0.5 - y * z)}%` });

export class Lens {
  /** @param {{onchange: () => void}} options */
  constructor({ onchange }) {
    this.onchange = onchange;
    this.isShared = true;
    /** @type {View[]} */
    this.views = [];
    this.whole = { z: 1, x: 0.5, y: 0.5 };
  }

  /** @param {number} i @returns {View} of the i-th frame */
  view(i) { return (this.isShared ? undefined : this.views[i]) || this.whole; }

  /** @param {View} view @param {number} [i] the frame that was touched */
  set(view, i = -1) {
    if (this.isShared || i < 0) { this.whole = held(view); this.views = []; } else this.views[i] = held(view);
    this.onchange();
  }

  /** About the middle. @param {number} factor */
  zoom(factor) { this.set(zoomedAt(this.whole, factor, 0.5, 0.5)); }

  /** @param {number} dx @param {number} dy in shares of what is seen */
  pan(dx, dy) { this.set({ z: this.whole.z, x: this.whole.x + dx / this.whole.z, y: this.whole.y + dy / this.whole.z }); }

  /** @param {boolean} on */
  share(on) {
    if (on && !this.isShared && this.views.length) this.whole = this.views.find(Boolean) || this.whole;
    this.isShared = on;
    this.views = [];
    this.onchange();
  }

  /** Let a frame be zoomed and moved by the pointer. @param {HTMLElement} frame @param {number} i */
  listen(frame, i) {
    const at = (e) => {
      const box = frame.getBoundingClientRect();
      return [(e.clientX - box.left) / box.width, (e.clientY - box.top) / box.height];
    };
    frame.addEventListener("wheel", (e) => {
      e.preventDefault();
      const [u, v] = at(e);
      this.set(zoomedAt(this.view(i), WHEEL ** -e.deltaY, u, v), i);
    }, { passive: false });
    frame.addEventListener("dblclick", (e) => {
      const [u, v] = at(e);
      this.set(this.view(i).z > 1 ? { z: 1, x: 0.5, y: 0.5 } : zoomedAt(this.view(i), 4, u, v), i);
    });
    frame.addEventListener("pointerdown", (e) => {
      if (e.button || this.view(i).z <= 1 || (e.target instanceof Element && e.target.closest("button, .grip"))) return;
      const [start, from] = [at(e), this.view(i)];
      const move = (event) => {
        const now = at(event);
        this.set({ z: from.z, x: from.x - (now[0] - start[0]) / from.z, y: from.y - (now[1] - start[1]) / from.z }, i);
      };
      const end = () => { frame.removeEventListener("pointermove", move); };
      frame.setPointerCapture(e.pointerId);
      frame.addEventListener("pointermove", move);
      frame.addEventListener("pointerup", end, { once: true });
      frame.addEventListener("pointercancel", end, { once: true });
    });
  }
}
