/** Whether people agree: accuracy of each reward and of the mix beside the people's own, by aspect and by kind of prompt. */

import { api, el, fill, fmt, note } from "/static/js/lib.js";
import { intervalLine } from "/static/js/plots.js";
import { num, rewardColour } from "/static/js/svg.js";

const FROM = 0;
const LEAST = 1;
const BY = { aspect: "aspect", kind: "kind of prompt", words: "prompts with" };

export class PeoplePanel {
  /** @param {HTMLElement} host @param {any} lab */
  constructor(host, lab) {
    this.lab = lab;
    this.node = el("div", { "data-testid": "people" });
    this.words = "";
    /** @type {any} */
    this.data = null;
    this.mix = null;
    fill(host, this.node);
  }

  async load() {
    const { lab } = this;
    const ids = lab.mix.terms.map((term) => `reward_id=${term.reward_id}`).join("&");
    const words = this.words.split(",").map((word) => word.trim()).filter(Boolean).slice(0, 6).map((word) => `&words=${encodeURIComponent(word)}`).join("");
    try {
      this.data = await api(`rewards/lab/agreement?${ids}&simulated=${lab.simulated}${lab.study ? `&study_id=${lab.study}` : ""}${words}`);
    } catch (error) {
      this.data = null;
      fill(this.node, el("div", { class: "sec" }, note("Agreement cannot be counted now", error.message)));
      return;
    }
    this.draw();
  }

  /** The mix as it stands, on the judged pairs of this set. @param {any} found */
  drawMix(found) {
    this.mix = found;
    const row = this.node.querySelector("[data-testid=people-mix]");
    if (row) row.replaceWith(this.line("this mix, on this set", found, "people-mix", null, true));
  }

  draw() {
    const { lab, data } = this;
    const [whole, ...rest] = data.rows;
    if (!data.pairs) {
      fill(this.node, el("div", { class: "pane-h" }, el("h2", null, "Agreement with people")), el("div", { class: "sec" }, el("p", { class: "meta muted" }, "Nobody has decided a pair here yet. Answers of people, or of simulated annotators where they are asked for, are counted as they come."), el("a", { class: "link meta", href: "/label" }, "Label pairs")));
      return;
    }
    const lines = lab.mix.terms.map((term) => ({ term, row: lab.row(term), colour: rewardColour(lab.mix.terms.indexOf(term)), found: whole.rewards[term.reward_id] }));
    const classes = Object.entries(BY).map(([by, title]) => [title, rest.filter((row) => row.by === by && row.pairs >= LEAST)]).filter(([, rows]) => rows.length);
    fill(this.node, el("div", { class: "pane-h" }, el("h2", { class: "nowrap" }, "Agreement with people"), el("span", { class: "meta muted clip" }, `% of ${fmt.count(data.pairs, "pair")}, 95 % over prompts`)),
      el("div", { class: "sec" }, el("table", { class: "tbl lab-people" }, el("tbody", null, lines.map(({ row, colour, found }) => this.line(row.name, found, "people-row", colour)), this.line("this mix, on this set", this.mix, "people-mix", null, true), this.line("one person with the rest", whole.people, "people-ceiling", null))),
        el("p", { class: "meta muted", style: "margin-top:6px" }, "Dashed: guessing. A pair counts for what most of its answers say; a reward that cannot tell counts half. The last line is the people's own ceiling.")),
      classes.map(([title, rows]) => el("div", { class: "sec" }, this.classTable(title, rows, lines))),
      el("div", { class: "sec" }, el("label", { class: "row meta muted" }, el("span", { class: "nowrap" }, "Prompts with"), el("input", { class: "inp", type: "text", value: this.words, placeholder: "words, apart by commas", "data-testid": "people-words", onchange: (e) => { this.words = e.target.value; this.load(); } }))));
  }

  line(name, found, testid, colour, bold = false) {
    const known = found && found.value !== null && found.num > 0;
    return el("tr", { "data-testid": testid, "data-value": known ? found.value : null, "data-low": known ? found.low : null, "data-high": known ? found.high : null },
      el("td", { class: "clip", title: name, translate: colour ? "no" : null }, colour ? el("i", { class: "sw", style: `background:${colour};margin-right:8px` }) : null, bold ? el("b", { class: "strong" }, name) : name),
      el("td", null, known ? intervalLine(found.value, found.low, found.high, { from: FROM, to: 1, chance: 0.5, bold }) : null),
      el("td", { class: "num", title: known ? `${num(100 * found.low, 1)} to ${num(100 * found.high, 1)} % of ${found.num}` : "" }, known ? [num(100 * found.value, 0), el("span", { class: "pm" }, ` ± ${num(50 * (found.high - found.low), 0)}`)] : el("span", { class: "faint" }, "–")));
  }

  classTable(title, rows, lines) {
    const cell = (found) => el("td", { class: "num", title: found?.num ? `${num(100 * found.low, 0)} to ${num(100 * found.high, 0)} % of ${found.num}` : "" }, found?.num ? [num(100 * found.value, 0), el("span", { class: "pm" }, ` ±${num(50 * (found.high - found.low), 0)}`)] : "–");
    return el("div", { style: "overflow-x:auto" }, el("table", { class: "tbl lab-classes" }, el("thead", null, el("tr", null, el("th", null, title), lines.map(({ row, colour }) => el("th", { class: "num", title: row.name }, el("i", { class: "sw", style: `background:${colour}` }), el("span", { class: "vh", translate: "no" }, row.name))), el("th", { class: "num" }, "people"))),
      el("tbody", null, rows.map((row) => el("tr", { "data-testid": "people-class", "data-by": row.by }, el("td", { class: "clip", title: fmt.count(row.pairs, "pair") }, el("span", { translate: row.by === "kind" ? null : "no" }, row.name), el("span", { class: "pm" }, ` ${fmt.int(row.pairs)}`)), lines.map(({ term }) => cell(row.rewards[term.reward_id])), cell(row.people))))));
  }
}
