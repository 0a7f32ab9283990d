/** The gallery of recipes: what each is for, what it is not for, what it costs, and where it comes from. */

import { button, el, fill, fmt } from "/static/js/lib.js";
import { glyph } from "/static/js/glyphs.js";

/** Where a method takes its lesson from, in the order of the gallery. */
const GROUPS = [
  ["tree", "Tree", "On the tree", "noisy steps are credited"],
  ["samples", "Samples", "On samples", "finished pictures are credited"],
  ["labels", "Labels", "From labels", "judged pairs; nothing is drawn"],
];

export class Gallery {
  /** @param {HTMLElement} host @param {{recipes: any[], onChoose: (recipe: any) => void}} options */
  constructor(host, { recipes, onChoose }) {
    Object.assign(this, { host, recipes, onChoose });
    this.only = "";
    this.words = "";
    this.chosen = "";
    this.list = el("div", { class: "rec-list", role: "group", "aria-label": "Recipes", onkeydown: (e) => this.move(e) });
    this.filter = el("div", { class: "seg", role: "group", "aria-label": "Which recipes" });
    this.said = el("span", { class: "meta faint nowrap", role: "status" });
    const search = el("input", { class: "inp sm-inp grow", type: "search", placeholder: "Find a recipe", "aria-label": "Find a recipe", "data-testid": "find-recipe", oninput: (e) => { this.words = e.target.value.trim().toLowerCase(); this.draw(); } });
    fill(host, el("div", { class: "rec-bar" }, el("div", { class: "row" }, search, this.said), this.filter), this.list);
  }

  /** @param {string} name of the recipe in use; empty for a clone */
  choose(name) {
    this.chosen = name;
    this.draw();
    this.list.querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest" });
  }

  draw() {
    const count = (kind) => this.recipes.filter((recipe) => !kind || recipe.learns_on === kind).length;
    fill(this.filter, [["", "All"], ...GROUPS].map(([kind, word]) => el("button", { type: "button", "aria-pressed": String(this.only === kind), "data-testid": `recipes-${kind || "all"}`, onclick: () => { this.only = kind; this.draw(); } }, word, el("span", { class: "faint" }, count(kind)))));
    const found = this.recipes.filter((recipe) => (!this.only || recipe.learns_on === this.only) && (!this.words || text(recipe).includes(this.words)));
    fill(this.said, this.words || this.only ? `${fmt.int(found.length)} of ${fmt.int(this.recipes.length)}` : "");
    const current = found.find((recipe) => recipe.name === this.chosen) ?? found[0];
    fill(this.list, GROUPS.map(([kind, , title, about]) => {
      const some = found.filter((recipe) => recipe.learns_on === kind);
      return some.length ? [el("h3", { class: "rec-h" }, title, el("span", { class: "meta faint" }, ` ${about}`)), some.map((recipe) => this.card(recipe, recipe === current))] : null;
    }), found.length ? null : el("div", { class: "sec meta muted" }, "No recipe says that. ", button("Show all", { kind: "quiet", size: "sm", onclick: () => this.all() })));
  }

  all() {
    this.only = "";
    this.words = "";
    const search = /** @type {HTMLInputElement} */ (this.host.querySelector("[data-testid=find-recipe]"));
    search.value = "";
    this.draw();
    search.focus();
  }

  /** The chosen card says everything, the others a line of each. */
  card(recipe, reached) {
    const chosen = recipe.name === this.chosen;
    const line = (word, value) => value && el("span", { class: `rec-l meta muted ${chosen ? "" : "one"}` }, el("span", { class: "faint" }, word), el("span", null, value));
    return el("button", { class: "rec", type: "button", "data-testid": "recipe-card", "data-recipe": recipe.name, "aria-pressed": String(chosen), tabindex: reached ? "0" : "-1", onclick: () => this.onChoose(recipe) },
      glyph(recipe.config?.method?.name),
      el("span", null, el("b", null, recipe.title), el("span", { class: "meta" }, recipe.summary), el("span", { class: "rec-l meta muted" }, el("span", { class: "faint" }, "Not for"), el("span", null, lower(recipe.avoid))),
        line("Cost", chosen ? recipe.cost : price(recipe.price)), line("Source", chosen ? recipe.source : recipe.source.split(";")[0]), chosen && line("Reward", recipe.reward)));
  }

  /** Arrows walk the cards, Enter takes one: one stop for Tab. @param {KeyboardEvent} event */
  move(event) {
    const by = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined) return;
    const cards = /** @type {HTMLElement[]} */ ([...this.list.querySelectorAll(".rec")]);
    const at = cards.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const to = cards[Math.max(0, Math.min(cards.length - 1, at + by))];
    if (!to) return;
    event.preventDefault();
    cards.forEach((card) => card.setAttribute("tabindex", card === to ? "0" : "-1"));
    to.focus();
  }
}

const text = (recipe) => [recipe.name, recipe.title, recipe.summary, recipe.avoid, recipe.source, recipe.reward, recipe.config?.method?.name].join(" ").toLowerCase();

/** What an update costs in one line. @param {{nfe: number, pictures: number}} some */
const price = ({ nfe, pictures }) => `${fmt.int(nfe)} evaluations${pictures ? `, ${fmt.count(pictures, "picture")}` : ""}`;

/** "When sampling is dear" goes on a line that begins with "Not for". */
const lower = (sentence) => sentence && sentence.charAt(0).toLowerCase() + sentence.slice(1);
