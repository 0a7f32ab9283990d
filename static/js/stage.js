/**
 * Two pictures on the light table: beside each other or under a wipe, as large as fits, zoomed together, one laid over the
 * other while a key is held. Label and Compare stand on it.
 */
import { el } from "/static/js/lib.js";
import { fit } from "/static/js/views.js";
import { Wipe } from "/static/js/wipe.js";

const GAP = 8;
const phone = matchMedia("(max-width: 640px)");

export class Stage {
  /** @param {{tags?: [string, string] | null, onpick?: (side: "left"|"right") => void}} [options] */
  constructor({ tags = null, onpick } = {}) {
    const frame = (side, tag) => el("div", { class: "frame", "data-side": side, "data-testid": `img-${side}`,
      onpointerup: (e) => { if (phone.matches && e.pointerType === "touch" && !this.zoomed) onpick?.(side); } },
    el("div", { class: "shown" }), tag && el("span", { class: "tag" }, tag));
    this.left = frame("left", tags?.[0]);
    this.right = frame("right", tags?.[1]);
    this.wipe = new Wipe({ onmove: (at) => this.node.style.setProperty("--cut", `${at}%`) });
    this.wipeUi = this.wipe.node;
    this.node = el("div", { class: "pair stage", onpointermove: (e) => this.follow(e) }, this.left, this.right, this.wipeUi);
    this.view = "side";
    this.size = { width: 1, height: 1 };
    this.resize = new ResizeObserver(() => this.place());
    this.resize.observe(this.node);
    this.again = () => this.place();
    phone.addEventListener("change", this.again);
    this.wipe.to(50);
  }

  dispose() {
    this.resize.disconnect();
    phone.removeEventListener("change", this.again);
  }

  /** Put two decoded pictures up. @param {HTMLElement} left @param {HTMLElement} right @param {{width: number, height: number}} size */
  show(left, right, size) {
    const [a, b] = [this.left.firstElementChild, this.right.firstElementChild];
    if (a.firstChild !== left) a.replaceChildren(left);
    if (b.firstChild !== right) b.replaceChildren(right);
    if (this.size.width !== size.width || this.size.height !== size.height || !this.node.style.getPropertyValue("--w")) {
      this.size = size;
      this.place();
    }
  }

  /** Take the pictures away: the next ones are still on their way. */
  clear() {
    this.left.firstElementChild.replaceChildren();
    this.right.firstElementChild.replaceChildren();
  }

  /** Letters on the pictures, or names. @param {[string, string]} tags */
  tag(tags) {
    [this.left, this.right].forEach((frame, i) => { const node = frame.querySelector(".tag"); if (node) node.textContent = tags[i]; });
  }

  /** @param {"side" | "wipe"} view */
  setView(view) {
    this.view = view;
    this.node.classList.toggle("wipe", view === "wipe");
    this.wipeUi.hidden = view !== "wipe";
    this.place();
  }

  /** As large as the stage allows. */
  place() {
    const box = this.node.getBoundingClientRect();
    if (!box.width) return;
    const stacked = phone.matches && this.view === "side";
    const beside = this.view === "side" && !stacked;
    const roomX = stacked || !beside ? box.width - 16 : (box.width - 32 - GAP) / 2;
    const roomY = stacked ? (box.height - 14) / 2 : box.height - 12;
    const size = fit(this.size.width, this.size.height, Math.max(roomX, 32), Math.max(roomY, 32));
    this.node.classList.toggle("small", size.small);
    const set = (name, px) => this.node.style.setProperty(name, `${px}px`);
    set("--w", size.width);
    set("--h", size.height);
    set("--dx", beside ? size.width + GAP : 0);
    set("--dy", stacked ? size.height + 6 : 0);
  }

  get zoomed() { return this.node.classList.contains("zoom"); }

  /** Both at twice the size, showing the spot under the pointer. */
  zoom() {
    this.node.classList.toggle("zoom");
    return this.zoomed;
  }

  /** While on, the right picture lies where the left one is. @param {boolean} on */
  flick(on) { this.node.classList.toggle("flick", on); }

  /** @param {PointerEvent} e */
  follow(e) {
    if (!this.zoomed) return;
    const frame = e.target instanceof Element ? e.target.closest(".frame, .wipe-ui") : null;
    if (!frame) return;
    const box = frame.getBoundingClientRect();
    this.node.style.setProperty("--zx", `${(100 * (e.clientX - box.left)) / box.width}%`);
    this.node.style.setProperty("--zy", `${(100 * (e.clientY - box.top)) / box.height}%`);
  }

  /** @param {number} steps of the wipe's edge */
  nudge(steps) { this.wipe.nudge(steps); }
}
