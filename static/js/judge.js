/**
 * The work of judging without its looks: items fetched and decoded ahead, votes written to the outbox, undo, progress, pace.
 * Label and Compare draw it.
 *
 * @typedef {{url?: string, width?: number, height?: number, text?: string}} Place a picture, or a text
 * @typedef {{pair_id: number, prompt: string, left: Place, right: Place, slots?: Place[], subject?: Place, shown_left: string, lease_until: number | null}} Pair
 * @typedef {{pair: Pair, pictures: HTMLImageElement[], shown: number}} Ready
 * @typedef {{choice: string, reasons: string[], comment: string, answers?: Record<string, any>}} Verdict
 * @typedef {{done: number, total: number, median: number | null, isDrawing: boolean, phase: "loading"|"ready"|"empty"|"offline"|"refused", error: string,
 *   saved: "saved"|"saving"|"kept"|"refused", kept: number, reason: string, canUndo: boolean}} State
 */
import { afterPaint, api } from "/static/js/lib.js";
import { newId, Outbox } from "/static/js/outbox.js";

const AHEAD = 5;
const HISTORY = 60;
const RETRY_MS = 3000;
const LEASE_S = 110;
const PROLONG_MS = 45_000;
const AWAY_S = 600;
const now = () => (performance.timeOrigin + performance.now()) / 1000;

/** The two sides of a pair. @param {Pair} pair */
const sides = (pair) => [pair.left, pair.right];
const NAMES = [[], ["the picture"], ["left picture", "right picture"], [], ["picture 1", "picture 2", "picture 3", "picture 4"]];

/** The pictures of an item, fetched and decoded. @param {Pair} pair @param {(pair: Pair) => Place[]} places @returns {Promise<Ready>} */
async function decode(pair, places) {
  const shown = places(pair);
  const pictures = await Promise.all(shown.map(async (place, i) => {
    const image = place.width ? new Image(place.width, place.height) : new Image();
    image.alt = NAMES[shown.length][i];
    image.draggable = false;
    image.src = place.url || "";
    image.decoding = "sync"; // else the frame that shows the pair may be painted without it
    await image.decode();
    return image;
  }));
  return { pair, pictures, shown: 0 };
}

/** Events: "pair" (another pair stands, or none) · "state" · "restored" {verdict} after an undo. */
export class Judge extends EventTarget {
  /** @param {{comparison?: number | null, study?: number | null, places?: (pair: Pair) => Place[], first?: number | null}} [options] `places`: the pictures to have
   *   ready; `first`: the pair that stood there before a reload */
  constructor({ comparison = null, study = null, places = sides, first = null } = {}) {
    super();
    this.first = first;
    /** whose items these are: of a comparison, of a study, or (empty) of the queue */
    this.scope = { ...(comparison ? { comparison_id: comparison } : {}), ...(study ? { study_id: study } : {}) };
    this.places = places;
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
    this.telling = false;
    this.timer = 0;
    /** @type {Promise<void> | null} */
    this.filling = null;
    /** @type {Promise<any>} undos of what an earlier window judged, one after the other */
    this.undoing = Promise.resolve();
    this.active = now();
    this.onactive = () => { this.active = now(); };
    this.onback = () => { if (!document.hidden) this.comeBack(); };
    for (const type of ["pointerdown", "pointermove", "keydown"]) document.addEventListener(type, this.onactive, { passive: true });
    document.addEventListener("visibilitychange", this.onback);
    this.beat = window.setInterval(() => this.prolong(), PROLONG_MS);
    this.outbox.addEventListener("change", () => this.tell());
    this.outbox.addEventListener("sent", (e) => this.sent(/** @type {CustomEvent} */ (e).detail));
    this.outbox.addEventListener("refused", (e) => this.refused(/** @type {CustomEvent} */ (e).detail));
  }

  async start() {
    await this.outbox.flush();
    await this.fill();
    this.say(); // at once: whoever waited for the start may press a key now
  }

  stop() {
    this.over = true;
    clearTimeout(this.timer);
    clearInterval(this.beat);
    for (const type of ["pointerdown", "pointermove", "keydown"]) document.removeEventListener(type, this.onactive);
    document.removeEventListener("visibilitychange", this.onback);
    this.outbox.close();
  }

  /** Whoever looks long keeps the pair; whoever went away gives it back. */
  prolong() {
    if (!document.hidden && this.current && now() - this.active < AWAY_S) this.fill(true);
  }

  /** Back after a while: what was handed out then may be somebody else's by now, so ask for it anew. */
  comeBack() {
    const until = this.current?.pair.lease_until;
    if (!until || until > now() || this.outbox.failing) return;
    this.queue = [];
    this.show(null);
    this.fill();
  }

  /** Ids the server must not hand out again: shown, ready, or judged and not yet sent. */
  held() {
    const waiting = this.outbox.waiting().filter((entry) => entry.path === "label").map((entry) => entry.body.pair_id);
    return [...new Set([...(this.current ? [this.current.pair.pair_id] : []), ...this.queue.map((r) => r.pair.pair_id), ...waiting])];
  }

  /** Keep AHEAD decoded pairs behind the one on screen. */
  fill(prolong = false) {
    this.filling ??= this.fetchMore(prolong).finally(() => { this.filling = null; });
    return this.filling;
  }

  /** @param {boolean} prolong ask even if enough is ready: it prolongs what is held */
  async fetchMore(prolong) {
    clearTimeout(this.timer);
    const want = Math.max(0, AHEAD + (this.current ? 0 : 1) - this.queue.length);
    if (this.over || (!want && !prolong)) return;
    const query = new URLSearchParams({ n: String(want || 1), after: this.held().join(",") });
    for (const [name, id] of Object.entries(this.scope)) query.set(name, String(id));
    const before = this.answers;
    try {
      const reply = await api(`label/next?${query}`);
      if (this.answers === before) this.state.done = reply.done + this.unsent(); // else it was counted before what was sent since
      Object.assign(this.state, { total: reply.total, median: reply.median_s, isDrawing: reply.is_drawing, error: "" });
      for (const ready of [...(this.current ? [this.current] : []), ...this.queue]) if (ready.pair.lease_until) ready.pair.lease_until = now() + LEASE_S; // held pairs are prolonged
      const held = new Set(this.held());
      const fresh = reply.pairs.slice(0, want).filter((pair) => !held.has(pair.pair_id))
        .sort((a, b) => Number(b.pair_id === this.first) - Number(a.pair_id === this.first));
      for (const result of await Promise.allSettled(fresh.map((pair) => decode(pair, this.places)))) {
        if (result.status === "fulfilled") this.queue.push(result.value);
        else this.state.error = "A picture could not be loaded; its pair is left for later.";
      }
      this.state.phase = this.current || this.queue.length ? "ready" : "empty";
      if (!this.queue.length) this.again();
    } catch (error) {
      this.state.error = error.message;
      const refused = error.status >= 400 && error.status < 500 && ![401, 408, 429].includes(error.status);
      if (!this.current && !this.queue.length) this.state.phase = refused ? "refused" : "offline";
      if (!refused) this.again();
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
    this.state.phase = ready ? "ready" : ["offline", "refused"].includes(this.state.phase) ? this.state.phase : "loading";
    if (ready) ready.shown = now();
    this.dispatchEvent(new CustomEvent("pair", { detail: ready }));
    this.tell();
  }

  /** Judge the pair on screen: kept in this browser, the next one shown, then sent. @param {Verdict} verdict */
  vote(verdict) {
    const ready = this.current;
    if (!ready) return false;
    const body = { client_id: newId(), pair_id: ready.pair.pair_id, choice: verdict.choice, shown_left: ready.pair.shown_left,
      t_shown: ready.shown, t_answer: now(), reasons: verdict.reasons, comment: verdict.comment,
      ...(Object.keys(verdict.answers || {}).length ? { answers: verdict.answers } : {}) };
    this.times.push(body.t_answer - body.t_shown);
    this.history.push({ ready, verdict });
    if (this.history.length > HISTORY) this.history.shift();
    this.state.done += 1;
    this.advance();
    this.outbox.add("label", body, this.scope);
    afterPaint(() => this.fill());
    return true;
  }

  /** Take back the latest judgement: the pair stands again, with the sides it had. */
  async undo() {
    const last = this.history.pop();
    if (last) {
      this.state.done -= 1;
      this.times.pop();
      this.putBack(last.ready);
      this.dispatchEvent(new CustomEvent("restored", { detail: last.verdict }));
      this.outbox.add("label/undo", { client_id: newId(), ...this.scope }, this.scope);
      return true;
    }
    return (this.undoing = this.undoing.then(() => this.undoEarlier()));
  }

  /** Take back what an earlier window judged: only the studio knows which it was. */
  async undoEarlier() {
    const body = { client_id: newId(), ...this.scope };
    const answered = new Promise((resolve) => {
      const on = (e) => { if (e.detail.entry.body.client_id === body.client_id) { off(); resolve(e.detail.reply || null); } };
      const off = () => { this.outbox.removeEventListener("sent", on); this.outbox.removeEventListener("refused", on); };
      this.outbox.addEventListener("sent", on);
      this.outbox.addEventListener("refused", on);
    });
    this.outbox.add("label/undo", body, this.scope);
    const reply = await answered;
    if (!reply) return false;
    this.putBack(await decode(reply.pair, this.places));
    this.dispatchEvent(new CustomEvent("restored", { detail: reply.verdict }));
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
    if (!this.isMine(entry)) return;
    if (Number.isFinite(reply?.done)) this.state.done = reply.done + this.unsent();
  }

  /** The outbox is one for all pages: is this judgement of the items judged here? @param {import("/static/js/outbox.js").Entry} entry */
  isMine(entry) { return JSON.stringify(entry.scope || {}) === JSON.stringify(this.scope); }

  /** What the outbox will add to the judgements that the studio knows, undos taken off. */
  unsent() {
    const paths = this.outbox.waiting().filter((entry) => this.isMine(entry)).map((entry) => entry.path);
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

  /** Say how all stands: once for all that changes together, and behind the pictures. */
  tell() {
    if (this.telling) return;
    this.telling = true;
    afterPaint(() => { this.telling = false; if (!this.over) this.say(); });
  }

  say() {
    const kept = this.outbox.waiting().length;
    const refused = this.state.saved === "refused";
    this.state.kept = kept;
    this.state.saved = kept ? (this.outbox.failing ? "kept" : "saving") : refused ? "refused" : "saved";
    this.state.canUndo = this.history.length > 0 || this.state.done > 0;
    this.dispatchEvent(new CustomEvent("state"));
  }
}
