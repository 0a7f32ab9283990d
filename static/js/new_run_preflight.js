/** The preflight pane: every check with its fix, what the run costs, what was changed, and Start. */

import { api, button, el, fill, fmt, icon, live } from "/static/js/lib.js";
import { watchJob } from "/static/js/jobs.js";
import { placeWord } from "/static/js/runs_row.js";
import { count } from "/static/js/svg.js";

/** A wrong value is said beside its field within 150 ms of the keystroke. */
const QUIET_MS = 40;
const SIGNS = { pass: ["check", "ok", "pass"], warn: ["warn", "warn", "wrn"], fail: ["fail", "bad", "fail"] };
/** Why the same run is made again. */
const WHYS = ["To see how much of it is chance", "To check that it comes out the same", "The code or the machine has changed"];

/** One check with what helps it. @param {any} line @param {HTMLElement|null|undefined|false} fix */
export function lineNode(line, fix) {
  const [sign, tone, cls] = SIGNS[line.status] ?? SIGNS.warn;
  return el("div", { class: `pf ${line.stale ? "stale" : cls}`, title: line.stale ? "As it was before the value that cannot be" : null, "data-testid": "preflight-line", "data-status": line.status, "data-name": line.name }, icon(sign, tone), el("b", null, line.name),
    el("span", { class: "v" }, line.value === null || line.value === undefined ? "" : String(line.value)), line.reason && el("span", { class: "d" }, line.reason), fix);
}

export class Preflight {
  /** @param {HTMLElement} host @param {{onFix: (changes: Record<string, any>) => void, onStart: () => void,
   *   onFault: (path: string, text: string) => string, onMade: () => Promise<void>, base: (path: string) => any,
   *   focusFault: () => void}} options base: what a setting was before it was changed */
  constructor(host, options) {
    Object.assign(this, options);
    this.timer = 0;
    this.asked = 0;
    this.lines = [];
    /** @type {string[]} names of fields that cannot be read */
    this.held = [];
    /** @type {string} */
    this.note = "";
    this.place = "";
    /** @type {any[]} workers that train */
    this.places = [];
    this.stopProbe = () => {};
    this.head = el("div", { class: "pane-h" }, el("h2", null, "Preflight"), el("span", { class: "grow" }));
    this.body = el("div", { class: "pre", "aria-live": "polite" });
    this.trial = el("div", { class: "trial", "data-testid": "step-probe" });
    this.foot = el("div", { class: "start-foot" });
    fill(host, this.head, this.body, this.trial, this.foot);
  }

  close() {
    window.clearTimeout(this.timer);
    this.stopProbe();
  }

  /** @param {any} config @param {{diff: [string, any, any][], from: string, cloned: boolean}} about */
  ask(config, about) {
    if (about.diff.length || !about.cloned) this.note = "";
    this.about = about;
    this.config = config;
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.run(config), QUIET_MS);
    this.drawFoot(null);
  }

  /** Ask again with the same settings: something was learned about them. */
  again() {
    if (this.config) this.run(this.config);
  }

  async run(config) {
    const ask = ++this.asked;
    try {
      const answer = await api("runs/preflight", { body: { config } });
      if (ask !== this.asked) return;
      this.lines = answer.lines;
      this.known = answer;
      this.draw(answer);
    } catch (error) {
      if (ask !== this.asked) return;
      const rest = (this.known?.lines ?? []).map((line) => ({ ...line, stale: true, fix: null }));
      this.lines = [this.fault(error), ...rest];
      this.draw({});
    }
    this.drawFoot(this.blocked());
  }

  /** A setting that cannot be, as a line; its fix puts back what stood there before. */
  fault(error) {
    const before = error.field ? this.base(error.field) : undefined;
    const fix = before === undefined ? null : { text: `back to ${typeof before === "object" ? JSON.stringify(before) : before}`, changes: { [error.field]: before } };
    return { name: error.field ? this.onFault(error.field, error.message) : "Settings", value: "", status: "fail", reason: error.message, fix };
  }

  /** Keep Start shut while these fields cannot be read. @param {string[]} names */
  hold(names) {
    if (names.join() === this.held.join()) return;
    this.held = names;
    this.drawFoot(this.blocked());
  }

  blocked() {
    if (this.held.length) return this.held;
    return this.lines.filter((line) => line.status === "fail" && !line.stale).map((line) => line.name);
  }

  draw(answer) {
    const by = (status) => this.lines.filter((line) => line.status === status && !line.stale).length;
    const tally = [["fail", "bad", `${by("fail")} failed`], ["warn", "warn", fmt.count(by("warn"), "warning")], ["pass", "muted", `${by("pass")} passed`]].filter(([status]) => by(status));
    fill(this.head, el("h2", null, "Preflight"), el("span", { class: "grow" }), el("span", { class: "meta", "data-testid": "preflight-tally" }, tally.map(([status, cls, word], i) => [i ? el("span", { class: "muted" }, " · ") : null, el("span", { class: cls }, word)])));
    const order = ["fail", "warn", "pass"];
    const sorted = [...this.lines].sort((a, b) => Number(Boolean(a.stale)) - Number(Boolean(b.stale)) || order.indexOf(a.status) - order.indexOf(b.status));
    const focused = this.body.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).closest("[data-name]")?.getAttribute("data-name") : null;
    fill(this.body, sorted.map((line) => this.line(line)), this.cost(answer));
    if (focused) /** @type {HTMLElement|null} */ (this.body.querySelector(`[data-name="${CSS.escape(focused)}"] button`))?.focus({ preventScroll: true });
  }

  line(line) { return lineNode(line, line.fix && el("div", { class: "fix" }, this.action(line))); }

  /** What a fix does: lay changes over the form, make what is missing, try a step, or lead somewhere. */
  action(line) {
    const { fix } = line;
    if (fix.probe) return button(cap(fix.text), { size: "sm", testid: "try-step", onclick: () => this.tryStep(fix.probe) });
    if (fix.url) return el("a", { class: "link", href: fix.url }, fix.text);
    const word = `${line.status === "pass" ? "" : "Fix: "}${fix.text ?? Object.entries(fix.changes).map(([k, v]) => `${k} to ${v}`).join(", ")}`;
    return button(word, { size: "sm", testid: "fix", onclick: async (event) => {
      if (!fix.post) return this.onFix(fix.changes);
      /** @type {HTMLButtonElement} */ (event.currentTarget).disabled = true;
      try {
        const { changes } = await api(fix.post.path, { body: fix.post.body });
        await this.onMade();
        this.onFix(changes);
      } catch (error) {
        this.refuse(error.message);
      }
    } });
  }

  /** Run one step with everything loaded: memory and time are then measured. @param {string} kind */
  async tryStep(kind) {
    this.stopProbe();
    try {
      const job = await api("runs/probe", { body: { config: this.config, kind } });
      this.stopProbe = watchJob(this.trial, job.id, { title: `Trying a step, ${count(job.args.nfe)} evaluations`, onend: (ended) => {
        if (ended.status === "done") { fill(this.trial); live("Memory and time were measured"); }
        if (ended.status === "stopped") fill(this.trial, el("p", { class: "meta muted" }, "Stopped; memory and time stay estimates."));
        this.again();
      } });
    } catch (error) {
      fill(this.trial, el("p", { class: "meta bad", role: "alert" }, error.message));
    }
  }

  /** What an iteration is made of, in words; its letter and what it means is the tooltip. */
  cost(answer) {
    const line = (word, value, title = "", letter = "") => [el("dt", { title }, word, letter && el("span", { class: "faint" }, ` ${letter}`)), el("dd", { title }, value)];
    const parts = (answer.cost ?? []).map((part) => line(part.name, count(part.value), part.about, part.letter));
    const times = [];
    if (Number.isFinite(answer.seconds_per_step)) times.push(line("time an iteration", fmt.span(answer.seconds_per_step)));
    if (Number.isFinite(answer.total_seconds)) times.push(line("whole run", `about ${fmt.span(answer.total_seconds)}`));
    if (!parts.length && !times.length) return null;
    return el("div", { class: "sec", "data-testid": "cost-parts" }, el("h3", { style: "margin-bottom:6px" }, "An iteration, in network evaluations"), el("dl", { class: "kv" }, parts, times));
  }

  /** Why Start is shut: a sentence, or nothing. @param {string[]|null} blocked */
  why(blocked) {
    if (blocked === null) return "Checking the settings.";
    if (this.held.length) return `${this.held.length === 1 ? "One value" : "Some values"} cannot be read: ${this.held.join(", ")}.`;
    if (blocked.length) return `${blocked.length === 1 ? "One check fails" : `${blocked.length} checks fail`}: ${blocked.join(", ").toLowerCase()}.`;
    return this.same && !this.note ? "Say why the same run is made again." : "";
  }

  get same() {
    return Boolean(this.about?.cloned && !this.about.diff.length);
  }

  /** @param {string[]|null} blocked null while the check runs */
  drawFoot(blocked, refused = "") {
    const { diff = [], from = "" } = this.about ?? {};
    const write = (value) => (value === undefined || value === null ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value));
    const had = this.foot.contains(document.activeElement) ? document.activeElement?.getAttribute("data-testid") : null;
    const changes = diff.length
      ? el("details", { class: "meta" }, el("summary", { "data-testid": "changes" }, `${diff.length} ${diff.length === 1 ? "change" : "changes"} from ${from}`),
        el("dl", { class: "kv mono", style: "margin-top:4px", "data-testid": "diff" }, diff.slice(0, 12).map(([path, before, after]) => [el("dt", { class: "clip", title: path }, path), el("dd", { class: "clip", title: write(after) }, el("s", { class: "faint" }, write(before)), " ", write(after))]),
          diff.length > 12 && [el("dt", null, `and ${diff.length - 12} more`), el("dd", null)]))
      : el("p", { class: "meta muted", "data-testid": "changes" }, this.same ? `No differences from ${from}: this would be the same run again.` : `Unchanged from ${from}.`);
    const why = this.why(blocked);
    const shut = Boolean(why);
    const start = button("Start run", { kind: "primary lg", testid: "start-run", onclick: () => (shut ? this.focusFault() : this.start()) });
    start.setAttribute("aria-disabled", String(shut));
    if (shut) start.setAttribute("aria-describedby", "start-why");
    fill(this.foot, changes, this.same && this.reasons(), this.places.length > 0 && this.placeRow(), start,
      refused ? el("p", { class: "meta bad", role: "alert" }, refused) : why && el("p", { class: `meta ${blocked?.length ? "bad" : "muted"}`, id: "start-why", "data-testid": "start-why" }, why));
    const details = this.foot.querySelector("details");
    if (details) details.open = Boolean(this.about?.cloned && diff.length <= 4);
    if (had) /** @type {HTMLElement|null} */ (this.foot.querySelector(`[data-testid="${had}"]`))?.focus({ preventScroll: true });
  }

  /** The same run again is asked why; another seed is one click away. */
  reasons() {
    return el("div", { class: "same" }, el("select", { class: "sel", "aria-label": "Why the same run is made again", "data-testid": "why-same", onchange: (e) => { this.note = e.target.value; this.drawFoot(this.blocked()); } },
      el("option", { value: "" }, "Why make it again?"), WHYS.map((why) => el("option", { value: why, selected: why === this.note }, why))),
    button("Another seed", { testid: "other-seed", onclick: () => this.onFix({ seed: (Number(this.config?.seed) || 0) + 1 }) }));
  }

  /** Which machine or GPU does it; the others are busy or free. */
  placeRow() {
    const names = [...new Set(this.places.map((worker) => worker.place).filter(Boolean))];
    return el("div", { class: "form-row" }, el("label", { for: "run-place" }, "On"), el("select", { class: "sel", id: "run-place", "data-testid": "run-place", onchange: (e) => { this.place = e.target.value; } },
      el("option", { value: "" }, "any worker"), names.map((name) => el("option", { value: name, selected: name === this.place }, placeWord(name, this.places)))));
  }

  async start() {
    const node = this.foot.querySelector("[data-testid=start-run]");
    if (node) { node.disabled = true; node.textContent = "Starting"; }
    await this.onStart();
    if (node?.isConnected) { node.disabled = false; node.textContent = "Start run"; }
  }

  /** The studio refused the run. @param {string} sentence */
  refuse(sentence) {
    this.drawFoot(this.blocked(), sentence);
  }
}

const cap = (text) => text.charAt(0).toUpperCase() + text.slice(1);
