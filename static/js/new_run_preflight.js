/** The preflight pane: every check with its fix, what the run costs, what was changed, and Start. */

import { api, button, el, fill, icon } from "/static/js/lib.js";
import { count, duration } from "/static/js/svg.js";

const QUIET_MS = 250;
const SIGNS = { pass: ["check", "ok", "pass"], warn: ["warn", "warn", "wrn"], fail: ["fail", "bad", "fail"] };

export class Preflight {
  /** @param {HTMLElement} host @param {{onFix: (changes: Record<string, any>) => void, onStart: () => void,
   *   onFault: (path: string, text: string) => string}} options */
  constructor(host, { onFix, onStart, onFault }) {
    Object.assign(this, { onFix, onStart, onFault });
    this.timer = 0;
    this.asked = 0;
    this.lines = [];
    /** @type {string[]} names of fields that cannot be read */
    this.held = [];
    this.head = el("div", { class: "pane-h" }, el("h2", null, "Preflight"), el("span", { class: "grow" }));
    this.body = el("div", { class: "pre", "aria-live": "polite" });
    this.foot = el("div", { class: "start-foot" });
    fill(host, this.head, this.body, this.foot);
  }

  close() {
    window.clearTimeout(this.timer);
  }

  /** @param {any} config @param {{diff: [string, any, any][], from: string, cloned: boolean}} about */
  ask(config, about) {
    this.about = about;
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.run(config), QUIET_MS);
    this.drawFoot(null);
  }

  async run(config) {
    const ask = ++this.asked;
    try {
      const answer = await api("runs/preflight", { body: { config } });
      if (ask !== this.asked) return;
      this.lines = answer.lines;
      this.draw(answer);
      this.drawFoot(this.blocked());
    } catch (error) {
      if (ask !== this.asked) return;
      this.lines = [{ name: error.field ? this.onFault(error.field, error.message) : "Settings", value: "", status: "fail", reason: error.message, fix: null }];
      this.draw({});
      this.drawFoot(this.blocked());
    }
  }

  /** Keep Start shut while these fields cannot be read. @param {string[]} names */
  hold(names) {
    if (names.join() === this.held.join()) return;
    this.held = names;
    this.drawFoot(this.blocked());
  }

  blocked() {
    if (this.held.length) return this.held;
    return this.lines.filter((line) => line.status === "fail").map((line) => line.name);
  }

  draw(answer) {
    const by = (status) => this.lines.filter((line) => line.status === status).length;
    const tally = [["fail", "bad", "failed"], ["warn", "warn", by("warn") === 1 ? "warning" : "warnings"], ["pass", "muted", "passed"]].filter(([status]) => by(status));
    fill(this.head, el("h2", null, "Preflight"), el("span", { class: "grow" }), el("span", { class: "meta", "data-testid": "preflight-tally" }, tally.map(([status, cls, word], i) => [i ? el("span", { class: "muted" }, " · ") : null, el("span", { class: cls }, `${by(status)} ${word}`)])));
    const order = ["fail", "warn", "pass"];
    const sorted = [...this.lines].sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
    fill(this.body, sorted.map((line) => this.line(line)), this.cost(answer));
  }

  line(line) {
    const [sign, tone, cls] = SIGNS[line.status] ?? SIGNS.warn;
    const fix = line.fix && (typeof line.fix === "object" ? line.fix : { text: String(line.fix) });
    const changes = fix?.changes ?? fix?.set ?? null;
    const action = fix && el("div", { class: "fix" }, changes
      ? button(`Fix: ${fix.text ?? fix.label ?? Object.entries(changes).map(([k, v]) => `${k} to ${v}`).join(", ")}`, { size: "sm", testid: "fix", onclick: () => this.onFix(changes) })
      : fix.url ? el("a", { class: "link", href: fix.url }, fix.text) : el("span", null, el("b", null, "Fix: "), fix.text ?? ""));
    return el("div", { class: `pf ${cls}`, "data-testid": "preflight-line", "data-status": line.status, "data-name": line.name }, icon(sign, tone), el("b", null, line.name),
      el("span", { class: "v" }, line.value === null || line.value === undefined ? "" : String(line.value)), line.reason && el("span", { class: "d" }, line.reason), action);
  }

  /** What an iteration is made of, in words; its letter and what it means is the tooltip. */
  cost(answer) {
    const line = (word, value, title = "", letter = "") => [el("dt", { title }, word, letter && el("span", { class: "faint" }, ` ${letter}`)), el("dd", { title }, value)];
    const parts = (answer.cost ?? []).map((part) => line(part.name, count(part.value), part.about, part.letter));
    const times = [];
    if (Number.isFinite(answer.seconds_per_step)) times.push(line("time an iteration", duration(answer.seconds_per_step)));
    if (Number.isFinite(answer.total_seconds)) times.push(line("whole run", `about ${duration(answer.total_seconds)}`));
    if (!parts.length && !times.length) return null;
    return el("div", { class: "sec", "data-testid": "cost-parts" }, el("h3", { style: "margin-bottom:6px" }, "An iteration, in network evaluations"), el("dl", { class: "kv" }, parts, times));
  }

  /** @param {string[]|null} blocked null while the check runs */
  drawFoot(blocked, refused = "") {
    const { diff = [], from = "", cloned = false } = this.about ?? {};
    const write = (value) => (value === undefined || value === null ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value));
    const changes = diff.length
      ? el("details", { class: "meta" }, el("summary", { "data-testid": "changes" }, `${diff.length} ${diff.length === 1 ? "change" : "changes"} from ${from}`),
        el("dl", { class: "kv mono", style: "margin-top:4px" }, diff.slice(0, 12).map(([path, before, after]) => [el("dt", { class: "clip", title: path }, path), el("dd", { class: "clip", title: write(after) }, el("s", { class: "faint" }, write(before)), " ", write(after))])))
      : el("p", { class: "meta muted", "data-testid": "changes" }, cloned ? `No differences from ${from}: this would be the same run again.` : `As ${from} has it.`);
    if (this.held.length) blocked = this.held;
    const stop = Boolean(blocked?.length);
    const why = blocked === null ? "Checking the settings." : stop ? this.held.length ? `One value cannot be read: ${this.held.join(", ")}.`.replace("One value", this.held.length === 1 ? "One value" : "Some values") : `${blocked.length === 1 ? "One check fails" : `${blocked.length} checks fail`}: ${blocked.join(", ").toLowerCase()}.` : "";
    const start = button("Start run", { kind: "primary lg", testid: "start-run", disabled: stop || blocked === null, onclick: () => this.start() });
    fill(this.foot, changes, start, refused ? el("p", { class: "meta bad", role: "alert" }, refused) : why && el("p", { class: `meta ${stop ? "bad" : "muted"}`, "data-testid": "start-why" }, why));
    if (this.foot.querySelector("details")) this.foot.querySelector("details").open = Boolean(cloned && diff.length <= 4);
  }

  async start() {
    const button_ = this.foot.querySelector("[data-testid=start-run]");
    if (button_) { button_.disabled = true; button_.textContent = "Starting"; }
    await this.onStart();
    if (button_?.isConnected) { button_.disabled = false; button_.textContent = "Start run"; }
  }

  /** The studio refused the run. @param {string} sentence */
  refuse(sentence) {
    this.drawFoot(this.blocked(), sentence);
  }
}
