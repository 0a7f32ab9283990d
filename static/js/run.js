/** Run: one step drives charts, samples, figures and links; new rows appear within a second. */

import { api, button, confirm, el, fill, fmt, icon, keys, live, note, redraw, setQuery, toast } from "/static/js/lib.js";
import { lineChart, moveCursor } from "/static/js/charts.js";
import { enlarge } from "/static/js/enlarge.js";
import { cell, chartsOf, drawAll, gains, heldOut, heroSpec, mainReward } from "/static/js/run_charts.js";
import { isLive, methodName, statusPill } from "/static/js/run_parts.js";
import { besideRun } from "/static/js/run_beside.js";
import { soon } from "/static/js/idle.js";
import { drawSamples } from "/static/js/run_samples.js";
import { drawAlarms } from "/static/js/run_alarms.js";
import { RunLog } from "/static/js/run_log.js";
import { drawChanges, drawIteration, drawLog } from "/static/js/run_side.js";
import { RunState } from "/static/js/run_state.js";
import { drawSteering, menu, takeaway } from "/static/js/run_steer.js";
import { scrubber } from "/static/js/scrubber.js";
import { num } from "/static/js/svg.js";

const WINDOWS = [1, 9, 25, 101];
const USUAL = 9;
const SMALL_HEIGHT = 132;
const HERO_HEIGHT = 282;
const BESIDE_HEIGHT = 20;

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const state = new RunState(Number(page.params.run_id));
  try {
    await state.load();
  } catch (error) {
    fill(main, el("div", { class: "sec" }, note(error.status === 404 ? "There is no such run" : "The run could not be read", error.message,
      { actions: [el("a", { class: "btn sm", href: "/runs" }, "All runs"), button("Try again", { size: "sm", onclick: () => location.reload() })] })));
    return () => {};
  }
  const wanted = Number.parseInt(page.query.get("step") ?? "", 10);
  if (Number.isInteger(wanted) && wanted < state.lastStep) state.pinned = Math.max(0, wanted);
  const view = new RunView(main, page, state);
  view.draw();
  view.show();
  state.follow();
  return () => view.close();
}

/** @param {string|null} text "20-60" @returns {[number, number]|null} */
function readZoom(text) {
  const [from, to] = (text ?? "").split("-").map((part) => Number.parseInt(part, 10));
  return Number.isInteger(from) && Number.isInteger(to) && to > from ? [from, to] : null;
}

class RunView {
  /** @param {HTMLElement} main @param {any} page @param {RunState} state */
  constructor(main, page, state) {
    Object.assign(this, { main, page, state });
    this.page = page;
    this.state = state;
    this.reward = page.query.get("reward");
    this.tab = page.query.get("tab") === "log" || page.query.get("show") === "log" ? "log" : "now";
    state.zoom = readZoom(page.query.get("zoom"));
    state.window = WINDOWS.includes(Number(page.query.get("smooth"))) ? Number(page.query.get("smooth")) : USUAL;
    page.title(state.run.name, [["Runs", "/runs"]], true);
    this.pick = (/** @type {number} */ step) => page.go(`/runs/${state.id}/rollouts?step=${step}`);
    this.over = (/** @type {number} */ from, /** @type {number} */ to) => this.zoomTo([from, to]);
    this.charts = [];
    /** @type {any[]} what was measured without training */
    this.beside = [];
    soon(async () => {
      try { this.beside = await api(`best-of-n/untrained/beside/${state.id}`); } catch { return; } // the run itself says what is wrong
      if (this.beside.length) this.drawHero();
    });
    this.chosen = "";
    this.slider = scrubber({ onChoose: (step) => this.choose(step) });
    this.log = new RunLog(state, page.query);
    const [facts, acts, heroHead, heroPlot] = [0, 1, 2, 3].map(() => el("div", { style: "display:contents" }));
    this.part = {
      facts, acts, heroHead, heroPlot, bar: el("div", { class: "bar run-bar" }, facts, el("span", { class: "grow" }), acts), trouble: el("div", { "aria-live": "polite" }), hero: el("figure", { class: "cell hero", "data-testid": "chart-hero", id: "chart-hero" }, heroHead, heroPlot),
      tools: el("div", { class: "pane-h chart-tools" }),
      near: el("div", { class: "charts" }), more: el("div", { class: "charts4" }), samples: el("div", { class: "samples", id: "samples" }), alarms: el("div"), iteration: el("div", { class: "sec", "data-testid": "this-iteration" }),
      steer: el("div", { class: "sec", "data-testid": "steering" }), changes: el("div", { class: "sec" }), recent: el("div", { class: "sec log-sec" }), tabs: el("div", { class: "pane-h side-tabs" }), side: el("div", { class: "side-body" }),
    };
    this.layout(main);
    this.watch();
    this.drawTabs();
    this.drawTools();
  }

  /** @param {HTMLElement} main */
  layout(main) {
    const p = this.part;
    fill(main, p.bar, p.trouble, this.slider.node, el("div", { class: "panes run-panes" },
      el("section", { class: "pane scroll", "aria-label": "Charts and samples" },
        p.tools, p.near, p.samples,
        el("div", { class: "pane-h more-h" }, el("h2", null, "Inside the update"), el("span", { class: "meta muted" }, "a point opens the rollouts of its step")),
        p.more),
      el("aside", { class: "pane scroll", "aria-label": "This run" }, p.tabs, p.side)));
  }

  /** The two views of the column: what is now, and the whole log. */
  drawTabs() {
    const p = this.part;
    const tab = (/** @type {string} */ name, /** @type {string} */ text) => el("button", { type: "button", "aria-pressed": String(this.tab === name), "data-testid": `tab-${name}`, onclick: () => this.openTab(name) }, text);
    fill(p.tabs, el("div", { class: "seg" }, tab("now", "Now"), tab("log", "Log")), el("span", { class: "grow" }), el("span", { class: "meta muted", "data-testid": "live-state" }, this.liveState()));
    fill(p.side, this.tab === "log" ? this.log.node : [p.alarms, p.iteration, p.steer, p.changes, p.recent]);
    if (this.tab === "log") this.log.open();
  }

  liveState() {
    return this.state.ended ? "" : this.state.connected ? "live" : "asking every 2 s";
  }

  /** @param {string} name */
  openTab(name) {
    this.tab = name;
    setQuery({ tab: name === "log" ? "log" : null, show: null });
    this.drawTabs();
  }

  /** What all charts share: how smooth, and which steps. */
  drawTools() {
    const { state } = this;
    const [from, to] = state.zoom ?? [];
    const smoothing = el("select", { class: "sel sm-sel", "aria-label": "Smoothing of the curves", "data-testid": "smoothing", onchange: (e) => this.smoothTo(Number(e.target.value)) },
      WINDOWS.map((w) => el("option", { value: w, selected: w === state.window }, w === 1 ? "not smoothed" : `mean of ${w}`)));
    fill(this.part.tools, el("h2", null, "Charts"), el("span", { class: "meta muted clip" }, state.zoom ? "" : "draw over a part to see it alone"),
      state.zoom ? el("span", { class: "meta", "data-testid": "zoomed" }, `steps ${from} to ${to}`) : null,
      state.zoom ? button("Whole run", { size: "sm", kind: "quiet", icon: "x", testid: "unzoom", onclick: () => this.zoomTo(null) }) : null,
      el("span", { class: "grow" }), smoothing);
  }

  /** @param {[number, number]|null} zoom */
  zoomTo(zoom) {
    this.state.zoom = zoom;
    setQuery({ zoom: zoom ? zoom.join("-") : null });
    live(zoom ? `Charts show steps ${zoom[0]} to ${zoom[1]}` : "Charts show the whole run");
    this.drawTools();
    this.drawStep();
  }

  /** Half of what is seen around the step, or twice as much. @param {number} times */
  zoomBy(times) {
    const { state } = this;
    const most = Math.max(state.lastStep, 1);
    const [from, to] = state.zoom ?? [0, most];
    const half = Math.max(1, ((to - from) / 2) * times);
    const middle = Math.min(Math.max(state.step, from), to);
    const next = [Math.max(0, Math.round(middle - half)), Math.min(most, Math.round(middle + half))];
    this.zoomTo(next[0] <= 0 && next[1] >= most ? null : /** @type {[number, number]} */ (next));
  }

  /** @param {number} window */
  smoothTo(window) {
    this.state.window = window;
    setQuery({ smooth: window === USUAL ? null : window });
    this.drawStep();
  }

  /** Bring what an alarm is about into view. */
  show() {
    const wanted = this.page.query.get("show");
    if (this.tab === "log" && window.innerWidth <= 640) this.part.tabs.scrollIntoView();
    const node = wanted && wanted !== "log" ? document.getElementById(wanted) : null;
    if (!node) return;
    node.scrollIntoView({ block: "center" });
    node.classList.add("told");
  }

  watch() {
    const { state } = this;
    state.addEventListener("change", () => { this.trouble(null); this.draw(); });
    state.addEventListener("step", () => this.drawStep());
    state.addEventListener("said", () => this.tab === "log" && this.log.refresh());
    state.addEventListener("trouble", (event) => this.trouble(/** @type {CustomEvent} */ (event).detail));
    this.sizes = new ResizeObserver(() => this.drawStep());
    this.sizes.observe(this.main);
    const step = (/** @type {number} */ by) => {
      const to = Math.max(0, Math.min(state.lastStep, state.step + by));
      this.choose(to >= state.lastStep ? null : to);
    };
    this.unbind = keys.bind("Run", [
      { id: "run.earlier", keys: ["["], label: "Step before", repeat: true, run: () => step(-1) },
      { id: "run.later", keys: ["]"], label: "Step after", repeat: true, run: () => step(1) },
      { id: "run.rollouts", keys: ["o"], label: "Rollouts of this step", run: () => this.pick(state.step) },
      { id: "run.closer", keys: ["+"], label: "Charts closer", run: () => this.zoomBy(0.5) },
      { id: "run.farther", keys: ["-"], label: "Charts from farther", run: () => this.zoomBy(2) },
      { id: "run.clone", keys: ["c"], label: "Clone", run: () => this.page.go(`/runs/new?clone=${state.id}`) },
    ]);
  }

  close() {
    this.state.close();
    this.sizes?.disconnect();
    this.unbind?.();
  }

  /** @param {number|null} step */
  choose(step) {
    setQuery({ step });
    this.state.choose(step);
  }

  /** @param {Error|null} error */
  trouble(error) {
    fill(this.part.trouble, error && el("div", { class: "off", "data-testid": "disconnected" }, icon("plug", "warn"), el("span", { class: "grow" }, `${error.message} What you see is of the last answer; asking again.`)));
  }

  /** Everything: new rows have come. */
  draw() {
    const { run, orders, settings, log, series } = this.state;
    this.drawBar();
    redraw(this.part.alarms, run.alarms, () => drawAlarms(this.state, this.part.alarms));
    redraw(this.part.steer, [run.status, orders, settings], () => drawSteering(this.state, this.part.steer));
    redraw(this.part.changes, [run.config, run.diff, run.audits], () => drawChanges(this.state, this.part.changes));
    redraw(this.part.recent, [log, series.version], () => drawLog(this.state, this.part.recent, () => this.openTab("log")));
    fill(/** @type {Element} */ (this.part.tabs.lastElementChild), this.liveState());
    this.drawStep();
    this.main.dataset.lastStep = String(this.state.lastStep);
  }

  /** A method has its own figures: charts come with the first rows that have them. */
  chooseCharts() {
    const groups = this.state.once("charts", () => chartsOf(this.state));
    const names = groups.map((group) => group.map((chart) => chart.key).join()).join(";");
    if (names === this.chosen) return;
    this.chosen = names;
    const [near, more] = groups.map((group) => group.map((chart) => cell(chart, this.state, { onPick: this.pick, onZoom: this.over, height: SMALL_HEIGHT })));
    this.charts = [...near, ...more];
    fill(this.part.near, this.part.hero, near.map((c) => c.node));
    fill(this.part.more, more.map((c) => c.node));
  }

  /** What follows the chosen step. */
  drawStep() {
    const { state } = this;
    const alarms = (state.run.alarms ?? []).filter((a) => Number.isFinite(a.step)).map((a) => ({ step: a.step, text: a.title ?? a.text }));
    this.slider.draw({
      width: Math.max(240, this.main.clientWidth - 32), max: state.reach, done: state.lastStep, step: state.step,
      following: state.pinned === null, checkpoints: state.run.checkpoints ?? [], alarms, marks: state.marks,
    });
    this.chooseCharts();
    this.drawHero();
    drawAll(this.charts);
    drawSamples(state, this.part.samples, (step) => this.choose(step >= state.lastStep ? null : step), this.hero);
    drawIteration(state, this.part.iteration);
    this.main.dataset.step = String(state.step);
  }

  /** The reward that the large chart shows. */
  get hero() {
    return this.reward && heldOut(this.state).includes(this.reward) ? this.reward : mainReward(this.state);
  }

  drawHero() {
    const { state } = this;
    const names = heldOut(state);
    const shown = gains(state, this.hero).filter((g) => g.step <= state.step && g.value !== null).at(-1);
    const spec = state.once(`hero:${this.hero}`, () => heroSpec(state, this.hero));
    const beside = besideRun(this.beside, this.hero);
    const height = HERO_HEIGHT - (beside ? BESIDE_HEIGHT : 0);
    const wide = Math.max(280, Math.min(this.part.hero.clientWidth - 24, 760));
    const makeChoice = () => (names.length > 1
      ? el("select", { class: "sel sm-sel", "aria-label": "Reward of the large chart", "data-testid": "hero-reward", onchange: (e) => this.chooseReward(e.target.value) },
        names.map((name) => el("option", { value: name, selected: name === this.hero, translate: "no" }, name)))
      : el("b", { translate: "no" }, this.hero));
    const open = button("", { kind: "quiet", size: "sm icon", icon: "zoom", title: "Enlarge", testid: "enlarge-hero", onclick: () => enlarge(`${this.hero} on held-out prompts`, heroSpec(state, this.hero)) });
    open.setAttribute("aria-label", "Enlarge the held-out chart");
    const prompts = state.run.config?.evaluation?.num_prompts;
    if (this.part.hero.contains(document.activeElement) && document.activeElement?.tagName === "SELECT") return;
    redraw(this.part.heroHead, [names, this.hero, prompts, shown?.value, shown?.se, this.beside], () => fill(this.part.heroHead,
      el("figcaption", { class: "chart-h tall" }, makeChoice(), el("span", { class: "muted clip" }, `on ${prompts ?? ""} held-out prompts, change from the base`), el("span", { class: "grow" }),
        el("span", { class: "figure", "data-testid": "hero-gain" }, num(shown?.value, 3, { sign: true })),
        shown?.se ? el("span", { class: "muted nowrap" }, `± ${num(1.96 * shown.se, 3)}`) : null, open), beside));
    const chart = this.state.once(`hero:${this.hero}:${wide}:${height}`, () => lineChart({ ...spec, width: wide, height, xMax: state.reach, cursor: state.step, zoom: state.zoom, marks: state.marks, onPick: this.pick, onZoom: this.over }));
    if (this.part.heroPlot.firstChild !== chart) fill(this.part.heroPlot, chart);
    moveCursor(chart, state.step);
  }

  /** @param {string} name */
  chooseReward(name) {
    this.reward = name;
    setQuery({ reward: name });
    /** @type {HTMLElement|null} */ (document.activeElement)?.blur();
    this.drawStep();
  }

  drawBar() {
    const run = this.state.run;
    const rank = run.config?.optim?.lora_rank;
    const parts = [
      el("span", { class: "meta muted nowrap" }, "step ", el("b", { class: "strong txt", "data-testid": "run-step" }, String(this.state.lastStep)), ` of ${run.num_steps}`),
      run.status === "running" && Number.isFinite(run.eta_s) && el("span", { class: "meta muted nowrap" }, `${fmt.span(run.eta_s)} left`),
      Number.isFinite(run.seconds_per_step) && el("span", { class: "meta muted nowrap" }, `${fmt.span(run.seconds_per_step)} an iteration`),
      el("span", { class: "meta muted clip" }, [methodName(run), run.config?.policy?.family, rank && `LoRA ${rank}`].filter(Boolean).join(" · ")),
    ].filter(Boolean);
    fill(this.part.facts, statusPill(run, { strong: true }), parts.flatMap((part) => [el("span", { class: "vsep" }), part]).slice(1));
    if (!this.part.acts.querySelector(".menu:not([hidden])")) {
      redraw(this.part.acts, [run.status, run.wanted, run.imported, run.tuned_policy_id, run.checkpoints?.length > 0], () => fill(this.part.acts, this.actions(run)));
    }
    this.part.acts.querySelector("[data-testid=rollouts]")?.setAttribute("href", `/runs/${this.state.id}/rollouts?step=${this.state.step}`);
    const old = this.main.querySelector(".run-error");
    old?.remove();
    if (run.status === "failed") {
      this.part.bar.after(el("div", { class: "run-error" }, note(`The run failed at step ${run.step}`, run.error || "No reason was written; the log may tell more.")));
    }
  }

  actions(run) {
    const { state } = this;
    const asked = isLive(run) && run.wanted !== "run";
    const working = run.status === "running" && run.wanted === "run";
    const ask = (verb, label, sign, testid, kind = "") => button(label, { icon: sign, kind, testid, disabled: asked, onclick: () => this.act(verb) });
    const tuned = run.tuned_policy_id;
    const base = run.policy_id ?? run.base_policy_id;
    return [
      el("a", { class: "btn quiet", href: `/runs/${state.id}/rollouts?step=${state.step}`, "data-testid": "rollouts" }, icon("tree"), "Rollouts"),
      !run.imported && el("a", { class: "btn quiet", href: `/runs/new?clone=${state.id}`, "data-testid": "clone" }, icon("copy"), "Clone"),
      working && button("Sample now", { kind: "quiet", icon: "image", testid: "sample-now", title: "Draw the fixed prompts before the next update", onclick: () => this.order("sample", "The fixed prompts are drawn before the next update") }),
      working && button("Checkpoint now", { kind: "quiet", icon: "save", testid: "checkpoint-now", title: "Keep the whole state before the next update", onclick: () => this.order("checkpoint", "A checkpoint is written before the next update") }),
      isLive(run) && ask("pause", run.wanted === "pause" ? "Pausing" : "Pause", "pause", "pause"),
      isLive(run) && button(["stop", "halt"].includes(run.wanted) ? "Stopping" : "Stop after step", { icon: "stop", testid: "stop-after-step", disabled: asked, onclick: () => this.stop() }),
      menu("More", [...(isLive(run) && run.wanted !== "halt" ? [{ label: "Stop now", icon: "x", testid: "stop-now", run: () => this.halt() }] : []), ...takeaway(state.id, run)]),
      ["paused", "stopped", "failed"].includes(run.status) && ask("resume", "Resume", "play", "resume", run.status === "paused" || !tuned ? "primary" : ""),
      tuned && !isLive(run) && run.status !== "paused" && el("a", { class: "btn primary", "data-testid": "compare-base", href: `/compare?${base ? `base=${base}&` : ""}tuned=${tuned}` }, icon("compare"), "Compare with the base"),
    ];
  }

  async stop() {
    const { run } = this.state;
    const last = (run.checkpoints ?? []).at(-1);
    const sure = await confirm({
      title: `Stop ${run.name} after this step?`,
      text: `The step that runs is finished and a checkpoint is written${last ? `; the last one is at step ${last}` : ""}. A stopped run can be resumed.`,
      danger: "Stop after step", safe: "Keep running",
    });
    if (sure) await this.act("stop");
  }

  async halt() {
    const { run } = this.state;
    const last = (run.checkpoints ?? []).at(-1);
    const sure = await confirm({
      title: `Stop ${run.name} now?`,
      text: last === undefined ? "There is no checkpoint yet, so nothing is kept. It can be started again from the base." : `The update it is at is thrown away; what counts is the checkpoint at step ${last}, and it can be resumed from there.`,
      danger: "Stop now", safe: "Keep running",
    });
    if (sure) await this.act("halt");
  }

  /** @param {string} what @param {string} said */
  async order(what, said) {
    try {
      await api(`runs/${this.state.id}/orders`, { body: { what } });
      live(said);
      this.state.ask("orders");
    } catch (error) {
      toast(error.message, { sign: "fail", tone: "bad" });
    }
  }

  /** @param {string} verb */
  async act(verb) {
    try {
      await api(`runs/${this.state.id}/${verb}`, { method: "POST" });
      await this.state.fetchRun();
      live({ pause: "Pausing after this step", stop: "Stopping after this step", halt: "Stopping now", resume: "The run goes on" }[verb] ?? "");
      this.draw();
      this.state.ask("run");
    } catch (error) {
      toast(error.message, { sign: "fail", tone: "bad" });
    }
  }
}
