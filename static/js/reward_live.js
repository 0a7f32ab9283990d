/** The reward as the answers stand now: refitted at every look, with what it is worth and what would help. */

import { api, el, fill, fmt, note } from "/static/js/lib.js";
import { intervalBar } from "/static/js/plots.js";
import { num } from "/static/js/svg.js";

const LOOK_MS = 2500;

const percent = (/** @type {number} */ value) => `${num(100 * value, 1)} %`;

/** What more answers would bring, in words. @param {{why: string, labels: number|null}} next */
export function nextStep(next) {
  if (next.why === "better") return `About ${fmt.count(next.labels, "more answer")} until it can be told from the stock reward.`;
  if (next.why === "rise") return `About ${fmt.count(next.labels, "more answer")} for the next percentage point.`;
  return "More answers of this kind would change little; answer about newer pictures.";
}

export class LivePanel {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.host = host;
    this.simulated = false;
    this.timer = 0;
    this.over = false;
  }

  close() {
    this.over = true;
    window.clearTimeout(this.timer);
  }

  /** Look now, and again while the page is open. @param {boolean} simulated whether simulated answers count */
  async look(simulated = this.simulated) {
    this.simulated = simulated;
    window.clearTimeout(this.timer);
    try {
      this.draw(await api(`rewards/live?simulated=${simulated}`));
    } catch (error) {
      fill(this.host, el("div", { class: "sec" }, note("The answers could not be fitted", error.message)));
    }
    if (!this.over) this.timer = window.setTimeout(() => this.look(), LOOK_MS);
  }

  draw(state) {
    const f = state.figures;
    const waits = state.unseen > 0 && el("p", { class: "meta muted", style: "margin-top:4px" }, state.looking ? `A worker is looking at the pictures of ${fmt.count(state.unseen, "answer")}.` : `The pictures of ${fmt.count(state.unseen, "answer")} are not known to the encoder.`);
    fill(this.host, el("div", { class: "sec", style: "border-top:1px solid var(--line)", "data-testid": "live-reward" },
      el("div", { class: "sec-h" }, el("h2", null, "As the answers stand"), this.simulated && el("span", { class: "badge warn" }, "with simulated")),
      f ? this.figures(state, f) : el("p", { class: "meta muted" }, state.labels ? `${fmt.count(state.decided, "decided answer")} so far; figures come with 20.` : "Refitted after every answer, once there are some."), waits));
  }

  figures(state, f) {
    const line = (word, share, tone) => el("tr", null, el("td", null, word), el("td", null, intervalBar(share, { tone, width: 112 })), el("td", { class: "num" }, percent(share.accuracy)));
    return [el("div", { class: "row", style: "align-items:baseline;gap:8px" }, el("span", { class: "figure", "data-testid": "live-accuracy" }, percent(f.accuracy)), el("span", { class: "muted" }, `± ${num(50 * (f.high - f.low), 1)} of ${fmt.count(f.pairs, "decided answer")}`)),
      el("table", { class: "tbl", style: "margin:6px 0" }, el("tbody", null, line("this reward", f), line("stock reward", f.baseline, "var(--muted)"),
        f.ceiling && line("two answers agree", f.ceiling, "var(--muted)"))),
      !f.better && el("p", { class: "meta", style: "margin-bottom:4px", "data-testid": "not-usable" }, el("b", null, "Not usable yet: "), `it cannot be told from the stock reward (${num(100 * f.difference.low, 1)} to ${num(100 * f.difference.high, 1)} points apart).`),
      el("p", { class: "meta muted", style: "margin-bottom:4px", "data-testid": "next-step" }, nextStep(f.next), f.ceiling ? ` No reward can pass ${percent(f.ceiling.best)}.` : ""),
      state.people?.length > 1 && el("details", null, el("summary", { class: "meta" }, "Whose answers count"), el("table", { class: "tbl" }, el("tbody", null,
        state.people.map((one) => el("tr", null, el("td", { translate: "no" }, one.name), el("td", { class: "num" }, `weighs ${num(one.weight, 2)}`), el("td", { class: "num muted" }, `${num(100 * one.lapse, 0)} % lapses`)))))),
      state.refit_ms_p95 !== null && el("p", { class: "meta faint" }, `Refitted in ${num(state.refit_ms_p95, 0)} ms.`)];
  }
}
