/**
 * What the Run page knows: the run's row, its metrics by step, and the step people look at.
 * New rows come by server-sent events; when those break, by asking every two seconds.
 */

import { api } from "/static/js/lib.js";

const POLL_S = 2;
const GATHER_MS = 80;

/**
 * @typedef {object} Evaluation
 * @property {number} step
 * @property {Record<string, number|null>} metrics
 * @property {{prompt: string, seed: number, url: string, rewards: Record<string, number|null>}[]} samples
 */

export class RunState extends EventTarget {
  /** @param {number} id */
  constructor(id) {
    super();
    this.id = id;
    /** @type {any} */
    this.run = null;
    /** @type {number[]} */
    this.steps = [];
    /** @type {Map<number, {metrics: Record<string, number|null>, nfe: number, seconds: Record<string, number>}>} */
    this.rows = new Map();
    /** @type {Evaluation[]} */
    this.evaluations = [];
    /** @type {{at: number, level: string, text: string}[]} */
    this.log = [];
    /** @type {number|null} the step people chose; null follows the newest */
    this.pinned = null;
    this.connected = false;
    this.stream = null;
    this.timers = { gather: 0, poll: 0 };
    this.wants = new Set();
  }

  get lastStep() {
    return this.steps.at(-1) ?? 0;
  }

  /** The step everything shows. */
  get step() {
    return this.pinned === null ? this.lastStep : this.pinned;
  }

  /** Values of one metric in the order of `steps`; null where an iteration has none. @param {string} key */
  values(key) {
    return this.steps.map((step) => this.rows.get(step)?.metrics[key] ?? null);
  }

  /** (step, value) pairs of one metric. @param {string} key @returns {[number, number|null][]} */
  points(key) {
    return this.steps.map((step) => [step, this.rows.get(step)?.metrics[key] ?? null]);
  }

  /** Every metric key that any iteration has, in alphabetical order. @param {string} prefix */
  keys(prefix = "") {
    const found = new Set();
    for (const row of this.rows.values()) for (const key of Object.keys(row.metrics)) if (key.startsWith(prefix)) found.add(key);
    return [...found].sort();
  }

  /** The evaluation at or before a step. @param {number} step */
  evaluationAt(step) {
    return this.evaluations.filter((e) => e.step <= step).at(-1) ?? this.evaluations[0] ?? null;
  }

  /** @param {number|null} step null follows the newest */
  choose(step) {
    this.pinned = step;
    this.dispatchEvent(new Event("step"));
  }

  async load() {
    this.run = await api(`runs/${this.id}`);
    this.log = [...(this.run.log ?? [])].sort((a, b) => a.at - b.at);
    await this.fetchMetrics();
  }

  /** Read what is new: everything since the last evaluation, so that a late one is not missed. */
  async fetchMetrics() {
    const since = this.evaluations.length ? Math.min(this.evaluations.at(-1).step, this.lastStep) - 1 : -1;
    const answer = await api(`runs/${this.id}/metrics?since=${since}`);
    answer.steps.forEach((/** @type {number} */ step, /** @type {number} */ i) => {
      const metrics = Object.fromEntries(Object.entries(answer.series).map(([key, values]) => [key, finite(/** @type {any} */ (values)[i])]));
      const seconds = Object.fromEntries(Object.entries(answer.seconds).map(([key, values]) => [key, /** @type {any} */ (values)[i] ?? 0]));
      this.rows.set(step, { metrics, nfe: answer.nfe[i], seconds });
    });
    this.steps = [...this.rows.keys()].sort((a, b) => a - b);
    const known = new Map(this.evaluations.map((e) => [e.step, e]));
    for (const evaluation of answer.evaluations) known.set(evaluation.step, evaluation);
    this.evaluations = [...known.values()].sort((a, b) => a.step - b.step);
  }

  async fetchRun() {
    this.run = await api(`runs/${this.id}`);
    this.log = [...(this.run.log ?? [])].sort((a, b) => a.at - b.at);
  }

  /** Follow the run until `close()`. */
  follow() {
    const connect = () => {
      this.stream?.close();
      if (document.hidden || this.ended) return;
      const stream = new EventSource(`/api/v1/runs/${this.id}/events`);
      stream.onopen = () => { this.connected = true; this.ask("metrics", "run"); };
      stream.onerror = () => { this.connected = false; };
      for (const name of ["iteration", "evaluation"]) stream.addEventListener(name, () => this.ask("metrics"));
      for (const name of ["status", "log", "checkpoint"]) stream.addEventListener(name, () => this.ask("run"));
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
      if (!this.connected) this.ask("metrics");
    }, POLL_S * 1000);
  }

  /** Nothing more will come of a run that has ended, until somebody resumes it. */
  get ended() {
    return ["done", "stopped", "failed"].includes(this.run?.status);
  }

  /** Gather requests that come together into one. @param {...("metrics"|"run")} what */
  ask(...what) {
    what.forEach((w) => this.wants.add(w));
    if (this.timers.gather) return;
    this.timers.gather = window.setTimeout(async () => {
      const wants = new Set(this.wants);
      this.wants.clear();
      const wasEnded = this.ended;
      try {
        if (wants.has("run")) await this.fetchRun();
        if (wants.has("metrics") || this.run.step > this.lastStep || (this.ended && !wasEnded)) await this.fetchMetrics();
        this.dispatchEvent(new Event("change"));
      } catch (error) {
        this.dispatchEvent(new CustomEvent("trouble", { detail: error }));
      } finally {
        this.timers.gather = 0;
        if (this.wants.size) this.ask();
      }
    }, GATHER_MS);
  }

  close() {
    this.stream?.close();
    window.clearInterval(this.timers.poll);
    window.clearTimeout(this.timers.gather);
    if (this.onVisible) document.removeEventListener("visibilitychange", this.onVisible);
  }
}

const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
