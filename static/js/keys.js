/**
 * The one place that listens for keys. A binding names an action; people may remap it or switch single keys off.
 * Nothing fires while typing, with Ctrl, Alt or ⌘ held, during composition, on a repeat, or under an open dialog. Shift makes
 * another key: "Shift+ArrowLeft" never acts as "ArrowLeft"; of a sign that needs Shift, "?", the sign alone counts.
 *
 * @typedef {{id: string, keys: string[], label: string, run: (e: KeyboardEvent) => void, up?: (e: KeyboardEvent) => void,
 *            repeat?: boolean}} Binding
 * @typedef {{name: string, bindings: Binding[], when: () => boolean}} Scope
 */

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Escape: "Esc", Delete: "Del", Backspace: "⌫", Shift: "⇧" };
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

/** How a key is written on screen: "ArrowLeft" → "←", "Shift+ArrowLeft" → "⇧←", "g l" → "G L". @param {string} key */
export const keyName = (key) => {
  if (key.startsWith("Shift+")) return NAMES.Shift + keyName(key.slice(6));
  if (key.split(" ").length > 1 && key !== " ") return key.split(" ").map(keyName).join(" ");
  return NAMES[key] || (key.length === 1 ? key.toUpperCase() : key);
};

/** Give an action other keys; null puts the default back. @param {string} id @param {string[] | null} keys */
export function remap(id, keys) {
  const all = remapped();
  if (keys) all[id] = keys; else delete all[id];
  localStorage.setItem(STORE, JSON.stringify(all));
  document.dispatchEvent(new CustomEvent("palate:keys"));
}

/** All keys as they came. */
export function reset() {
  localStorage.removeItem(STORE);
  document.dispatchEvent(new CustomEvent("palate:keys"));
}

/** Are single keys on? */
export const enabled = () => localStorage.getItem(OFF) !== "1";

/** The master switch. @param {boolean} on */
export function setEnabled(on) {
  if (on) localStorage.removeItem(OFF); else localStorage.setItem(OFF, "1");
  document.dispatchEvent(new CustomEvent("palate:keys"));
}

/** Bind a set of actions; the latest set wins. `when` says whether it acts now. Returns the function that unbinds it.
 * @param {string} name @param {Binding[]} bindings @param {() => boolean} [when] */
export function bind(name, bindings, when = () => true) {
  const scope = { name, bindings, when };
  scopes.push(scope);
  return () => { scopes = scopes.filter((other) => other !== scope); };
}

/** All that is bound, for the help dialog: first what acts now, then what acts at times (while a mark is drawn), in the end what acts everywhere. */
export function bound() {
  const [everywhere, ...own] = scopes;
  const latest = own.reverse();
  return [...latest.filter((scope) => scope.when()), ...latest.filter((scope) => !scope.when()), ...(everywhere ? [everywhere] : [])];
}

/** Who has this key already, where both could act: in the same scope, or one that acts everywhere.
 * @param {Binding} binding @param {string} key @returns {Binding | "chord" | undefined} "chord": other keys begin with it */
export function taken(binding, key) {
  if (startsChord(key)) return "chord";
  const own = scopes.find((scope) => scope.bindings.some((other) => other.id === binding.id));
  const near = scopes.filter((scope) => scope === own || scope === scopes[0] || own === scopes[0]);
  return near.flatMap((scope) => scope.bindings).find((other) => other.id !== binding.id && keysOf(other).includes(key));
}

/** A key printed where it acts, by the action's id: it follows when the action gets another key or single keys are off.
 * @param {string} id @returns {HTMLElement} */
export function hint(id) {
  const node = document.createElement("kbd");
  node.setAttribute("aria-hidden", "true");
  node.dataset.hint = id;
  return node;
}

/** Write what the hints below a node say. @param {ParentNode} [root] */
export function drawHints(root = document) {
  const all = scopes.flatMap((scope) => scope.bindings);
  for (const node of root.querySelectorAll("[data-hint]")) {
    const binding = all.find((one) => one.id === /** @type {HTMLElement} */ (node).dataset.hint);
    const key = binding && enabled() ? keysOf(binding)[0] : "";
    node.textContent = key ? keyName(key) : "";
    node.toggleAttribute("hidden", !key);
  }
}

/** A key event as a binding names it. @param {KeyboardEvent} e */
export function pressed(e) {
  const key = normal(e.key);
  return e.shiftKey && (key.length > 1 || key !== key.toUpperCase()) ? `Shift+${key}` : key;
}

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
  const name = pressed(e);
  const names = e.shiftKey && normal(e.key).length === 1 ? [name, normal(e.key)] : [name];
  const wanted = names.map((key) => (chord ? `${chord} ${key}` : key));
  for (const scope of [...scopes].reverse()) {
    if (!scope.when()) continue;
    for (const key of wanted) {
      const hit = scope.bindings.find((b) => keysOf(b).map((k) => (k.length === 1 ? k.toLowerCase() : k)).includes(key));
      if (hit) return hit;
    }
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
document.addEventListener("palate:keys", () => drawHints());
window.addEventListener("blur", () => { for (const b of held.values()) b.up?.(new KeyboardEvent("keyup")); held.clear(); });
