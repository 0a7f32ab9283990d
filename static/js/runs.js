/** Runs: the list, a filter that lives in the address, and two of them side by side in Compare. */

import { button, el, empty, fill, fmt, icon, kbd, keys, live, note, poll, setQuery } from "/static/js/lib.js";
import { spark } from "/static/js/charts.js";
import { gainText, methodName, statusPill, stepMeter, STATUSES, whenText } from "/static/js/run_parts.js";

/** @typedef {import("/static/js/run_parts.js").RunRow} RunRow */

const PAGE = 50;
const REFRESH_S = 2;

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const view = new RunsView(main, page);
  await view.load();
  const stop = [
    poll(() => view.refresh(), REFRESH_S),
    keys.bind("Runs", [
      { id: "runs.next", keys: ["j", "ArrowDown"], label: "Next run", repeat: true, run: () => view.move(1) },
      { id: "runs.previous", keys: ["k", "ArrowUp"], label: "Previous run", repeat: true, run: () => view.move(-1) },
      { id: "runs.select", keys: ["x"], label: "Select for comparing", run: () => view.toggle() },
      { id: "runs.open", keys: ["Enter"], label: "Open, or compare the two selected", run: () => view.enter() },
      { id: "runs.new", keys: ["n"], label: "New run", run: () => page.go("/runs/new") },
    ]),
  ];
  return () => stop.forEach((end) => end());
}

class RunsView {
  /** @param {HTMLElement} main @param {any} page */
  constructor(main, page) {
    this.page = page;
    this.main = main;
    this.status = STATUSES[page.query.get("status")] ? page.query.get("status") : "";
    this.limit = PAGE;
    this.total = 0;
    this.fresh = false;
    /** @type {RunRow[]} */
    this.items = [];
    /** @type {number[]} */
    this.picked = [];
    /** @type {number|null} */
    this.current = null;
    this.bar = el("div", { class: "bar", role: "toolbar", "aria-label": "Runs" });
    this.body = el("div", { class: "scroll", "data-testid": "runs-body" });
    fill(main, this.bar, this.body);
  }

  async load() {
    try {
      const query = new URLSearchParams({ offset: "0", limit: String(this.limit) });
      if (this.status) query.set("status", this.status);
      const answer = await this.page.api(`runs?${query}`);
      this.items = answer.items;
      this.total = answer.total;
      this.current ??= this.items[0]?.id ?? null;
      this.draw();
    } catch (error) {
      if (this.items.length) return;
      this.drawBar();
      fill(this.body, el("div", { class: "sec" }, note("The runs could not be read", error.message,
        { actions: [button("Try again", { size: "sm", onclick: () => this.load() })] })));
    }
  }

  /** Asked every two seconds; the first time the list has only just been read. */
  refresh() {
    if (!this.fresh) { this.fresh = true; return undefined; }
    return this.load();
  }

  draw() {
    this.drawBar();
    if (!this.items.length) return fill(this.body, this.emptyState());
    const focused = this.body.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.id : null;
    const rows = this.items.map((run) => this.row(run));
    fill(this.body, el("table", { class: "tbl pad runs", "data-testid": "runs-table", "aria-label": "Runs" },
      el("thead", null, el("tr", null, el("th", { style: "width:28px" }, el("span", { class: "vh" }, "select")),
        ["status", "run", "recipe", "step", "reward"].map((word) => el("th", null, word)),
        el("th", { class: "num" }, "held-out, vs base"), el("th", null, "alarms"), el("th", { class: "num" }, "left or ended"))),
      el("tbody", null, rows)), this.foot());
    if (focused) /** @type {HTMLElement|null} */ (this.body.querySelector(`[data-id="${focused}"]`))?.focus();
    return undefined;
  }

  drawBar() {
    const chip = (value, word) => el("button", {
      class: `chip ${this.status === value ? "on" : ""}`, "aria-pressed": String(this.status === value), "data-testid": `filter-${value || "all"}`,
      onclick: () => this.filter(value),
    }, word);
    const [a, b] = this.picked.map((id) => this.items.find((run) => run.id === id));
    const ready = a && b && this.policyOf(a) && this.policyOf(b);
    const why = this.picked.length < 2 ? "Select two runs with X or their boxes" : ready ? "" : "A run without a checkpoint cannot be compared";
    fill(this.bar, icon("filter", "muted"), chip("", "all"), Object.keys(STATUSES).map((s) => chip(s, s)),
      el("span", { class: "grow" }),
      this.picked.length > 0 && el("span", { class: "meta muted nowrap" }, `${this.picked.length} selected`),
      this.picked.length > 0 && button("Compare the two", { icon: "compare", testid: "compare-runs", disabled: !ready, title: why, onclick: () => this.compare() }),
      button("New run", { kind: "primary", icon: "plus", key: "n", testid: "new-run", onclick: () => this.page.go("/runs/new") }));
  }

  /** @param {RunRow} run */
  row(run) {
    const picked = this.picked.includes(run.id);
    const alarms = Array.isArray(run.alarms) ? run.alarms.length : Number(run.alarms ?? 0);
    return el("tr", { "data-testid": "run-row", "data-run": run.id, "aria-selected": String(picked), class: run.id === this.current ? "current" : "" },
      el("td", null, el("input", { type: "checkbox", checked: picked, "aria-label": `Select ${run.name}`, "data-id": `pick-${run.id}`, onchange: () => this.toggle(run.id) })),
      el("td", null, statusPill(run)),
      el("td", null, el("a", { href: `/runs/${run.id}`, class: "strong", "data-id": `open-${run.id}` }, run.name)),
      el("td", { class: "muted" }, methodName(run)),
      el("td", null, stepMeter(run)),
      el("td", null, run.spark?.length > 1 ? spark(run.spark) : el("span", { class: "faint", title: "No iteration has ended yet." }, "–")),
      el("td", { class: "num" }, gainText(run.gain)),
      el("td", null, run.status === "failed"
        ? el("span", { class: "pill bad clip", style: "max-width:220px", title: run.error }, icon("fail", "bad"), el("span", { class: "clip" }, run.error || "failed"))
        : alarms > 0 ? el("span", { class: "pill" }, icon("warn", "warn"), String(alarms)) : null),
      el("td", { class: "num" }, whenText(run)));
  }

  foot() {
    return el("div", { class: "row meta muted foot" },
      el("span", null, `${fmt.int(this.items.length)} of ${fmt.count(this.total, "run")}`),
      this.items.length < this.total && button("Show more", { size: "sm", onclick: () => { this.limit += PAGE; this.load(); } }),
      el("span", { class: "grow" }),
      el("span", { class: "row hints" }, kbd("j"), kbd("k"), "run", kbd("x"), "select", kbd("Enter"), "open"));
  }

  emptyState() {
    if (this.status) {
      return empty({ title: `No run is ${this.status}`, text: "Other runs may be: take the filter off to see them.", actions: [button("Show all", { onclick: () => this.filter("") })] });
    }
    return empty({
      title: "No runs yet",
      text: "A run teaches the model what your rewards ask for. Begin from a recipe: its settings are filled in, and a preflight says what would fail.",
      actions: [el("a", { class: "btn", href: "/runs/new" }, "Set up the first run")],
    });
  }

  /** @param {string} value */
  filter(value) {
    this.status = value;
    this.picked = [];
    this.current = null;
    setQuery({ status: value || null });
    return this.load();
  }

  /** @param {number} by */
  move(by) {
    if (!this.items.length) return;
    const at = this.items.findIndex((run) => run.id === this.current);
    const next = this.items[Math.max(0, Math.min(this.items.length - 1, at + by))];
    this.current = next.id;
    this.draw();
    /** @type {HTMLElement|null} */ (this.body.querySelector(`[data-id="open-${next.id}"]`))?.focus();
  }

  /** @param {number|null} [id] */
  toggle(id = this.current) {
    if (id === null) return;
    this.current = id;
    this.picked = this.picked.includes(id) ? this.picked.filter((other) => other !== id) : [...this.picked, id].slice(-2);
    live(`${this.picked.length} of 2 runs selected`);
    this.draw();
  }

  enter() {
    if (this.picked.length === 2) return this.compare();
    return this.current === null ? undefined : this.page.go(`/runs/${this.current}`);
  }

  /** @param {RunRow} run */
  policyOf(run) {
    return run.tuned_policy_id;
  }

  compare() {
    const [a, b] = this.picked.map((id) => this.items.find((run) => run.id === id)).filter(Boolean).sort((x, y) => x.id - y.id);
    if (!a || !b || !this.policyOf(a) || !this.policyOf(b)) return undefined;
    return this.page.go(`/compare?base=${this.policyOf(a)}&tuned=${this.policyOf(b)}`);
  }
}

