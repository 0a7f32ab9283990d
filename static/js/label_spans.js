/**
 * Stretches of two texts: selected with the pointer, or by words with the keys. The API counts characters as Unicode code
 * points, JavaScript in UTF-16 units; `Texts` keeps code points and turns them into units where it meets the document.
 */
import { el, fill } from "/static/js/lib.js";

const LINE = 8;
/** @param {string} text @param {number} points */
const units = (text, points) => [...text].slice(0, points).join("").length;
/** @param {string} text @param {number} at in UTF-16 units */
const points = (text, at) => [...text.slice(0, at)].length;

/** The words of a text as [start, end] in code points; of Chinese as well, where the browser can. @param {string} text */
export function words(text) {
  const found = Intl.Segmenter
    ? [...new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)].filter((part) => part.isWordLike).map((part) => [part.index, part.index + part.segment.length])
    : [...text.matchAll(/\S+/gu)].map((part) => [part.index, part.index + part[0].length]);
  const all = found.length ? found : [[0, text.length]];
  return all.map(([start, end]) => [points(text, start), points(text, end)]);
}

/** @implements {import("/static/js/label_marks.js").Surface} */
export class Spans {
  /** @param {{left: HTMLElement, right: HTMLElement}} nodes where the texts stand @param {boolean} asked whether they may be marked */
  constructor(nodes, asked) {
    this.name = /** @type {"spans"} */ ("spans");
    this.word = "span";
    this.how = "Select a place, or let the arrows choose a word: ⇧← and ⇧→ size it, Enter keeps it";
    this.sides = /** @type {("left"|"right")[]} */ (["left", "right"]);
    this.nodes = nodes;
    this.texts = { left: "", right: "" };
    this.marking = false;
    /** @type {import("/static/js/label_marks.js").Marks | null} */
    this.marks = null;
    if (asked) for (const node of Object.values(nodes)) node.addEventListener("pointerup", (e) => { if (e.pointerType === "mouse") this.take(); });
  }

  /** @param {{left: string, right: string}} texts */
  show(texts) {
    this.texts = texts;
    this.draw([], -1);
  }

  /** @param {boolean} on */
  setMarking(on) {
    this.marking = on;
    for (const node of Object.values(this.nodes)) node.classList.toggle("on", on);
  }

  /** Make a mark of what is selected in one of the texts. */
  take() {
    const chosen = getSelection();
    if (!this.marks || !chosen || chosen.isCollapsed || !chosen.rangeCount) return false;
    const range = chosen.getRangeAt(0);
    const side = this.sides.find((name) => this.nodes[name].contains(range.startContainer) && this.nodes[name].contains(range.endContainer));
    if (!side) return false;
    const before = document.createRange();
    before.selectNodeContents(this.nodes[side]);
    before.setEnd(range.startContainer, range.startOffset);
    const text = this.texts[side];
    const start = points(text, before.toString().length);
    const end = start + [...range.toString()].length;
    chosen.removeAllRanges();
    if (end <= start) return false;
    this.marks.add({ side, start, end, reason: "" });
    if (!this.marking) this.marks.choose(-1);
    return true;
  }

  begin(side) {
    const all = words(this.texts[side]);
    const last = Math.max(0, ...(this.marks?.list || []).filter((mark) => mark.side === side).map((mark) => mark.end));
    const [start, end] = all.find((word) => word[0] >= last) || all[0];
    return { side, start, end, reason: "" };
  }

  /** Both ends by words. */
  move(mark, dx, dy) {
    const all = words(this.texts[mark.side]);
    const first = Math.max(0, all.findIndex((word) => word[1] > mark.start));
    const last = Math.max(first, all.findLastIndex((word) => word[0] < mark.end));
    const by = Math.min(all.length - 1 - last, Math.max(-first, dx + dy * LINE));
    return { ...mark, start: all[first + by][0], end: all[last + by][1] };
  }

  /** The end by words. */
  grow(mark, dx, dy) {
    const all = words(this.texts[mark.side]);
    const first = Math.max(0, all.findIndex((word) => word[1] > mark.start));
    const last = Math.max(first, all.findLastIndex((word) => word[0] < mark.end));
    return { ...mark, end: all[Math.min(all.length - 1, Math.max(first, last + dx + dy * LINE))][1] };
  }

  say(mark) {
    const text = [...this.texts[mark.side]].slice(mark.start, mark.end).join("");
    return `“${text.length > 80 ? `${text.slice(0, 79)}…` : text}” on the ${mark.side}${mark.reason ? `: ${mark.reason}` : ""}`;
  }

  draw(list, at) {
    for (const side of this.sides) {
      const text = this.texts[side];
      const here = list.map((mark, i) => ({ mark, i, start: units(text, mark.start), end: units(text, mark.end) })).filter(({ mark }) => mark.side === side);
      const cuts = [...new Set([0, text.length, ...here.flatMap(({ start, end }) => [start, end])])].sort((a, b) => a - b);
      fill(this.nodes[side], cuts.slice(0, -1).map((start, k) => {
        const part = text.slice(start, cuts[k + 1]);
        const over = here.filter((one) => one.start <= start && one.end >= cuts[k + 1]);
        const reason = over.map(({ mark }) => mark.reason).filter(Boolean).join(", ");
        return over.length ? el("mark", { class: over.some(({ i }) => i === at) ? "at" : null, title: reason || null }, part) : part;
      }));
    }
  }
}
