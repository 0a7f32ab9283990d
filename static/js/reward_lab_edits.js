/** Cheap edits: which of them a reward likes, by how much, and the pictures that it likes most after one. */

import { api, button, dialog, el, fill, fmt, icon, toast } from "/static/js/lib.js";
import { watchJob } from "/static/js/jobs.js";
import { figure, num, rewardColour } from "/static/js/svg.js";

const WORDS = { saturation: "saturation", sharpening: "sharpening", brightness: "brightness", border: "border", crop: "crop", blur: "blur", noise: "noise", text: "words painted in" };
const EDITS = Object.keys(WORDS);
/** From half a spread on an edit is worth a warning: half of what being the better sibling is worth. */
const LEVER = 0.5;

export class EditsPanel {
  /** @param {HTMLElement} host @param {any} lab */
  constructor(host, lab) {
    this.lab = lab;
    this.node = el("div", { class: "lab-line", "data-testid": "edits" });
    this.job = el("div", { class: "jobhost" });
    this.stop = () => {};
    /** @type {Map<number, any>} */
    this.reports = new Map();
    fill(host, this.node, this.job);
  }

  close() {
    this.stop();
  }

  async load() {
    const ids = this.lab.mix.terms.map((term) => term.reward_id);
    const found = await Promise.all(ids.map((id) => api(`rewards/${id}/edits`).catch(() => null)));
    this.reports = new Map(ids.map((id, i) => [id, found[i]]).filter(([, report]) => report));
    this.draw();
  }

  draw() {
    const { lab } = this;
    const terms = lab.mix.terms;
    const lever = (term, edit) => this.reports.get(term.reward_id)?.levers.find((one) => one.edit === edit);
    const strong = terms.flatMap((term) => EDITS.map((edit) => ({ term, edit, found: lever(term, edit) })).filter(({ found }) => found?.leverage > LEVER));
    fill(this.node, el("div", { class: "pane-h" }, el("h2", null, "Cheap edits"), el("span", { class: "meta muted clip grow" }, this.reports.size ? "change, in spreads among siblings" : ""), button(this.reports.size ? "Try again" : "Try eight edits", { size: "sm", testid: "try-edits", onclick: () => this.ask(terms.map((term) => term.reward_id)) })),
      this.reports.size ? el("div", { class: "sec", style: "overflow-x:auto" }, el("table", { class: "tbl lab-edits" }, el("thead", null, el("tr", null, el("th", null, "edit"), terms.map((term, i) => el("th", { class: "num", title: lab.row(term).name }, el("i", { class: "sw", style: `background:${rewardColour(i)}` }), el("span", { class: "vh", translate: "no" }, lab.row(term).name))))),
        el("tbody", null, EDITS.map((edit) => el("tr", null, el("td", null, WORDS[edit] ?? edit), terms.map((term) => this.cell(term, edit, lever(term, edit)))))))) : el("div", { class: "sec" }, el("p", { class: "meta muted" }, "None of eight small edits makes a picture better. A reward that one of them raises will be bought with it by a policy; asking costs nine times 64 pictures.")),
      strong.length ? el("div", { class: "sec" }, el("div", { class: "note warn", "data-testid": "levers" }, icon("warn", "warn"), el("div", { class: "x" }, el("b", { class: "strong" }, strong.length === 1 ? "One lever over half a spread" : `${strong.length} levers over half a spread`), terms.map((term) => this.found(term, strong.filter((one) => one.term === term))), el("p", { class: "meta" }, strong.length === 1 ? "A run would find it." : "A run would find them.")))) : null);
  }

  /** The levers of one reward in a line. */
  found(term, levers) {
    return levers.length ? el("p", { class: "meta" }, el("span", { class: "strong", translate: "no" }, this.lab.row(term).name), " ", el("span", null, levers.map(({ edit }) => WORDS[edit] ?? edit).join(", "))) : null;
  }

  cell(term, edit, found) {
    if (!found) return el("td", { class: "num faint" }, "–");
    const strength = Math.min(1, Math.abs(found.leverage ?? 0)) * 55;
    const tone = found.leverage < 0 ? "var(--adv-n2)" : "var(--adv-p2)";
    const sure = found.low !== null && (found.low > 0 || found.high < 0);
    return el("td", { class: "num lab-cell", style: `background:color-mix(in oklab, ${tone} ${strength.toFixed(0)}%, transparent)` },
      el("button", { type: "button", "data-testid": `edit-${edit}`, "data-reward": this.lab.row(term).name, "data-leverage": found.leverage, class: sure ? "strong" : "", title: `${figure(found.mean)} (${figure(found.low)} to ${figure(found.high)}); raises ${num(100 * found.raised, 0)} % of ${found.known}`, onclick: () => this.open(term, edit, found) }, num(found.leverage, 2, { sign: true })));
  }

  open(term, edit, found) {
    const picture = (url, width, caption, alt) => el("figure", null, el("img", { src: url, width: 96, height: 96, alt, class: width <= 128 ? "px" : null }), el("figcaption", { class: "micro" }, caption));
    return dialog(WORDS[edit] ?? edit, () => [el("p", null, `It raises ${this.lab.row(term).name} by ${figure(found.mean)} on average, 95 % ${figure(found.low)} to ${figure(found.high)}, and on ${num(100 * found.raised, 0)} % (${num(100 * found.raised_low, 0)} to ${num(100 * found.raised_high, 0)}) of ${fmt.count(found.known, "picture")}.`),
      el("h3", { style: "margin:12px 0 8px" }, "Where it rises most"), el("div", { class: "lab-worst", "data-testid": "worst" }, found.worst.map((one) => el("div", { class: "lab-pair" }, picture(one.url, one.width, figure(one.before), one.prompt), picture(one.edited, one.width, el("span", { class: one.change < 0 ? "neg" : "pos" }, `${one.change < 0 ? "−" : "+"}${figure(Math.abs(one.change))}`), `${one.prompt}, edited`))))], { wide: true });
  }

  /** One reward after the other. @param {number[]} ids */
  async ask(ids) {
    const [id, ...rest] = ids;
    if (id === undefined) { await this.load(); return; }
    try {
      const { job_id: job } = await api(`rewards/${id}/edits`, { body: { set: this.lab.set } });
      this.stop();
      this.stop = watchJob(this.job, job, { title: `Trying edits on ${this.lab.rows.find((row) => row.id === id)?.name ?? "a reward"}`, onend: (ended) => { if (ended.status === "stopped") return; if (ended.status === "failed") toast(ended.error, { sign: "warn", tone: "warn" }); if (ended.status === "done") fill(this.job); this.load(); this.ask(rest); } });
    } catch (error) {
      toast(error.message, { sign: "fail", tone: "bad" });
    }
  }
}
