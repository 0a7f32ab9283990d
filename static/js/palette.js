/**
 * The palette behind Ctrl or ⌘ K: pages, actions, and whatever the project calls by name, found by typing and taken by Enter. Everything is
 * done from the keyboard; the list is a listbox that the field owns.
 */
import { choose, LANGUAGES } from "/static/js/languages.js";
import { api, dialog, el, fill, icon, live, said, who } from "/static/js/lib.js";

const SIGNS = { page: "right", action: "play", run: "runs", study: "label", "prompt set": "stack", reward: "sliders", comparison: "compare", model: "image", recipe: "tree" };
const ACTIONS = [["New run", "/runs/new", "/runs"], ["New study", "/studies?new=1", "/studies"], ["Draw pairs", "/prompts?generate=1", "/prompts"], ["Best of N", "/best-of-n", "/compare"], ["Open a board", "/compare?sources=", "/compare"], ["Learn a reward", "/rewards", "/rewards"]];
const LATE_MS = 90;

let isOpen = false;

/** Pages on the rail of whoever asks, then actions that belong to one of them. */
function own() {
  const rail = [...document.querySelectorAll("#palate .rail a[href]:not(.mark)")].map((link) => ({ kind: "page", name: (link.textContent || "").trim(), url: link.getAttribute("href") || "/" }));
  const known = new Set(rail.map((one) => one.url));
  return [...rail, ...ACTIONS.filter(([, , page]) => known.has(page)).map(([name, url]) => ({ kind: "action", name, url }))].map(shown);
}

/** A page or action of the studio, called as the language of the page calls it. */
const shown = (one) => ({ ...one, name: said(one.name), isOurs: true });

/** How well a name fits: it begins with the words, a word of it does, or it has them; -1 when it has not. */
function fits(name, text) {
  const at = name.toLowerCase().indexOf(text);
  return at < 0 ? -1 : at === 0 ? 2 : name[at - 1] === " " ? 1 : 0;
}

/** @param {{go: (address: string) => void, theme: (name: string) => void, help: () => void}} doing */
export function palette({ go, theme, help }) {
  if (isOpen || document.querySelector("dialog[open]")) return;
  isOpen = true;
  const themes = [["light", "Light theme"], ["dark", "Dark theme"], ["system", "Theme as the system"]].map(([choice, name]) => ({ kind: "action", name, run: () => theme(choice) }));
  const languages = LANGUAGES.map(([tag, name]) => ({ kind: "language", name, run: () => choose(tag) }));
  const mine = [...own(), ...[...themes, { kind: "action", name: "Keyboard shortcuts", run: help }].map(shown), ...languages];
  /** @type {any[]} */
  let items = [];
  let at = 0;
  let timer = 0;
  let turn = 0;
  const list = el("ul", { class: "pal-l", role: "listbox", id: "pal-l", "aria-label": "Found" });
  const none = el("p", { class: "meta muted", hidden: true }, "Nothing is called that.");
  /** @type {(value?: any) => void} */
  let close = () => {};
  const field = el("input", { class: "inp", id: "pal", role: "combobox", autocomplete: "off", spellcheck: "false", "aria-label": "Go to or find", "aria-expanded": "true", "aria-controls": "pal-l", "aria-autocomplete": "list", "data-testid": "palette", placeholder: "Go to or find", oninput: ask,
    onkeydown: (e) => {
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[e.key];
      if (to !== undefined && (e.key.startsWith("Arrow") || !field.value)) { e.preventDefault(); move(to); }
      else if (e.key === "Enter" && items[at]) { e.preventDefault(); close(items[at]); }
    } });
  dialog("Go to or find", (done) => { close = done; return [field, list, none]; }).then((item) => {
    isOpen = false;
    clearTimeout(timer);
    if (!item) return;
    if (item.run) item.run(); else go(item.url);
  });
  field.closest("dialog")?.classList.add("pal");
  field.focus();
  ask();

  /** Ours at once, the project's a moment after the last letter. */
  function ask() {
    const text = field.value.trim().toLowerCase();
    const first = mine.map((one) => ({ ...one, fit: text ? fits(one.name, text) : 0 })).filter((one) => one.fit >= 0).sort((a, b) => b.fit - a.fit);
    draw(first, 0);
    clearTimeout(timer);
    if (who().role === "annotator") return;
    const mineNow = ++turn;
    timer = window.setTimeout(async () => {
      const found = await api(`find?q=${encodeURIComponent(text)}`).catch(() => []);
      if (mineNow === turn && isOpen) draw(text ? [...first, ...found] : [...found.slice(0, 4), ...first], at);
    }, text ? LATE_MS : 0);
  }

  function draw(found, keep) {
    items = found.slice(0, 40);
    at = Math.min(keep, Math.max(0, items.length - 1));
    fill(list, items.map((item, i) => el("li", { role: "option", id: `pal-${i}`, "aria-selected": String(i === at), onclick: () => close(item), onpointermove: () => { if (i !== at) move(i); } }, icon(SIGNS[item.kind] || "right"), el("span", { class: "grow clip", translate: item.isOurs ? null : "no" }, item.name), el("span", { class: "meta" }, item.kind))));
    none.hidden = items.length > 0;
    mark();
    if (field.value) live(items.length ? `${items.length} found` : "Nothing found");
  }

  function move(to) {
    if (!items.length) return;
    at = (to + items.length) % items.length;
    mark();
  }

  function mark() {
    [...list.children].forEach((node, i) => node.setAttribute("aria-selected", String(i === at)));
    list.children[at]?.scrollIntoView({ block: "nearest" });
    if (items.length) field.setAttribute("aria-activedescendant", `pal-${at}`); else field.removeAttribute("aria-activedescendant");
  }
}
