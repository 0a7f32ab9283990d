/** Which groups of rollouts are meant: the state of the filter, its bars, and its way into the address and the API. */

import { button, el, empty, fill, icon, kept } from "/static/js/lib.js";

/** Every key of the filter with what it is when it does not restrict. */
const USUAL = { step_min: "", step_max: "", prompt: "", kept: "", reward: "", low: "", high: "", far: "", flat: "", up: "", down: "", judge: "", missing: "", seen: "", sort: "newest" };
/** Those of the second bar. */
const FURTHER = ["low", "high", "far", "flat", "up", "judge", "missing", "seen"];
const ANY = "any";
const FAR = "3";
const ORDERS = [["newest", "Newest first"], ["oldest", "Oldest first"], ["spread", "Widest spread first"], ["mean", "Highest mean first"], ["far", "Largest |z| first"], ["apart", "Rewards most apart first"], ["judge", "Judge disagrees most first"], ["missing", "Most missing values first"]];

/** @typedef {typeof USUAL} Wanted */

/** @param {URLSearchParams} query @returns {Wanted} */
export function read(query) {
  const step = query.get("step");
  const found = Object.fromEntries(Object.entries(USUAL).map(([key, usual]) => [key, query.get(key) ?? usual]));
  if (step !== null) { found.step_min ||= step; found.step_max ||= step; }
  return /** @type {Wanted} */ (found);
}

/** What of it stands in the address; one step alone is `step`. @param {Wanted} wanted */
export function address(wanted) {
  const { step_min: a, step_max: b } = wanted;
  const one = a && a === b;
  return { ...wanted, sort: wanted.sort === USUAL.sort ? null : wanted.sort, reward: wanted.low || wanted.high ? wanted.reward : null, step: one ? a : null, ...(one ? { step_min: null, step_max: null } : {}) };
}

/** The same as the API takes it. @param {Wanted} wanted */
export function query(wanted) {
  const asked = new URLSearchParams();
  for (const [key, value] of Object.entries(wanted)) if (value !== "" && key !== "reward" && key !== "judge") asked.set(key, value);
  if (wanted.low || wanted.high) asked.set("reward", wanted.reward);
  if (wanted.judge) asked.set("judge", wanted.judge === ANY ? "" : wanted.judge);
  if (Boolean(wanted.up) !== Boolean(wanted.down)) { asked.delete("up"); asked.delete("down"); }
  return asked;
}

/** @param {Wanted} wanted */
const restricts = (wanted) => Object.entries(USUAL).some(([key, usual]) => key !== "sort" && key !== "reward" && wanted[key] !== usual);
export const NONE = /** @type {Wanted} */ (Object.fromEntries(Object.entries(USUAL).filter(([key]) => key !== "sort")));

export class FilterBar {
  /** @param {{wanted: Wanted, names: () => string[], judges: () => string[], onChange: (changes: Partial<Wanted>) => void, onJudge: () => void}} options */
  constructor({ wanted, names, judges, onChange, onJudge }) {
    this.wanted = wanted; this.names = names; this.judges = judges; this.onChange = onChange; this.onJudge = onJudge;
    this.open = FURTHER.some((key) => wanted[key]);
    this.counter = el("span", { class: "meta muted nowrap", "data-testid": "rollout-count", role: "status" });
    this.newer = el("span");
    this.node = el("div", { class: "rollout-bars" });
  }

  draw() {
    const { wanted: w, onChange } = this;
    const active = FURTHER.filter((key) => w[key]).length;
    const focused = this.node.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.testid : "";
    const kinds = [["", "all"], ["1", "kept"], ["0", "skipped"]];
    fill(this.node, el("div", { class: "bar", role: "toolbar", "aria-label": "Filter" }, icon("filter", "muted"),
      el("span", { class: "meta muted" }, "step"), this.field("step_min", "from", 60), el("span", { class: "faint" }, "–"), this.field("step_max", "to", 60),
      this.field("prompt", "words in the prompt", 168, "text"),
      el("span", { class: "seg", role: "group", "aria-label": "Kept or skipped" }, kinds.map(([value, word]) => el("button", { "aria-pressed": String(w.kept === value), "data-testid": `kept-${word}`, onclick: () => onChange({ kept: value }) }, word))),
      el("button", { class: "btn sm", "aria-expanded": String(this.open), "data-testid": "more-filters", onclick: () => { this.open = !this.open; this.draw(); } }, active ? `Find · ${active}` : "Find"),
      restricts(w) && button("Clear", { kind: "quiet", size: "sm", icon: "x", testid: "clear-filter", onclick: () => onChange(NONE) }),
      el("span", { class: "grow" }), this.newer, this.counter, el("span", { class: "vsep" }), this.order()),
    this.open && this.further());
    if (focused) /** @type {HTMLElement|null} */ (this.node.querySelector(`[data-testid="${focused}"]`))?.focus();
  }

  /** The second bar: what the rewards did. */
  further() {
    const { wanted: w, onChange } = this;
    const names = this.names();
    const judges = this.judges();
    const flip = (key, word, title) => el("button", { class: "btn sm chip", "aria-pressed": String(Boolean(w[key])), title, "data-testid": `filter-${key}`, onclick: () => onChange({ [key]: w[key] ? "" : "1" }) }, word);
    return el("div", { class: "bar further", role: "toolbar", "aria-label": "Find by rewards", "data-testid": "further" },
      el("span", { class: "row", style: "gap:4px" }, this.choice("reward", "Mean of which reward", [["", "mean"], ...names.map((name) => [name, `mean ${name}`])], (value) => (w.low || w.high ? onChange({ reward: value }) : (w.reward = value))), this.field("low", "from", 64), el("span", { class: "faint" }, "–"), this.field("high", "to", 64)),
      el("span", { class: "row", style: "gap:4px" }, el("button", { class: "btn sm chip", "aria-pressed": String(Boolean(w.far)), title: "A reward gives some sample a z further from 0, as the trainer normalised it", "data-testid": "toggle-far", onclick: () => onChange({ far: w.far ? "" : FAR }) }, "|z| above"), this.field("far", FAR, 52)),
      flip("flat", "No spread", "All samples of the group have the same reward"),
      names.length > 1 && el("span", { class: "row", style: "gap:4px", title: "A sample that is at least one deviation above its group by the one reward and below by the other" },
        this.choice("up", "Up by this reward", [["", "A up"], ...names.map((name) => [name, `high by ${name}`])], (value) => this.conflict({ up: value })),
        this.choice("down", "Down by this reward", [["", "B down"], ...names.filter((name) => name !== w.up).map((name) => [name, `low by ${name}`])], (value) => this.conflict({ down: value }))),
      el("span", { title: judges.length ? "A reward that is only watched orders the samples rather against their advantages" : "No watched reward has scored these rollouts" }, this.choice("judge", "Judge disagrees", [["", "judge"], [ANY, "any judge disagrees"], ...judges.map((name) => [name, `against ${name}`])], (value) => onChange({ judge: value }), !judges.length && !w.judge), " ", button("Ask one", { size: "sm", kind: "quiet", testid: "ask-judge", title: "Have a reward that was not trained on judge these rollouts", onclick: this.onJudge })),
      flip("missing", "Missing value", "A trained reward gave some sample no value"),
      this.choice("seen", "Looked at", [["", "seen or not"], ["0", "not looked at"], ["1", "looked at"]], (value) => onChange({ seen: value })));
  }

  /** A up, B down: asked for once both are named. */
  conflict(change) {
    Object.assign(this.wanted, change);
    const { up, down } = this.wanted;
    if (up && down && up !== down) this.onChange({ up, down });
    else if (!up && !down) this.onChange({ up: "", down: "" });
    else this.draw();
  }

  order() {
    const more = this.names().flatMap((name) => [[`mean:${name}`, `Highest ${kept(name)} first`], [`sd:${name}`, `Widest ${kept(name)} first`]]);
    return this.choice("sort", "Order", [...ORDERS, ...(more.length > 2 ? more : [])], (value) => this.onChange({ sort: value }));
  }

  field(key, label, width, mode = "decimal") {
    return el("input", { class: "inp sm-inp", style: `width:${width}px`, type: "search", value: this.wanted[key], placeholder: label, "aria-label": { low: "Mean from", high: "Mean to", far: "|z| above" }[key] ?? label, inputmode: mode, "data-testid": `filter-${key}`,
      onchange: (e) => this.onChange({ [key]: mode === "text" ? e.target.value.trim() : figure(e.target.value) }) });
  }

  choice(key, label, options, onchange, disabled = false) {
    return el("select", { class: "sel sm-sel", "aria-label": label, disabled, "data-testid": key === "sort" ? "sort" : `filter-${key}`, onchange: (e) => onchange(e.target.value) },
      options.map(([value, word]) => el("option", { value, selected: value === this.wanted[key] }, word)));
  }
}

/** What of a field is a number. */
function figure(text) {
  const clean = text.trim().replace(",", ".").replace("−", "-");
  return clean !== "" && Number.isFinite(Number(clean)) ? clean : "";
}

/** Said instead of groups. @param {Wanted} wanted @param {number} run @param {(changes: Record<string, string>) => void} change */
export function nothing(wanted, run, change) {
  if (restricts(wanted)) return empty({ title: "No group matches", text: "Of this run no recorded group fits the filter. A run keeps some of its groups, not all.", actions: [button("Clear the filter", { onclick: () => change(NONE) })] });
  if (!["newest", "oldest"].includes(wanted.sort)) return empty({ title: "No group has that figure", text: "The order asks for something that no group of this run has.", actions: [button("Newest first", { onclick: () => change({ sort: "newest" }) })] });
  return empty({ title: "No rollouts yet", text: "They appear with the first iteration of the run: every sample, its rewards and its advantage.", actions: [el("a", { class: "btn", href: `/runs/${run}` }, "Open the run")] });
}
