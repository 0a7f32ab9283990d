/**
 * The work of judging without its looks: pairs fetched and decoded ahead, votes written to the outbox, undo, progress, pace.
 * Label and Compare draw it.
 *
 * @typedef {{url: string, width: number, height: number}} Picture
 * @typedef {{pair_id: number, prompt: string, left: Picture, right: Picture, shown_left: string, lease_until: number | null}} Pair
 * @typedef {{pair: Pair, left: HTMLImageElement, right: HTMLImageElement, shown: number}} Ready
 * @typedef {{choice: string, reasons: string[], comment: string}} Verdict
 * @typedef {{done: number, total: number, median: number | null, isDrawing: boolean, phase: "loading"|"ready"|"empty"|"offline", error: string,
 *   saved: "saved"|"saving"|"kept"|"refused", kept: number, reason: string, canUndo: boolean}} State
 */
import { api } from "/static/js/lib.js";
import { newId, Outbox } from "/static/js/outbox.js";

const AHEAD = 5;
const HISTORY = 60;
const RETRY_MS = 3000;
const LEASE_S = 110;
const now = () => (performance.timeOrigin + performance.now()) / 1000;

/** Two pictures, fetched and decoded. @param {Pair} pair @returns {Promise<Ready>} */
async function decode(pair) {
  const load = async (picture, alt) => {
    const image = new Image(picture.width, picture.height);
    image.alt = alt;
    image.draggable = false;
    image.src = picture.url;
    await image.decode();
    return image;
  };
  const [left, right] = await Promise.all([load(pair.left, "left picture"), load(pair.right, "right picture")]);
  return { pair, left, right, shown: 0 };
}

/** Events: "pair" (another pair stands, or none) · "state" · "restored" {verdict} after an undo. */
export class Judge extends EventTarget {
  /** @param {{comparison?: number | null}} [options] */
  constructor({ comparison = null } = {}) {
    super();
    this.comparison = comparison;
    this.outbox = new Outbox();
    /** @type {Ready | null} */
    this.current = null;
    /** @type {Ready[]} */
    this.queue = [];
    /** @type {{ready: Ready, verdict: Verdict}[]} */
    this.history = [];
    /** @type {number[]} */
    this.times = [];
    this.answers = 0; // of the outbox: judgements sent or refused so far
    this.state = /** @type {State} */ ({ done: 0, total: 0, median: null, isDrawing: false, phase: "loading", error: "", saved: "saved", kept: 0, reason: "", canUndo: false });
    this.over = false;
    this.timer = 0;
    /** @type {Promise<void> | null} */
    this.filling = null;
    this.outbox.addEventListener("change", () => this.tell());
    this.outbox.addEventListener("sent", (e) => this.sent(/** @type {CustomEvent} */ (e).detail));
    this.outbox.addEventListener("refused", (e) => this.refused(/** @type {CustomEvent} */ (e).detail));
  }

  async start() {
    await this.outbox.flush();
    await this.fill();
  }

  stop() {
    this.over = true;
    clearTimeout(this.timer);
    this.outbox.close();
  }

  /** Ids the server must not hand out again: shown, ready, or judged and not yet sent. */
  held() {
    const waiting = this.outbox.waiting().filter((entry) => entry.path === "label").map((entry) => entry.body.pair_id);
    return [...new Set([...(this.current ? [this.current.pair.pair_id] : []), ...this.queue.map((r) => r.pair.pair_id), ...waiting])];
  }

  /** Keep AHEAD decoded pairs behind the one on screen. */
  fill() {
    this.filling ??= this.fetchMore().finally(() => { this.filling = null; });
    return this.filling;
  }

  async fetchMore() {
    clearTimeout(this.timer);
    const want = AHEAD + (this.current ? 0 : 1) - this.queue.length;
    if (this.over || want <= 0) return;
    const query = new URLSearchParams({ n: String(want), after: this.held().join(",") });
    if (this.comparison) query.set("comparison_id", String(this.comparison));
    const before = this.answers;
    try {
      const reply = await api(`label/next?${query}`);
      if (this.answers === before) this.state.done = reply.done + this.unsent(); // else it was counted before what was sent since
      Object.assign(this.state, { total: reply.total, median: reply.median_s, isDrawing: reply.is_drawing, error: "" });
      for (const ready of this.queue) if (ready.pair.lease_until) ready.pair.lease_until = now() + LEASE_S; // held pairs are prolonged
      const held = new Set(this.held());
      const fresh = reply.pairs.filter((pair) => !held.has(pair.pair_id));
      for (const result of await Promise.allSettled(fresh.map(decode))) {
        if (result.status === "fulfilled") this.queue.push(result.value);
        else this.state.error = "A picture could not be loaded; its pair is left for later.";
      }
      this.state.phase = this.current || this.queue.length ? "ready" : "empty";
      if (!this.queue.length) this.again();
    } catch (error) {
      this.state.error = error.message;
      if (!this.current && !this.queue.length) this.state.phase = "offline";
      this.again();
    }
    if (!this.current && this.queue.length) this.advance(); else this.tell();
  }

  again() {
    if (!this.over) this.timer = window.setTimeout(() => this.fill(), RETRY_MS);
  }

  /** Put the next ready pair on screen; those whose lease ran out may be somebody else's by now. */
  advance() {
    const next = this.queue.shift() || null;
    this.queue = this.queue.filter((ready) => !ready.pair.lease_until || ready.pair.lease_until > now());
    this.show(next);
  }

  /** @param {Ready | null} ready */
  show(ready) {
    this.current = ready;
    this.state.phase = ready ? "ready" : this.state.phase === "offline" ? "offline" : "loading";
    if (ready) ready.shown = now();
    this.dispatchEvent(new CustomEvent("pair", { detail: ready }));
    this.tell();
  }

  /** Judge the pair on screen: kept in this browser, the next one shown, then sent. @param {Verdict} verdict */
  vote(verdict) {
    const ready = this.current;
    if (!ready) return false;
    const body = { client_id: newId(), pair_id: ready.pair.pair_id, choice: verdict.choice, shown_left: ready.pair.shown_left,
      t_shown: ready.shown, t_answer: now(), reasons: verdict.reasons, comment: verdict.comment };
    this.times.push(body.t_answer - body.t_shown);
    this.history.push({ ready, verdict });
    if (this.history.length > HISTORY) this.history.shift();
    this.state.done += 1;
    this.advance();
    this.outbox.add("label", body);
    this.fill();
    return true;
  }

  /** Take back the latest judgement: the pair stands again, with the sides it had. */
  async undo() {
    const body = { client_id: newId(), ...(this.comparison ? { comparison_id: this.comparison } : {}) };
    const last = this.history.pop();
    if (last) {
      this.state.done -= 1;
      this.times.pop();
      this.putBack(last.ready);
      this.dispatchEvent(new CustomEvent("restored", { detail: last.verdict }));
      this.outbox.add("label/undo", body);
      return true;
    }
    const answered = new Promise((resolve) => {
      const on = (e) => { if (e.detail.entry.body.client_id === body.client_id) { off(); resolve(e.detail.reply || null); } };
      const off = () => { this.outbox.removeEventListener("sent", on); this.outbox.removeEventListener("refused", on); };
      this.outbox.addEventListener("sent", on);
      this.outbox.addEventListener("refused", on);
    });
    this.outbox.add("label/undo", body);
    const reply = await answered;
    if (!reply) return false;
    this.state.done -= 1;
    this.putBack(await decode(reply.pair));
    return true;
  }

  /** @param {Ready} ready */
  putBack(ready) {
    this.queue = this.queue.filter((other) => other.pair.pair_id !== ready.pair.pair_id);
    if (this.current) this.queue.unshift(this.current);
    this.show(ready);
  }

  /** @param {{entry: any, reply: any}} detail */
  sent({ entry, reply }) {
    this.answers += 1;
    if (entry.path !== "label" || entry.body.pair_id === undefined) return;
    if (Number.isFinite(reply?.done)) this.state.done = reply.done + this.unsent();
  }

  /** What the outbox will add to the judgements that the studio knows, undos taken off. */
  unsent() {
    const paths = this.outbox.waiting().map((entry) => entry.path);
    return paths.filter((path) => path === "label").length - paths.filter((path) => path === "label/undo").length;
  }

  /** @param {{entry: any, error: Error}} detail */
  refused({ entry, error }) {
    this.answers += 1;
    if (entry.path === "label/undo" && /** @type {any} */ (error).status === 404) return;
    this.state.saved = "refused";
    this.state.reason = error.message;
  }

  /** Seconds a pair: the median of this sitting, or what the server knows. */
  pace() {
    if (this.times.length < 5) return this.state.median;
    const sorted = this.times.slice(-30).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)];
  }

  tell() {
    const kept = this.outbox.waiting().length;
    const refused = this.state.saved === "refused";
    this.state.kept = kept;
    this.state.saved = kept ? (this.outbox.failing ? "kept" : "saving") : refused ? "refused" : "saved";
    this.state.canUndo = this.history.length > 0 || this.state.done > 0;
    this.dispatchEvent(new CustomEvent("state"));
  }
}
