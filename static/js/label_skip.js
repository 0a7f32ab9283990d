/** Skip: one key and it is gone. With Shift a small menu asks why first, and a digit answers. */
import { button, el, icon, keys, live } from "/static/js/lib.js";

const CAUSES = ["I cannot tell", "something is broken", "the prompt is unclear", "unpleasant or unsafe"];

export class Skip {
  /** @param {(cause: string) => void} skip */
  constructor(skip) {
    this.skip = skip;
    this.why = el("button", { type: "button", class: "btn quiet sm icon why-skip", "data-testid": "skip-why", "aria-label": "Skip and say why", "aria-expanded": "false", title: "Skip and say why", onclick: () => this.toggle() }, icon("down"));
    this.menu = el("div", { class: "causes", role: "group", "aria-label": "Why is it skipped?", hidden: true, "data-testid": "causes" }, el("span", { class: "meta muted" }, "Why is it skipped?"),
      CAUSES.map((cause, i) => el("button", { type: "button", class: "btn quiet", onclick: () => this.choose(cause) }, el("span", { class: "grow" }, cause), keys.hint(`skip.${i + 1}`))),
      el("button", { type: "button", class: "btn quiet", onclick: () => this.choose("") }, el("span", { class: "grow" }, "no cause"), keys.hint("skip.none")));
    this.node = el("span", { class: "row skip-row" }, el("button", { type: "button", class: "btn quiet sm", "data-testid": "skip", onclick: () => this.choose("") }, "Skip", keys.hint("label.skip")), this.why, this.menu);
    this.outside = (e) => { if (!this.node.contains(e.target)) this.toggle(false); };
  }

  toggle(on = this.menu.hidden) {
    this.menu.hidden = !on;
    this.why.setAttribute("aria-expanded", String(on));
    document.removeEventListener("pointerdown", this.outside);
    if (on) { document.addEventListener("pointerdown", this.outside); live("Why is it skipped? 1 to 4, or S for no cause."); }
  }

  /** @param {string} cause */
  choose(cause) {
    this.toggle(false);
    this.skip(cause);
  }

  bindings() {
    return [{ id: "label.skip", keys: ["s"], label: "Skip", run: () => this.choose("") },
      { id: "label.skip.why", keys: ["Shift+s"], label: "Skip and say why", run: () => this.toggle(true) }];
  }

  /** Keys of the open menu. @returns {() => void} unbinds them */
  bind() {
    return keys.bind("Why it is skipped", [
      ...CAUSES.map((cause, i) => ({ id: `skip.${i + 1}`, keys: [String(i + 1)], label: cause, run: () => this.choose(cause) })),
      { id: "skip.none", keys: ["s"], label: "No cause", run: () => this.choose("") },
      { id: "skip.back", keys: ["Escape"], label: "Do not skip", run: () => this.toggle(false) },
    ], () => !this.menu.hidden);
  }
}
