/** The whole log of a run: from a level on, by words, page by page, and straight to the error. */

import { api, button, el, fill, fmt, note, setQuery } from "/static/js/lib.js";

/** @typedef {import("/static/js/run_state.js").RunState} RunState */

const WAIT_MS = 200;
const MOST = 2000;

export class RunLog {
  /** @param {RunState} state @param {URLSearchParams} query */
  constructor(state, query) {
    this.state = state;
    this.level = ["warning", "error"].includes(query.get("level") ?? "") ? String(query.get("level")) : "info";
    this.words = query.get("words") ?? "";
    /** @type {any[]} the newest first */
    this.lines = [];
    /** @type {number|null} */
    this.next = null;
    /** @type {number[]} */
    this.errors = [];
    this.at = -1;
    this.timer = 0;
    this.list = el("ol", { class: "log whole", "data-testid": "whole-log", tabindex: "0", "aria-label": "Log" });
    this.jump = button("Jump to the error", { size: "sm", icon: "fail", testid: "jump-error", onclick: () => this.toError() });
    this.older = button("Older lines", { size: "sm", kind: "quiet", testid: "older-lines", onclick: () => this.more() });
    this.told = el("p", { class: "meta muted", role: "status" });
    const levels = el("select", { class: "sel sm-sel", "aria-label": "Lines from this level on", "data-testid": "log-level", onchange: (e) => { this.level = e.target.value; this.sought(); } },
      [["info", "all lines"], ["warning", "warnings and errors"], ["error", "errors"]].map(([value, word]) => el("option", { value, selected: value === this.level }, word)));
    const search = el("input", { class: "inp", type: "search", placeholder: "Find in the log", "aria-label": "Find in the log", "data-testid": "log-search", value: this.words,
      oninput: (e) => { this.words = e.target.value.trim(); window.clearTimeout(this.timer); this.timer = window.setTimeout(() => this.sought(), WAIT_MS); } });
    this.node = el("div", { class: "sec log-tools" }, el("div", { class: "row" }, search, levels), el("div", { class: "row" }, this.jump, el("span", { class: "grow" }), this.told), this.list, this.older);
  }

  /** Called when the view is opened. */
  open() {
    this.refresh();
  }

  /** What is looked for has changed: the address says so. */
  sought() {
    setQuery({ level: this.level === "info" ? null : this.level, words: this.words || null });
    this.refresh();
  }

  /** @param {Record<string, any>} [more] */
  async page(more = {}) {
    const query = new URLSearchParams({ level: this.level, words: this.words, ...more });
    return api(`runs/${this.state.id}/log?${query}`);
  }

  /** The newest lines again. */
  async refresh() {
    try {
      const answer = await this.page();
      this.lines = answer.lines;
      this.next = answer.next;
      this.errors = answer.errors;
      this.at = -1;
      this.draw();
    } catch (error) {
      fill(this.list, el("li", null, note("The log could not be read", error.message)));
    }
  }

  async more() {
    const answer = await this.page({ before: this.next });
    this.lines = [...this.lines, ...answer.lines].slice(0, MOST);
    this.next = this.lines.length < MOST ? answer.next : null;
    this.draw();
  }

  /** The newest error first, then the one before it: with the lines that led to it, whatever was filtered. */
  async toError() {
    this.at = (this.at + 1) % this.errors.length;
    const id = this.errors[this.at];
    if (!this.lines.some((line) => line.id === id)) {
      const answer = await this.page({ level: "info", words: "", around: id });
      this.lines = answer.lines;
      this.next = answer.next;
    }
    this.draw(id);
    this.list.querySelector(`[data-id="${id}"]`)?.scrollIntoView({ block: "center" });
  }

  /** @param {number} [told] the line that was jumped to */
  draw(told) {
    this.jump.hidden = !this.errors.length;
    this.older.hidden = this.next === null;
    fill(this.told, this.errors.length ? fmt.count(this.errors.length, "error") : "no errors");
    fill(this.list, this.lines.length ? this.lines.map((line) => el("li", {
      class: [line.level === "error" ? "bad" : line.level === "warning" ? "warn" : "", line.id === told ? "told" : ""].join(" ").trim(), "data-id": line.id, "data-level": line.level,
    }, el("span", { class: "faint" }, clock(line.at)), " ", line.text))
      : el("li", { class: "muted" }, this.words || this.level !== "info" ? "No line fits." : "Nothing written yet."));
  }
}

const clock = (/** @type {number} */ at) => new Date(at * 1000).toLocaleTimeString("en-GB");
