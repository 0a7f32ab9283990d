/**
 * Marks on what is judged: boxes in pictures, stretches of texts. Both are made with the same keys: `M`, then arrows move, Shift
 * with arrows sizes, Enter keeps. What a mark looks like and where it may lie is its surface's affair.
 *
 * @typedef {Record<string, any> & {side: "left" | "right", reason?: string}} Mark as the API takes it
 * @typedef {{name: "regions" | "spans", word: string, how: string, sides: ("left" | "right")[], marking: boolean, marks: Marks | null,
 *   setMarking: (on: boolean) => void, begin: (side: "left" | "right") => Mark, move: (mark: Mark, dx: number, dy: number) => Mark,
 *   grow: (mark: Mark, dx: number, dy: number) => Mark, draw: (list: Mark[], at: number) => void, say: (mark: Mark) => string,
 *   take?: () => boolean}} Surface `take` makes a mark of what is selected already
 */
import { button, el, fill, keys, live } from "/static/js/lib.js";

export class Marks {
  /** @param {Surface} surface @param {() => void} onchange */
  constructor(surface, onchange) {
    this.surface = surface;
    this.onchange = onchange;
    surface.marks = this;
    /** @type {Mark[]} */
    this.list = [];
    this.at = -1;
    this.side = surface.sides[0];
    this.node = el("div", { class: "marking", hidden: true, "data-testid": "marking" }, el("span", { class: "meta" }),
      button("Remove", { kind: "quiet", size: "sm", onclick: () => this.remove() }), button("Done", { size: "sm", onclick: () => this.toggle(false) }));
  }

  get on() { return this.surface.marking; }

  /** Is there a mark that a reason would be given to? */
  get isOpen() { return this.on && this.at >= 0; }

  toggle(on = !this.on) {
    if (on && !this.on && this.surface.take?.()) return;
    this.surface.setMarking(on);
    this.at = -1;
    this.side = this.surface.sides[0];
    this.draw();
    live(on ? `Marking. ${this.surface.how}` : `${this.list.length} marked.`);
    this.onchange();
  }

  /** @param {Mark[]} list */
  set(list) {
    this.list = list;
    this.at = -1;
    if (this.on) this.surface.setMarking(false);
    this.draw();
  }

  /** A mark that was drawn. @param {Mark} mark */
  add(mark) {
    this.list = [...this.list, mark];
    this.choose(this.list.length - 1);
    this.onchange();
  }

  /** @param {number} at */
  choose(at) {
    this.at = at;
    this.draw();
    if (this.list[at]) live(this.surface.say(this.list[at]));
  }

  /** @param {Partial<Mark>} change */
  change(change) {
    if (this.at < 0) return;
    this.list = this.list.map((mark, i) => (i === this.at ? /** @type {Mark} */ ({ ...mark, ...change }) : mark));
    this.choose(this.at);
    this.onchange();
  }

  remove() {
    if (!this.list.length) return;
    const at = this.at < 0 ? this.list.length - 1 : this.at;
    this.list = this.list.filter((_, i) => i !== at);
    this.at = -1;
    this.draw();
    live(`Removed. ${this.list.length} marked.`);
    this.onchange();
  }

  /** @param {string} name the same one again takes it off */
  reason(name) { this.change({ reason: this.list[this.at].reason === name ? "" : name }); }

  /** @param {"move" | "grow"} how @param {number} dx @param {number} dy */
  step(how, dx, dy) {
    if (this.at < 0) this.add(this.surface.begin(this.side));
    this.change(this.surface[how](this.list[this.at], dx, dy));
  }

  /** Enter: this one is right. Without one it ends marking. */
  keep() {
    if (this.at < 0) { this.toggle(false); return; }
    this.at = -1;
    this.draw();
    live(`Kept. ${this.list.length} marked.`);
  }

  /** @param {"left" | "right"} side where the arrows make the next one */
  go(side) {
    if (!this.surface.sides.includes(side)) return;
    this.side = side;
    this.choose(-1);
    live(`On the ${side}.`);
  }

  draw() {
    this.surface.draw(this.list, this.at);
    this.node.hidden = !this.on;
    fill(/** @type {Element} */ (this.node.firstElementChild), this.isOpen ? this.surface.say(this.list[this.at]) : this.surface.how);
    /** @type {any} */ (this.node.children[1]).disabled = !this.list.length;
  }

  /** Keys that act while marking, before those of the page. @returns {() => void} unbinds them */
  bind() {
    const arrows = (how, shift, word) => [["Left", -1, 0], ["Right", 1, 0], ["Up", 0, -1], ["Down", 0, 1]].map(([arrow, dx, dy]) => ({
      id: `mark.${how}.${String(arrow).toLowerCase()}`, keys: [`${shift}Arrow${arrow}`], label: `${word} ${String(arrow).toLowerCase()}`, repeat: true,
      run: () => this.step(how, Number(dx), Number(dy)) }));
    return keys.bind("While marking", [
      ...arrows("move", "", "Move"), ...arrows("grow", "Shift+", "Size"),
      { id: "mark.keep", keys: ["Enter"], label: "Keep it", run: () => this.keep() },
      { id: "mark.remove", keys: ["Delete", "Backspace"], label: "Remove it", run: () => this.remove() },
      { id: "mark.next", keys: ["n"], label: "Next mark", run: () => this.list.length && this.choose((this.at + 1) % this.list.length) },
      { id: "mark.left", keys: ["1"], label: "On the left", run: () => this.go("left") },
      { id: "mark.right", keys: ["2"], label: "On the right", run: () => this.go("right") },
      { id: "mark.done", keys: ["Escape"], label: "End marking", run: () => this.toggle(false) },
    ], () => this.on);
  }
}
