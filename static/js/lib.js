/**
 * What every page uses: talk to the API, build elements, write numbers, say things. No page-specific code.
 * Text becomes text nodes, so nothing from the store can turn into markup.
 */
import { keyName } from "/static/js/keys.js";

export * as keys from "/static/js/keys.js";

/** What the server refused, as a sentence for people. */
export class ApiError extends Error {
  /** @param {string} message @param {number} status 0: no answer @param {string | null} field */
  constructor(message, status, field = null) {
    super(message);
    this.status = status;
    this.field = field;
    /** @type {{line: number, reason: string}[]} */
    this.problems = [];
  }
}

/** Call the JSON API. `path` is relative to /api/v1.
 * @param {string} path @param {{method?: string, body?: unknown, signal?: AbortSignal, keepalive?: boolean}} [options]
 * @returns {Promise<any>} */
export async function api(path, { method, body, signal, keepalive } = {}) {
  const init = { method: method || (body === undefined ? "GET" : "POST"), signal, keepalive, headers: {} };
  if (body !== undefined) {
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(`/api/v1/${path.replace(/^\//, "")}`, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The studio does not answer. It may be stopped; nothing you see is lost.", 0);
  }
  if (response.status === 204) return null;
  const data = await response.json().catch(() => null);
  if (response.ok) return data;
  if (response.status === 401) document.dispatchEvent(new CustomEvent("palate:signed-out"));
  const error = new ApiError(data?.error || `The studio answered ${response.status} without saying why.`, response.status, data?.field ?? null);
  error.problems = data?.problems ?? [];
  throw error;
}

/** Who asks, as the frame says: {name, role}. Only for what is shown; the server decides what may be done. */
export function who() {
  const data = document.getElementById("palate")?.dataset.who;
  return /** @type {{name: string, role: string}} */ (data ? JSON.parse(data) : { name: "", role: "" });
}

const SVG = new Set(["svg", "path", "rect", "circle", "line", "g", "text", "use", "polyline", "polygon", "title", "tspan"]);

/** Make an element. Attributes: `class`, `data-*`, `aria-*`, `style` (object or string), `on<event>` (function);
 * false, null and undefined leave an attribute out, true writes it empty. Children: nodes, text, arrays; null is skipped.
 * @param {string} tag @param {Record<string, any> | null} [attrs] @param {...any} children
 * @returns {any} */
export function el(tag, attrs, ...children) {
  const node = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attrs || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on") && typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (name === "style" && typeof value === "object") {
      for (const [key, v] of Object.entries(value)) if (v !== null && v !== undefined) node.style.setProperty(key, String(v));
    } else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...flat(children));
  return node;
}

const flat = (children) => children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false);

/** Replace what a node holds. @param {Element} node @param {...any} children */
export function fill(node, ...children) {
  node.replaceChildren(...flat(children));
  return node;
}

/** @type {WeakMap<HTMLElement, string>} what was drawn of */
const drawn = new WeakMap();

/**
 * Draw a part anew if what it shows has changed: a button stays the one that somebody is about to press, and what had the focus
 * keeps it. @param {HTMLElement} host @param {any} shows @param {() => void} draw
 */
export function redraw(host, shows, draw) {
  const text = JSON.stringify(shows);
  if (drawn.get(host) === text) return;
  drawn.set(host, text);
  const held = host.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.testid : null;
  draw();
  if (held) /** @type {HTMLElement|null} */ (host.querySelector(`[data-testid="${held}"]`))?.focus({ preventScroll: true });
}

/** A sign from static/icons.svg. @param {string} name @param {string} [cls] */
export function icon(name, cls = "") {
  return el("svg", { class: `i ${cls}`.trim(), viewBox: "0 0 16 16", "aria-hidden": "true" },
    el("use", { href: `/static/icons.svg#i-${name}` }));
}

/** A key as it is printed beside the word it acts on. @param {string} key */
export const kbd = (key) => el("kbd", { "aria-hidden": "true" }, keyName(key));

/** A button. `kind`: "" outlined, "primary", "quiet", "danger"; `size`: "", "sm", "lg".
 * @param {string} label
 * @param {{onclick?: (e: Event) => void, kind?: string, size?: string, icon?: string, key?: string, testid?: string, title?: string, disabled?: boolean}} [options] */
export function button(label, { onclick, kind = "", size = "", icon: sign, key, testid, title, disabled } = {}) {
  return el("button", { type: "button", class: `btn ${kind} ${size}`.trim(), "data-testid": testid, title, disabled, onclick },
    sign && icon(sign), label, key && kbd(key));
}

// numbers ---------------------------------------------------------------------------------------------------

const MINUS = "−";
const sign = (x) => (x < 0 ? MINUS : "");
const short = (x, digits) => Math.abs(x).toFixed(digits).replace(/^0\./, ".");

/** In which language dates are written. */
export const locale = () => (document.documentElement.lang || "en").replace(/^en$/, "en-GB");

/** Numbers, shares and times as people read them. */
export const fmt = {
  /** 4096 → "4,096", as the sentences of the studio write it. @param {number} x */
  int: (x) => sign(x) + String(Math.abs(Math.round(x))).replace(/\B(?=(\d{3})+$)/g, ","),
  /** 0.0421 → ".042"; a missing number is an en dash. @param {number | null | undefined} x */
  num: (x, digits = 3) => (Number.isFinite(x) ? sign(x) + short(x, digits) : "–"),
  /** with its sign always written. @param {number | null | undefined} x */
  signed: (x, digits = 3) => (Number.isFinite(x) ? (x < 0 ? MINUS : "+") + short(x, digits) : "–"),
  /** .632 → "63.2 %". @param {number | null | undefined} x */
  pct: (x, digits = 0) => (Number.isFinite(x) ? `${(x * 100).toFixed(digits)} %` : "–"),
  /** half of a 95 % interval from its ends, or from a standard error */
  half: (low, high) => (high - low) / 2,
  ci: (se) => 1.96 * se,
  /** seconds → ".25 s", "9.5 s", "41 s", "6 min 28 s", "42 min", "2 h 5 min", "3 d"; backend/services/durations.py says the same. @param {number | null | undefined} s */
  span(s) {
    if (!Number.isFinite(s)) return "–";
    if (s < 0.995) return s < 0.005 ? "0 s" : `${short(s, 2)} s`;
    if (s < 9.95) return `${s.toFixed(1)} s`;
    const seconds = Math.round(s);
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 600) return seconds % 60 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${seconds / 60} min`;
    const minutes = Math.round(s / 60);
    if (minutes < 60) return `${minutes} min`;
    if (minutes < 2880) return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
    return `${Math.round(s / 86400)} d`;
  },
  /** seconds since 1970 → "just now", "6 min ago": to the minute. @param {number | null | undefined} t */
  ago(t) {
    if (!Number.isFinite(t)) return "–";
    const s = Date.now() / 1000 - t;
    return s < 45 ? "just now" : `${fmt.span(Math.max(60, 60 * Math.round(s / 60)))} ago`;
  },
  /** seconds since 1970 → "14:02", or the date if it is not today. @param {number} t */
  clock(t) {
    const d = new Date(t * 1000);
    return d.toDateString() === new Date().toDateString()
      ? d.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })
      : d.toLocaleDateString(locale(), { day: "numeric", month: "short" });
  },
  /** "1 run", "2 runs". @param {number} n @param {string} one @param {string} [many] */
  count: (n, one, many) => `${fmt.int(n)} ${n === 1 ? one : many || `${one}s`}`,
};

/** A number with its uncertainty in faint: `+0.042 ± 0.008`.
 * @param {string} value @param {string | null} [spread] */
export const pm = (value, spread) => [value, spread ? el("span", { class: "pm" }, ` ± ${spread}`) : null];

// saying things ---------------------------------------------------------------------------------------------

/** A word of the studio as it is shown in the language of the page: for what is compared with what somebody types, or measured.
 * What is shown is translated by itself. @param {string} text @returns {string} */
export const said = (text) => globalThis.palateSay?.(text) ?? text;

/** A name inside a text of the studio: it stays as it was written, even if it is a word of the catalogue. @param {string} name @returns {string} */
export const kept = (name) => (globalThis.palateSay ? `\u2060${name}` : name);

/** Tell screen readers, in the one live line of the page. @param {string} text */
export function live(text) {
  const node = document.getElementById("live");
  if (node) node.textContent = text;
}

/** For what happened elsewhere. Goes away by itself, one with something to do later, none while the pointer rests on it.
 * @param {string} text @param {{sign?: string, tone?: string, action?: string, onaction?: () => void, seconds?: number}} [options] */
export function toast(text, { sign: name = "check", tone = "ok", action, onaction, seconds = action ? 10 : 6 } = {}) {
  const host = document.getElementById("toasts");
  const close = () => node.remove();
  const node = el("div", { class: "toast", role: "status" }, icon(name, tone), el("span", { class: "grow" }, text),
    action && button(action, { kind: "quiet", size: "sm", onclick: () => { close(); onaction?.(); } }),
    el("button", { class: "btn quiet sm icon", "aria-label": "Close", onclick: close }, icon("x")));
  host?.append(node);
  const arm = () => window.setTimeout(close, seconds * 1000);
  let timer = arm();
  node.addEventListener("pointerenter", () => clearTimeout(timer));
  node.addEventListener("pointerleave", () => { timer = arm(); });
  return close;
}

/** Open a dialog; it closes by Esc, by its close button and by `close()`.
 * @param {string} title @param {(close: (value?: any) => void) => any} body @param {{wide?: boolean}} [options]
 * @returns {Promise<any>} what it was closed with */
export function dialog(title, body, { wide = false } = {}) {
  return new Promise((resolve) => {
    let result;
    const close = (value) => { result = value; node.close(); };
    const node = el("dialog", { class: `dialog ${wide ? "wide" : ""}`, "aria-label": title },
      el("div", { class: "row dialog-h" }, el("h2", { class: "grow" }, title),
        el("button", { class: "btn quiet icon", "aria-label": "Close", onclick: () => close() }, icon("x"))), body(close));
    node.addEventListener("close", () => { node.remove(); resolve(result); });
    document.getElementById("overlay")?.append(node);
    node.showModal();
  });
}

/** Ask before what can't be undone; the safe way is primary and has the focus.
 * @param {{title: string, text: string, danger: string, safe: string}} options @returns {Promise<boolean>} */
export async function confirm({ title, text, danger, safe }) {
  return (await dialog(title, (close) => {
    const stay = button(safe, { kind: "primary", onclick: () => close(false) });
    stay.setAttribute("autofocus", "");
    return [el("p", { class: "muted" }, text), el("div", { class: "row dialog-f" },
      button(danger, { kind: "danger", onclick: () => close(true) }), el("span", { class: "grow" }), stay)];
  })) === true;
}

/** An empty place: what will be here, and what makes it.
 * @param {{title: string, text: string, actions?: any[]}} options */
export function empty({ title, text, actions = [] }) {
  return el("div", { class: "empty", "data-testid": "empty" },
    el("svg", { class: "gl", viewBox: "0 0 88 44", "aria-hidden": "true" },
      el("path", { d: "M4 22h24c12 0 10-14 22-14h10M28 22c12 0 10 14 22 14h10" }),
      el("rect", { x: 62, y: 1, width: 14, height: 14 }),
      el("rect", { x: 62, y: 29, width: 14, height: 14, "stroke-dasharray": "3 3" })),
    el("h2", null, title), el("p", { class: "muted" }, text), actions);
}

/** A block that says what went wrong, what is safe and the next move.
 * @param {string} title @param {string} text @param {{tone?: string, actions?: any[]}} [options] */
export function note(title, text, { tone = "bad", actions = [] } = {}) {
  return el("div", { class: `note ${tone}`, role: tone === "bad" ? "alert" : null },
    icon(tone === "bad" ? "fail" : "warn", tone),
    el("div", { class: "x" }, el("b", { class: "strong" }, title), text && el("p", { class: "meta" }, text),
      actions.length ? el("div", { class: "row", style: "margin-top:8px" }, actions) : null));
}

/** Write state into the address without a new history entry. @param {Record<string, any>} changes null takes a key out */
export function setQuery(changes) {
  const query = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") query.delete(key); else query.set(key, String(value));
  }
  const text = query.toString();
  history.replaceState(history.state, "", location.pathname + (text ? `?${text}` : ""));
}

/** Do `task` as soon as what has just been changed is on screen, so that it holds up no picture. @param {() => void} task */
export function afterPaint(task) {
  const once = () => { clearTimeout(late); late = 0; task(); };
  let late = window.setTimeout(once, 200); // a page that is not shown gets no frames
  requestAnimationFrame(() => requestAnimationFrame(() => window.setTimeout(() => { if (late) once(); })));
}

/** Do `task` every `seconds` while the page is visible; the returned function ends it.
 * @param {() => Promise<void> | void} task @param {number} seconds */
export function poll(task, seconds) {
  let timer = 0;
  let over = false;
  const tick = async () => {
    if (!document.hidden) await Promise.resolve(task()).catch((error) => { if (error.status !== 0) console.warn(error.message); });
    if (!over) timer = window.setTimeout(tick, seconds * 1000);
  };
  tick();
  return () => { over = true; clearTimeout(timer); };
}
