/**
 * Judgements on their way to the server. Each is written to this browser before it is sent, goes out in the order it was
 * given, and stays until the server has answered for its id: a closed tab, a lost reply or no network loses and doubles none.
 */
import { afterPaint, api, who } from "/static/js/lib.js";

const PREFIX = "palate.outbox/";
const WAITS_S = [1, 2, 4, 8, 15];

/** An id made here. `randomUUID` is missing on plain http from another host. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/**
 * Events: "change" (what waits has changed) · "sent" {entry, reply} · "refused" {entry, error}.
 * @typedef {{key: string, path: string, body: any, who?: string, scope?: Record<string, number>}} Entry
 */
export class Outbox extends EventTarget {
  constructor() {
    super();
    this.failing = false;
    this.count = 0;
    /** @type {Map<string, Entry>} entries that the browser had no room to keep */
    this.memory = new Map();
    this.timer = 0;
    this.failures = 0;
    /** @type {Promise<void> | null} */
    this.sending = null;
    this.wake = () => { if (!document.hidden) this.flush(); };
    this.onstorage = (e) => { if (e.key?.startsWith(PREFIX)) this.emit("change"); };
    window.addEventListener("online", this.wake);
    window.addEventListener("storage", this.onstorage);
    document.addEventListener("visibilitychange", this.wake);
  }

  close() {
    clearTimeout(this.timer);
    window.removeEventListener("online", this.wake);
    window.removeEventListener("storage", this.onstorage);
    document.removeEventListener("visibilitychange", this.wake);
  }

  /** @param {string} type @param {any} [detail] */
  emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  /** Everything that waits, oldest first. @returns {Entry[]} */
  waiting() {
    const kept = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX))
      .map((key) => ({ key, .../** @type {any} */ (JSON.parse(localStorage.getItem(key) || "{}")) }));
    // Two people may share a browser: what one judged is never sent as the other.
    return [...kept, ...this.memory.values()].filter((entry) => !entry.who || entry.who === who().name).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Write one down, and send it once the next item is on screen. @param {string} path @param {any} body @param {Record<string, number>} [scope] of which study or comparison it is */
  add(path, body, scope = {}) {
    const key = `${PREFIX}${String(Date.now()).padStart(15, "0")}-${String(this.count++).padStart(6, "0")}-${body.client_id}`;
    try {
      localStorage.setItem(key, JSON.stringify({ path, body, scope, who: who().name }));
    } catch {
      this.memory.set(key, { key, path, body, scope, who: who().name });
    }
    this.emit("change");
    afterPaint(() => this.flush());
  }

  /** Send what waits; one sender at a time, over all tabs of this browser. */
  flush() {
    clearTimeout(this.timer);
    this.sending ??= this.locked(() => this.drain()).finally(() => {
      this.sending = null;
      if (!this.failing && this.waiting().length) this.flush();
    });
    return this.sending;
  }

  /** @param {() => Promise<void>} task */
  locked(task) {
    return navigator.locks ? navigator.locks.request("palate.outbox", task) : task();
  }

  async drain() {
    for (let entry = this.waiting()[0]; entry; entry = this.waiting()[0]) {
      try {
        const reply = await api(entry.path, { body: entry.body, keepalive: true });
        this.drop(entry);
        this.failures = 0;
        this.failing = false;
        this.emit("sent", { entry, reply });
      } catch (error) {
        const status = error.status ?? 0;
        if (status === 0 || status >= 500 || status === 401 || status === 408 || status === 429) return this.later();
        this.drop(entry);
        this.emit("refused", { entry, error });
      }
      this.emit("change");
    }
  }

  later() {
    this.failing = true;
    this.timer = window.setTimeout(() => this.flush(), WAITS_S[Math.min(this.failures++, WAITS_S.length - 1)] * 1000);
    this.emit("change");
  }

  /** @param {Entry} entry */
  drop(entry) {
    localStorage.removeItem(entry.key);
    this.memory.delete(entry.key);
  }
}
