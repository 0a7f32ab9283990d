/**
 * The one place that listens for keys. A binding names an action; people may remap it or switch single keys off.
 * Nothing fires while typing, with a modifier held, during composition, on a repeat, or under an open dialog.
 *
 * @typedef {{id: string, keys: string[], label: string, run: (e: KeyboardEvent) => void, up?: (e: KeyboardEvent) => void,
 *            repeat?: boolean}} Binding
 * @typedef {{name: string, bindings: Binding[]}} Scope
 */

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Escape: "Esc" };
const STORE = "palate.keys";
const OFF = "palate.keys.off";
const CHORD_MS = 1200;

/** @type {Scope[]} */
let scopes = [];
let chord = "";
let chordTimer = 0;
/** @type {Map<string, Binding>} key → binding whose `up` waits for the key to be let go */
const held = new Map();

/** @returns {Record<string, string[]>} what people have remapped, by binding id */
function remapped() {
  try { return JSON.parse(localStorage.getItem(STORE) || "{}"); } catch { return {}; }
}

/** The keys a binding answers to now. @param {Binding} binding */
export const keysOf = (binding) => remapped()[binding.id] || binding.keys;

/** How a key is written on screen: "ArrowLeft" → "←", "g l" → "G L". @param {string} key */
export const keyName = (key) => key.split(" ").length > 1 && key !== " "
  ? key.split(" ").map(keyName).join(" ")
  : NAMES[key] || (key.length === 1 ? key.toUpperCase() : key);

/** Give an action other keys; null puts the default back. @param {string} id @param {string[] | null} keys */
export function remap(id, keys) {
  const all = remapped();
  if (keys) all[id] = keys; else delete all[id];
  localStorage.setItem(STORE, JSON.stringify(all));
  document.dispatchEvent(new CustomEvent("palate:keys"));
}

/** Are single keys on? */
export const enabled = () => localStorage.getItem(OFF) !== "1";

/** The master switch. @param {boolean} on */
export function setEnabled(on) {
  if (on) localStorage.removeItem(OFF); else localStorage.setItem(OFF, "1");
  document.dispatchEvent(new CustomEvent("palate:keys"));
}

/** Bind a set of actions; the latest set wins. Returns the function that unbinds it.
 * @param {string} name @param {Binding[]} bindings */
export function bind(name, bindings) {
  const scope = { name, bindings };
  scopes.push(scope);
  return () => { scopes = scopes.filter((other) => other !== scope); };
}

/** All that is bound now, for the help dialog. */
export const bound = () => [...scopes].reverse();

/** Is this a place where people type? @param {EventTarget | null} target */
export function typing(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["button", "checkbox", "radio", "range", "submit", "reset"].includes(target.type);
}

const normal = (key) => (key.length === 1 ? key.toLowerCase() : key);
const activates = (e) => (e.key === " " || e.key === "Enter")
  && e.target instanceof Element && e.target.closest("button, a[href], summary, [role=slider], input");

/** @param {KeyboardEvent} e @returns {Binding | undefined} */
function find(e) {
  const key = normal(e.key);
  const wanted = chord ? `${chord} ${key}` : key;
  for (const scope of [...scopes].reverse()) {
    const hit = scope.bindings.find((b) => keysOf(b).map((k) => (k.length === 1 ? k.toLowerCase() : k)).includes(wanted));
    if (hit) return hit;
  }
  return undefined;
}

const startsChord = (key) => scopes.some((s) => s.bindings.some((b) => keysOf(b).some((k) => k.length > 1 && k.startsWith(`${key} `))));

/** @param {KeyboardEvent} e */
function down(e) {
  if (e.defaultPrevented || e.isComposing || e.ctrlKey || e.metaKey || e.altKey) return;
  if (typing(e.target) || activates(e) || document.querySelector("dialog[open]")) return;
  if (!enabled() && e.key !== "?") return;
  const binding = find(e);
  if (!chord && !binding && startsChord(normal(e.key))) {
    chord = normal(e.key);
    chordTimer = window.setTimeout(() => { chord = ""; }, CHORD_MS);
    return;
  }
  chord = "";
  clearTimeout(chordTimer);
  if (!binding) return;
  e.preventDefault();
  if (e.repeat && !binding.repeat) return;
  if (binding.up) held.set(normal(e.key), binding);
  binding.run(e);
}

/** @param {KeyboardEvent} e */
function up(e) {
  const binding = held.get(normal(e.key));
  held.delete(normal(e.key));
  binding?.up?.(e);
}

document.addEventListener("keydown", down);
document.addEventListener("keyup", up);
window.addEventListener("blur", () => { for (const b of held.values()) b.up?.(new KeyboardEvent("keyup")); held.clear(); });
