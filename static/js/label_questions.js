/**
 * Further questions about what stands there, none of which must be answered: the aspects of a pair (left, tie, right), the
 * checklist of a picture (yes, no). One is next, and one key answers it and makes the following one next.
 */
import { el, keys, live } from "/static/js/lib.js";

/** @typedef {{value: string | boolean, word: string, sign: string, key: string, id: string}} Option */
/** @type {Option[]} */
const SIDES = [
  { value: "left", word: "left", sign: "←", key: "Shift+ArrowLeft", id: "left" }, { value: "tie", word: "tie", sign: "=", key: "Shift+ArrowUp", id: "tie" },
  { value: "right", word: "right", sign: "→", key: "Shift+ArrowRight", id: "right" },
];
/** @type {Option[]} */
const YES_NO = [{ value: true, word: "yes", sign: "yes", key: "Shift+ArrowLeft", id: "yes" }, { value: false, word: "no", sign: "no", key: "Shift+ArrowRight", id: "no" }];

export class Questions {
  /** @param {"aspects" | "checklist"} field of the answers @param {string[]} names @param {() => void} onchange */
  constructor(field, names, onchange) {
    this.field = field;
    this.names = names;
    this.onchange = onchange;
    this.options = field === "aspects" ? SIDES : YES_NO;
    /** @type {Record<string, string | boolean>} */
    this.answers = {};
    this.at = 0;
    this.rows = names.map((name, i) => {
      const buttons = this.options.map((option) => el("button", { type: "button", "data-value": String(option.value), "aria-label": `${name}: ${option.word}`, onclick: () => { this.at = i; this.answer(option.value); } }, option.sign));
      const word = el("button", { type: "button", class: "q-name", onclick: () => this.go(this.at === i ? i + 1 : i), title: `${name} is next` },
        names.length > 1 && el("span", { class: "only-phone muted" }, `${i + 1}/${names.length} `), name);
      return el("div", { class: "q", role: "group", "aria-label": name, "data-question": name }, word, el("span", { class: "seg" }, buttons));
    });
    const signs = el("span", { class: "row meta muted nowrap q-keys" }, this.options.map((option) => keys.hint(`label.${field}.${option.id}`)));
    this.node = el("div", { class: "questions", "data-testid": field === "aspects" ? "aspect-row" : "checklist" }, signs, this.rows);
    this.draw();
  }

  /** @param {string | boolean} value */
  answer(value) {
    const name = this.names[this.at];
    const same = this.answers[name] === value;
    if (same) delete this.answers[name]; else this.answers[name] = value;
    const word = this.options.find((option) => option.value === value)?.word;
    const open = this.names.findIndex((other, i) => i > this.at && !(other in this.answers));
    if (!same) this.at = open >= 0 ? open : Math.min(this.at + 1, this.names.length - 1);
    this.draw();
    live(same ? `${name}: no answer.` : `${name}: ${word}. ${open >= 0 ? `Next: ${this.names[this.at]}.` : ""}`);
    this.onchange();
  }

  /** @param {number} i */
  go(i) {
    this.at = (i + this.names.length) % this.names.length;
    this.draw();
    live(`Next: ${this.names[this.at]}.`);
  }

  said() { return { ...this.answers }; }

  /** @param {Record<string, string | boolean> | undefined} answers */
  restore(answers) {
    this.answers = { ...answers };
    this.at = Math.max(0, this.names.findIndex((name) => !(name in this.answers)));
    this.draw();
  }

  draw() {
    this.rows.forEach((row, i) => {
      row.classList.toggle("next", i === this.at);
      row.firstElementChild.setAttribute("aria-current", i === this.at ? "true" : "false");
      for (const option of row.querySelectorAll("[data-value]")) option.setAttribute("aria-pressed", String(String(this.answers[this.names[i]]) === option.dataset.value));
    });
  }

  bindings() {
    const what = this.field === "aspects" ? "The next aspect" : "The next question";
    return [...this.options.map((option) => ({ id: `label.${this.field}.${option.id}`, keys: [option.key], label: `${what}: ${option.word}`, run: () => this.answer(option.value) })),
      { id: `label.${this.field}.next`, keys: ["Shift+ArrowDown"], label: `${what}: leave it for now`, run: () => this.go(this.at + 1) }];
  }
}
