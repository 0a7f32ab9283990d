/** Runs: the list with a filter that lives in the address, the queue, and what is done to several at once. */

import { api, button, el, empty, fill, fmt, icon, kbd, keys, live, note, poll, setQuery, toast } from "/static/js/lib.js";
import { isQueued, STATUSES } from "/static/js/run_parts.js";
import { runRow } from "/static/js/runs_row.js";
import { PickBar } from "/static/js/runs_pick.js";

/** @typedef {import("/static/js/run_parts.js").RunRow} RunRow */

/** Rows in the page at once; others are on other pages of the list. */
const PAGE = 50;
const REFRESH_S = 2;
const TYPING_MS = 200;
const RELEASES = ["pointerup", "pointercancel", "dragend", "blur"];

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const view = new RunsView(main, page);
  await view.load();
  const stop = [
    () => view.close(),
    poll(() => view.refresh(), REFRESH_S),
    keys.bind("Runs", [
      { id: "runs.next", keys: ["j", "ArrowDown"], label: "Next run", repeat: true, run: () => view.move(1) },
      { id: "runs.previous", keys: ["k", "ArrowUp"], label: "Previous run", repeat: true, run: () => view.move(-1) },
      { id: "runs.select", keys: ["x"], label: "Select", run: () => view.toggle() },
      { id: "runs.open", keys: ["Enter"], label: "Open, or compare the selected", run: () => view.enter() },
      { id: "runs.clear", keys: ["Escape"], label: "Select none", run: () => view.pick([]) },
      { id: "runs.find", keys: ["/"], label: "Find a run", run: (event) => { event.preventDefault(); view.search.focus(); } },
      { id: "runs.new", keys: ["n"], label: "New run", run: () => page.go("/runs/new") },
    ]),
  ];
  return () => stop.forEach((end) => end());
}

class RunsView {
  /** @param {HTMLElement} main @param {any} page */
  constructor(main, page) {
    this.page = page;
    const query = page.query;
    this.wanted = { status: STATUSES[query.get("status")] ? query.get("status") : "", q: query.get("q") ?? "", tag: query.get("tag") ?? "", hidden: query.get("hidden") === "1" };
    this.offset = Math.max(0, (Number(query.get("page")) || 1) - 1) * PAGE;
    this.answer = { total: 0, items: [], counts: {}, tags: [] };
    this.drawn = "";
    this.fresh = false;
    this.dragging = false;
    this.pressing = false;
    /** @type {any[]} workers that train */
    this.places = [];
    /** @type {Map<number, RunRow>} */
    this.picked = new Map();
    /** @type {number|null} */
    this.current = null;
    this.search = el("input", { class: "inp sm-inp", type: "search", style: "width:180px", placeholder: "Find a run", "aria-label": "Find a run", "data-testid": "find-run", value: this.wanted.q, oninput: () => this.type() });
    this.chips = el("div", { class: "row chips" });
    this.bar = el("div", { class: "bar", role: "toolbar", "aria-label": "Runs" }, this.search, this.chips, el("span", { class: "grow" }),
      el("a", { class: "btn quiet", href: "/runs/import", title: "Rollouts that another trainer logged", "data-testid": "import-run" }, "Import"),
      button("New run", { kind: "primary", icon: "plus", key: "n", testid: "new-run", onclick: () => page.go("/runs/new") }));
    this.picks = new PickBar({ onDone: () => { this.pick([]); this.load(); }, onClear: () => this.pick([]), go: page.go });
    this.body = el("div", { class: "scroll", "data-testid": "runs-body" });
    fill(main, this.bar, this.picks.node, this.body);
    this.body.addEventListener("pointerdown", (e) => { this.pressing = !e.button && !(e.target instanceof HTMLSelectElement); });
    this.released = () => { this.pressing = false; };
    for (const type of RELEASES) addEventListener(type, this.released, true);
  }

  close() { for (const type of RELEASES) removeEventListener(type, this.released, true); }

  /** A row that is pressed or dragged must stay the one it is. */
  get isHeld() { return this.dragging || this.pressing; }
  get items() { return this.answer.items; }
  get queue() { return this.items.filter(isQueued).map((run) => run.id); }

  /** What is asked for now. */
  query() {
    const { status, q, tag, hidden } = this.wanted;
    return String(new URLSearchParams({ offset: String(this.offset), limit: String(PAGE), status, q, tag, hidden: String(hidden) }));
  }

  async load() {
    const query = this.query();
    try {
      const [answer, workers] = await Promise.all([this.page.api(`runs?${query}`), this.page.api("workers")]);
      if (this.isHeld || query !== this.query()) return; // of another filter or page: its own answer is on the way
      const going = (/** @type {any} */ list) => list.items.map((/** @type {RunRow} */ run) => [run.id, run.status, run.wanted]).join();
      if (this.answer.items.length && going(answer) !== going(this.answer)) document.dispatchEvent(new Event("palate:run"));
      this.answer = answer;
      this.places = workers.filter((worker) => worker.queue.split(",").includes("train") && worker.state !== "gone");
      for (const run of this.items) if (this.picked.has(run.id)) this.picked.set(run.id, run);
      if (!this.items.some((run) => run.id === this.current)) this.current = this.items[0]?.id ?? null;
      this.draw();
    } catch (error) {
      if (this.items.length) return;
      this.drawChips();
      fill(this.body, el("div", { class: "sec" }, note("The runs could not be read", error.message,
        { actions: [button("Try again", { size: "sm", onclick: () => this.load() })] })));
    }
  }

  /** Asked every two seconds; the first time the list has only just been read. */
  refresh() {
    if (!this.fresh) { this.fresh = true; return undefined; }
    return document.activeElement?.tagName === "SELECT" || this.isHeld ? undefined : this.load();
  }

  type() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.want({ q: this.search.value.trim() }), TYPING_MS);
  }

  /** Change the filter; it lives in the address. @param {Record<string, any>} changes */
  want(changes) {
    Object.assign(this.wanted, changes);
    this.offset = 0;
    this.current = null;
    const { status, q, tag, hidden } = this.wanted;
    setQuery({ status, q, tag, hidden: hidden ? "1" : null, page: null });
    return this.load();
  }

  /** Draw what differs from what is drawn. */
  draw() {
    const now = JSON.stringify([this.answer, this.places.map((worker) => [worker.place, worker.state]), this.current, [...this.picked.keys()], Math.floor(Date.now() / 60000)]);
    if (now === this.drawn) return;
    this.drawn = now;
    this.drawChips();
    this.picks.draw([...this.picked.values()], this.answer.tags);
    if (!this.items.length) { fill(this.body, this.emptyState()); return; }
    const focused = this.body.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.id : null;
    const owners = new Set(this.items.map((run) => run.owner)).size > 1;
    const rows = this.items.map((run) => runRow(run, { picked: this.picked.has(run.id), current: run.id === this.current, places: this.places, queue: this.queue, owners }, this.deeds()));
    const all = this.items.every((run) => this.picked.has(run.id));
    const heads = ["status", "run", "recipe", "step", "reward"].map((word) => el("th", null, word));
    fill(this.body, el("table", { class: "tbl pad runs", "data-testid": "runs-table", "aria-label": "Runs" },
      el("thead", null, el("tr", null, el("th", { style: "width:28px" }, el("label", { class: "hit" }, el("input", { type: "checkbox", checked: all, "aria-label": "Select all of this page", "data-id": "pick-all", onchange: () => this.pick(all ? [] : this.items) }))), heads,
        el("th", { class: "num", title: "The first trained reward on held-out prompts, against the base" }, "held-out"), el("th", { class: "num", title: "A watched reward on held-out prompts, against the base" }, "judge"),
        el("th", null, "alarms"), el("th", null, "where"), owners && el("th", null, "owner"), el("th", { class: "num" }, "left or ended"))),
      el("tbody", null, rows)), this.foot());
    if (focused) /** @type {HTMLElement|null} */ (this.body.querySelector(`[data-id="${focused}"]`))?.focus();
  }

  deeds() {
    return {
      toggle: (id) => this.toggle(id),
      tag: (tag) => this.want({ tag }),
      drag: (on) => { this.dragging = on; },
      send: (id, place) => this.do(api(`runs/${id}/place`, { body: { place } })),
      shift: (id, by) => {
        const order = [...this.queue];
        const at = order.indexOf(id);
        order.splice(at + by, 0, ...order.splice(at, 1));
        return this.arrange(order);
      },
      drop: (id, before) => {
        if (id === before || !this.queue.includes(id)) return undefined;
        const order = this.queue.filter((other) => other !== id);
        order.splice(order.indexOf(before), 0, id);
        return this.arrange(order);
      },
    };
  }

  /** @param {number[]} order */
  async arrange(order) {
    this.dragging = this.pressing = false;
    await this.do(api("runs/queue", { body: { order } }));
    live("The queue was put in order");
  }

  /** Something was asked for: say what was refused, and read the list again. @param {Promise<any>} asked */
  async do(asked) {
    await asked.catch((error) => toast(error.message, { sign: "fail", tone: "bad" }));
    await this.load();
  }

  drawChips() {
    const { status, tag, hidden } = this.wanted;
    const { counts, tags } = this.answer;
    const chip = (value, word, number) => el("button", {
      class: `chip ${status === value ? "on" : ""}`, "aria-pressed": String(status === value), "data-testid": `filter-${value || "all"}`, onclick: () => this.want({ status: value }),
    }, word, number ? el("span", { class: "faint" }, ` ${fmt.int(number)}`) : null);
    const shown = Object.keys(STATUSES).filter((one) => one === status || one !== "crashed" || counts[one]);
    fill(this.chips, icon("filter", "muted"), chip("", "all"), shown.map((one) => chip(one, one, counts[one])),
      (tags.length > 0 || tag) && el("select", { class: "sel sm-sel", "aria-label": "Tag", "data-testid": "filter-tag", onchange: (e) => this.want({ tag: e.target.value }) },
        el("option", { value: "" }, "any tag"), [...new Set([...tags, tag].filter(Boolean))].map((one) => el("option", { value: one, selected: one === tag }, one))),
      el("button", { class: `chip ${hidden ? "on" : ""}`, "aria-pressed": String(hidden), "data-testid": "filter-hidden", onclick: () => this.want({ hidden: !hidden }) }, "put away"));
  }

  foot() {
    const [from, to] = [this.offset + 1, this.offset + this.items.length];
    const turn = (word, by, off) => button(word, { size: "sm", testid: by < 0 ? "page-previous" : "page-next", disabled: off, onclick: () => this.turn(by) });
    return el("div", { class: "row meta muted foot" },
      el("span", { "data-testid": "runs-count" }, this.answer.total > PAGE ? `${fmt.int(from)} to ${fmt.int(to)} of ${fmt.count(this.answer.total, "run")}` : fmt.count(this.answer.total, "run")),
      this.answer.total > PAGE && [turn("Newer", -1, this.offset === 0), turn("Older", 1, to >= this.answer.total)],
      el("span", { class: "grow" }),
      el("span", { class: "row hints" }, kbd("j"), kbd("k"), "run", kbd("x"), "select", kbd("Enter"), "open or compare", kbd("/"), "find"));
  }

  /** @param {number} by pages */
  async turn(by) {
    this.offset = Math.max(0, this.offset + by * PAGE);
    this.current = null;
    setQuery({ page: this.offset ? this.offset / PAGE + 1 : null });
    await this.load();
    this.body.scrollTop = 0;
  }

  emptyState() {
    const { status, q, tag, hidden } = this.wanted;
    if (status || q || tag || hidden) {
      return empty({ title: hidden ? "Nothing was put away" : "No run is like that", text: "Other runs may be: take the filter off to see them.",
        actions: [button("Show all", { onclick: () => { this.search.value = ""; return this.want({ status: "", q: "", tag: "", hidden: false }); } })] });
    }
    return empty({
      title: "No runs yet",
      text: "A run teaches the model what your rewards ask for. Begin from a recipe: its settings are filled in, and a preflight says what would fail.",
      actions: [el("a", { class: "btn", href: "/runs/new" }, "Set up the first run")],
    });
  }

  /** @param {number} by */
  async move(by) {
    if (!this.items.length) return;
    let at = this.items.findIndex((run) => run.id === this.current) + by;
    if (at >= this.items.length && this.offset + this.items.length < this.answer.total) { await this.turn(1); at = 0; }
    if (at < 0 && this.offset > 0) { await this.turn(-1); at = this.items.length - 1; }
    const next = this.items[Math.max(0, Math.min(this.items.length - 1, at))];
    this.current = next.id;
    this.draw();
    /** @type {HTMLElement|null} */ (this.body.querySelector(`[data-id="row-${next.id}"]`))?.focus();
  }

  /** @param {number|null} [id] */
  toggle(id = this.current) {
    const run = this.items.find((one) => one.id === id);
    if (!run) return;
    this.current = run.id;
    const rest = [...this.picked.values()].filter((one) => one.id !== run.id);
    this.pick(rest.length < this.picked.size ? rest : [...rest, run]);
  }

  /** @param {RunRow[]} runs */
  pick(runs) {
    this.picked = new Map(runs.map((run) => [run.id, run]));
    live(`${fmt.count(this.picked.size, "run")} selected`);
    this.draw();
  }

  enter() {
    if (this.picked.size >= 2) return this.picks.compare();
    return this.current === null ? undefined : this.page.go(`/runs/${this.current}`);
  }
}
