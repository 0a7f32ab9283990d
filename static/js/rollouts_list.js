/** The list of groups, of which only those near what is seen are in the page, however many there are. */

import { el } from "/static/js/lib.js";

const GUESS = 132;
/** Rows above and below what is seen. */
const AROUND = 1;

/** @template {{id: number}} T */
export class WindowedList {
  /**
   * @param {HTMLElement} host scrolls
   * @param {(item: T) => HTMLElement} draw
   * @param {() => void} onEnd asked when the end comes near
   */
  constructor(host, draw, onEnd) {
    this.host = host; this.draw = draw; this.onEnd = onEnd;
    /** @type {T[]} */
    this.items = [];
    this.more = false;
    /** @type {Map<number, number>} heights that were measured */
    this.tall = new Map();
    /** @type {Map<number, HTMLElement>} rows in the page */
    this.rows = new Map();
    this.above = el("div", { "aria-hidden": "true" });
    this.below = el("div", { "aria-hidden": "true" });
    this.body = el("div", { class: "rows" });
    this.note = el("p", { class: "meta muted more-groups", role: "status", hidden: true }, "More groups come as you scroll.");
    this.due = 0;
    this.scrolled = () => this.soon();
    addEventListener("scroll", this.scrolled, { passive: true, capture: true });  // on a phone the page scrolls
    this.watch = new ResizeObserver(() => this.soon());
    this.watch.observe(host);
  }

  close() { removeEventListener("scroll", this.scrolled, { capture: true }); this.watch.disconnect(); cancelAnimationFrame(this.due); }

  /** @param {T[]} items @param {boolean} more */
  show(items, more) {
    const first = items[0]?.id !== this.items[0]?.id;
    this.items = items; this.more = more; this.note.hidden = !more;
    if (this.body.parentNode !== this.host) this.host.replaceChildren(this.above, this.body, this.below, this.note);
    if (first) { this.host.scrollTop = 0; this.forget(); }
    this.render();
  }

  forget() { this.rows.clear(); this.body.replaceChildren(); }

  soon() {
    if (!this.due) this.due = requestAnimationFrame(() => { this.due = 0; this.render(); });
  }

  height(item) { return this.tall.get(item.id) ?? this.usual ?? GUESS; }

  /** Draw the rows near what is seen, and make room for the others. */
  render() {
    if (this.body.parentNode !== this.host) return;
    const page = getComputedStyle(this.host).overflowY === "visible";
    const top = page ? -this.host.getBoundingClientRect().top : this.host.scrollTop;
    const bottom = top + (page ? innerHeight : this.host.clientHeight);
    let [y, from, to] = [0, this.items.length, 0];
    this.items.forEach((item, i) => {
      const end = y + this.height(item);
      if (end >= top && y <= bottom) { from = Math.min(from, i); to = i + 1; }
      y = end;
    });
    from = Math.max(0, from - AROUND);
    to = Math.min(this.items.length, Math.max(to, from + 1) + AROUND);
    const shown = this.items.slice(from, to);
    const wanted = new Set(shown.map((item) => item.id));
    for (const [id, row] of this.rows) if (!wanted.has(id)) { row.remove(); this.rows.delete(id); }
    shown.forEach((item, i) => {
      let row = this.rows.get(item.id);
      if (!row) { row = this.draw(item); this.rows.set(item.id, row); }
      if (this.body.children[i] !== row) this.body.insertBefore(row, this.body.children[i] ?? null);
    });
    let changed = false;
    for (const item of shown) {
      const tall = this.rows.get(item.id)?.offsetHeight ?? 0;
      if (tall && this.tall.get(item.id) !== tall) { this.tall.set(item.id, tall); changed = true; }
    }
    if (changed) this.usual = [...this.tall.values()].reduce((a, b) => a + b, 0) / this.tall.size;
    const sum = (items) => items.reduce((total, item) => total + this.height(item), 0);
    this.above.style.height = `${sum(this.items.slice(0, from))}px`;
    this.below.style.height = `${sum(this.items.slice(to))}px`;
    if (this.more && to >= this.items.length - 4) this.onEnd();
  }

  /** Change one row where it is in the page, or draw it anew when that is not enough. @param {T} item @param {(row: HTMLElement) => boolean} change */
  mark(item, change) {
    const row = this.rows.get(item.id);
    if (row && !change(row)) this.again(item);
  }

  /** Draw one row anew where it is in the page. @param {T|null|undefined} item */
  again(item) {
    const old = item && this.rows.get(item.id);
    if (!old || !item) return;
    const focused = old.contains(document.activeElement);
    const row = this.draw(item);
    old.replaceWith(row);
    this.rows.set(item.id, row);
    if (focused) /** @type {HTMLElement|null} */ (row.querySelector('[aria-current="true"]') ?? row.querySelector("button"))?.focus({ preventScroll: true });
  }

  /** Scroll so that a row is seen. @param {T} item */
  reveal(item) {
    const at = this.items.findIndex((one) => one.id === item.id);
    if (at < 0) return;
    const y = this.items.slice(0, at).reduce((total, one) => total + this.height(one), 0);
    const { scrollTop: top, clientHeight: room } = this.host;
    if (y < top) this.host.scrollTop = y;
    else if (y + this.height(item) > top + room) this.host.scrollTop = y + this.height(item) - room;
    this.render();
    this.rows.get(item.id)?.scrollIntoView({ block: "nearest" });
  }
}
