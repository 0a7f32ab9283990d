/**
 * What the Run page knows: the run's row, its figures by step, what people asked of it, and the step they look at.
 * New rows come by server-sent events; when those break, by asking every two seconds.
 */

import { api } from "/static/js/lib.js";
import { Series, known, shown } from "/static/js/series.js";

const POLL_S = 2;
const GATHER_MS = 30;
const SECONDS = "seconds:";
const NFE = "nfe:";

/**
 * @typedef {object} Evaluation
 * @property {number} step
 * @property {Record<string, number|null>} metrics   empty: only pictures were drawn
 * @property {{prompt: string, seed: number, url: string, rewards: Record<string, number|null>}[]} samples
 */

/** @typedef {{id: number, kind: string, step: number|null, by: string, asked_at: number, key?: string, value?: number, was?: number}} Order */

export class RunState extends EventTarget {
  /** @param {number} id */
  constructor(id) {
    super();
    this.id = id;
    /** @type {any} */
    this.run = null;
    this.series = new Series();
    /** @type {Evaluation[]} */
    this.evaluations = [];
    /** @type {{at: number, level: string, text: string}[]} */
    this.log = [];
    /** @type {Order[]} */
    this.orders = [];
    /** @type {{key: string, title: string, value: number, given: number}[]} what may change while it goes on */
    this.settings = [];
    /** @type {number|null} the step people chose; null follows the newest */
    this.pinned = null;
    /** @type {[number, number]|null} steps that the charts show */
    this.zoom = null;
    /** updates that a smoothed curve averages */
    this.window = 9;
    /** rises with everything but figures that changes a chart */
    this.changed = 0;
    this.made = { of: "", things: new Map() };
    this.connected = false;
    this.stream = null;
    this.timers = { gather: 0, poll: 0 };
    this.wants = new Set();
  }

  get steps() {
    return this.series.steps;
  }

  get lastStep() {
    return this.steps.at(-1) ?? 0;
  }

  /** The last step that charts have room for: a run that is done makes no more, however many were wanted. */
  get reach() {
    return this.run?.status === "done" ? Math.max(this.lastStep, 1) : Math.max(this.run?.num_steps ?? 1, this.lastStep);
  }

  /** The step everything shows. */
  get step() {
    return this.pinned === null ? this.lastStep : this.pinned;
  }

  /** Evaluations that measured something. */
  get measured() {
    return this.evaluations.filter((e) => Object.keys(e.metrics).length);
  }

  /**
   * What was worked out of the figures, until others come or others are shown: most redraws only move the cursor.
   * @template T @param {string} name @param {() => T} make @returns {T}
   */
  once(name, make) {
    const of = [this.series.version, this.changed, this.zoom, this.window].join();
    if (this.made.of !== of) this.made = { of, things: new Map() };
    if (!this.made.things.has(name)) this.made.things.set(name, make());
    return this.made.things.get(name);
  }

  /** Values of one metric in the order of `steps`; NaN where an iteration has none. @param {string} key */
  values(key) {
    return this.series.values(key);
  }

  /** (step, value) pairs of some values, as many as a chart can show. @param {import("/static/js/series.js").Values} values @returns {[number, number|null][]} */
  drawn(values) {
    return shown(this.steps, values, this.zoom).map((i) => [this.steps[i], known(values[i])]);
  }

  /** (step, value) pairs of one metric, as many as a chart can show. @param {string} key */
  points(key) {
    return this.drawn(this.values(key));
  }

  /** Its value at a step, or the newest before. @param {string} key @param {number} step */
  near(key, step) {
    return this.series.near(key, step)?.[1] ?? null;
  }

  /** All that an iteration has recorded, or null. @param {number} step */
  row(step) {
    const i = this.series.place(step);
    if (this.steps[i] !== step) return null;
    /** @type {Record<string, number|null>} */
    const [metrics, seconds] = [{}, {}];
    for (const key of this.series.columns.keys()) {
      const value = this.series.value(key, i);
      if (key.startsWith(SECONDS)) { if (value !== null) seconds[key.slice(SECONDS.length)] = value; } else if (value !== null && key !== NFE) metrics[key] = value;
    }
    return { metrics, seconds, nfe: this.series.value(NFE, i) };
  }

  /** Seconds of one phase, in the order of `steps`. @param {string} phase */
  seconds(phase) {
    return this.values(SECONDS + phase);
  }

  /** Whether a phase was timed. @param {string} phase */
  timed(phase) {
    return this.series.has(SECONDS + phase);
  }

  /** Network evaluations, in the order of `steps`. */
  nfe() {
    return this.values(NFE);
  }

  /** Every metric key that any iteration has, in alphabetical order. @param {string} prefix */
  keys(prefix = "") {
    return this.series.keys(prefix).filter((key) => !key.startsWith(SECONDS) && key !== NFE);
  }

  /** The evaluation at or before a step, of those with pictures. @param {number} step */
  evaluationAt(step) {
    const drawn = this.evaluations.filter((e) => e.samples.length);
    return drawn.filter((e) => e.step <= step).at(-1) ?? drawn[0] ?? null;
  }

  /** Settings that people have changed, where it was heeded. */
  get marks() {
    return this.orders.filter((o) => o.kind === "setting" && o.step !== null).map((o) => ({ step: Number(o.step), text: `${o.key}: ${o.was} to ${o.value}, by ${o.by}` }));
  }

  /** @param {number|null} step null follows the newest */
  choose(step) {
    this.pinned = step;
    this.dispatchEvent(new Event("step"));
  }

  async load() {
    await this.fetchRun();
    await Promise.all([this.fetchMetrics(), this.fetchOrders()]);
  }

  /** Read what is new: every step after the last one, and evaluations of the last one on. @param {number} [since] */
  async fetchMetrics(since = this.lastStep - 1) {
    const answer = await api(`runs/${this.id}/metrics?since=${since}`);
    const timed = Object.fromEntries(Object.entries(answer.seconds).map(([key, values]) => [SECONDS + key, values]));
    this.series.lay(answer.steps, { ...answer.series, ...timed, [NFE]: answer.nfe });
    const byStep = new Map(this.evaluations.map((e) => [e.step, e]));
    for (const evaluation of answer.evaluations) byStep.set(evaluation.step, evaluation);
    this.evaluations = [...byStep.values()].sort((a, b) => a.step - b.step);
    this.changed += 1;
  }

  async fetchRun() {
    const run = await api(`runs/${this.id}`);
    if (run.step !== this.run?.step || run.status !== this.run?.status) this.changed += 1;
    if (this.run && (run.status !== this.run.status || run.wanted !== this.run.wanted)) document.dispatchEvent(new Event("palate:run"));
    this.run = run;
    this.log = [...(this.run.log ?? [])].sort((a, b) => a.at - b.at);
  }

  async fetchOrders() {
    ({ orders: this.orders, settings: this.settings } = await api(`runs/${this.id}/orders`));
    this.changed += 1;
  }

  /** Follow the run until `close()`. */
  follow() {
    const connect = () => {
      this.stream?.close();
      if (document.hidden || this.ended) return;
      const stream = new EventSource(`/api/v1/runs/${this.id}/events`);
      stream.onopen = () => { this.connected = true; this.ask("metrics", "run", "orders"); };
      stream.onerror = () => { this.connected = false; };
      stream.addEventListener("iteration", () => this.ask("metrics"));
      stream.addEventListener("evaluation", (event) => { this.missed(JSON.parse(event.data).step - 1); this.ask("metrics"); });
      for (const name of ["status", "log", "alarm"]) stream.addEventListener(name, (event) => { this.rewound(JSON.parse(event.data).rewound_to); this.ask("run"); this.said(); });
      stream.addEventListener("change", () => { this.ask("run", "orders"); this.said(); });
      this.stream = stream;
    };
    this.onVisible = () => (document.hidden ? this.stream?.close() : connect());
    document.addEventListener("visibilitychange", this.onVisible);
    connect();
    this.timers.poll = window.setInterval(() => {
      if (document.hidden) return;
      if (this.ended) { this.stream?.close(); this.stream = null; return; }
      if (!this.stream) connect();
      this.ask("run");
      if (!this.connected) this.ask("metrics", "orders");
    }, POLL_S * 1000);
  }

  /** The log has a new line. */
  said() {
    this.dispatchEvent(new Event("said"));
  }

  /** Something of an earlier step has come; it is read with the next answer. @param {number} since */
  missed(since) {
    this.since = Math.min(this.since ?? Infinity, since);
  }

  /** The run goes on from an earlier step: what came after it is made again. @param {number|undefined} step */
  rewound(step) {
    if (step === undefined) return;
    this.series.rewind(step);
    this.evaluations = this.evaluations.filter((e) => e.step <= step);
    this.changed += 1;
    this.missed(step - 1);
    this.ask("metrics");
  }

  /** Nothing more will come of a run that has ended, until somebody resumes it. */
  get ended() {
    return ["done", "stopped", "failed"].includes(this.run?.status);
  }

  /** Gather requests that come together into one. @param {...("metrics"|"run"|"orders")} what */
  ask(...what) {
    what.forEach((w) => this.wants.add(w));
    if (this.timers.gather) return;
    this.timers.gather = window.setTimeout(async () => {
      const wants = new Set(this.wants);
      this.wants.clear();
      const wasEnded = this.ended;
      try {
        await Promise.all([wants.has("run") && this.fetchRun(), wants.has("orders") && this.fetchOrders(), wants.has("metrics") && this.fetchMissed()]);
        if (this.run.step > this.lastStep || (this.ended && !wasEnded)) await this.fetchMissed();
        this.dispatchEvent(new Event("change"));
      } catch (error) {
        this.dispatchEvent(new CustomEvent("trouble", { detail: error }));
      } finally {
        this.timers.gather = 0;
        if (this.wants.size) this.ask();
      }
    }, GATHER_MS);
  }

  async fetchMissed() {
    const since = Math.min(this.since ?? Infinity, this.lastStep - 1);
    this.since = undefined;
    await this.fetchMetrics(since);
  }

  close() {
    this.stream?.close();
    window.clearInterval(this.timers.poll);
    window.clearTimeout(this.timers.gather);
    if (this.onVisible) document.removeEventListener("visibilitychange", this.onVisible);
  }
}
