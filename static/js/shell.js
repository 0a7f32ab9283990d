/**
 * Starts pages: finds the frame that Gradio drew, wires theme, keys help and the run pulse, and mounts the page's module.
 *
 * A module exports `mount(main, page)` and may return (a promise of) a function that takes it down again; only then can the
 * next page be put in its place without loading the document anew.
 * @typedef {{api: typeof import("/static/js/lib.js").api, params: Record<string, string>, query: URLSearchParams, props: any,
 *   title: (text: string, crumbs?: [string, string][]) => void, subtitle: (text: string) => void, status: (...nodes: any[]) => void,
 *   go: (address: string) => void}} Page
 */
import { api, button, dialog, el, fill, fmt, icon, kbd, keys, note, poll } from "/static/js/lib.js";

const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @type {Array<() => void>} */
let undo = [];
let swappable = false;

// theme ---------------------------------------------------------------------------------------------------

const THEMES = { system: "As the system", light: "Light", dark: "Dark" };
const system = matchMedia("(prefers-color-scheme: dark)");
const chosen = () => localStorage.getItem("palate.theme") || "system";

function applyTheme() {
  const dark = chosen() === "dark" || (chosen() === "system" && system.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.body.classList.toggle("dark", dark);
  document.dispatchEvent(new CustomEvent("palate:theme"));
}

/** A small menu under the theme button. */
function themeMenu() {
  const open = document.querySelector(".menu");
  if (open) return open.remove();
  const close = (focus = true) => { menu.remove(); document.removeEventListener("pointerdown", outside); if (focus) $("theme").focus(); };
  const outside = (e) => { if (!menu.contains(e.target) && !$("theme").contains(e.target)) close(false); };
  const items = Object.entries(THEMES).map(([name, label]) => el("button", {
    role: "menuitemradio", "aria-checked": String(chosen() === name), "data-testid": `theme-${name}`,
    onclick: () => { localStorage.setItem("palate.theme", name); applyTheme(); close(); },
  }, icon(chosen() === name ? "check" : "none"), label));
  const menu = el("div", { class: "menu", role: "menu", "aria-label": "Theme", onkeydown: (e) => {
    const at = items.indexOf(/** @type {any} */ (document.activeElement));
    if (e.key === "Escape") close();
    else if (e.key === "ArrowDown") items[(at + 1) % 3].focus();
    else if (e.key === "ArrowUp") items[(at + 2) % 3].focus();
    else return;
    e.preventDefault();
  } }, items);
  $("overlay").append(menu);
  document.addEventListener("pointerdown", outside);
  (items.find((item) => item.getAttribute("aria-checked") === "true") || items[0]).focus();
}

// keys ----------------------------------------------------------------------------------------------------

const GO = [["t", "/", "Today"], ["l", "/label", "Label"], ["p", "/prompts", "Prompts"], ["r", "/runs", "Runs"],
  ["e", "/rewards", "Rewards"], ["c", "/compare", "Compare"], ["w", "/workers", "Workers"]];

keys.bind("Everywhere", [
  { id: "help", keys: ["?"], label: "Keyboard shortcuts", run: () => keysHelp() },
  ...GO.map(([key, path, label]) => ({ id: `go.${label.toLowerCase()}`, keys: [`g ${key}`], label: `Go to ${label}`, run: () => go(path) })),
]);

/** Ask for the next key pressed and give it to the binding. */
function capture(binding, cell, redraw) {
  fill(cell, el("span", { class: "meta muted" }, "press a key, Esc keeps it"));
  const listen = (e) => {
    if (["Shift", "Control", "Alt", "Meta"].includes(e.key)) return;
    e.preventDefault();
    e.stopPropagation();
    document.removeEventListener("keydown", listen, true);
    if (e.key !== "Escape") keys.remap(binding.id, [e.key.length === 1 ? e.key.toLowerCase() : e.key]);
    redraw();
  };
  document.addEventListener("keydown", listen, true);
}

function keysHelp() {
  if (document.querySelector("dialog[open]")) return;
  dialog("Keyboard shortcuts", () => {
    const host = el("div", { class: "keys" });
    const draw = () => fill(host,
      el("label", { class: "row meta switch-row" },
        el("input", { type: "checkbox", checked: keys.enabled(), "data-testid": "keys-on", onchange: (e) => keys.setEnabled(e.target.checked) }),
        "Single keys act (off: only buttons do)"),
      keys.bound().map((scope) => el("section", null, el("h3", null, scope.name), el("table", { class: "tbl" }, el("tbody", null,
        scope.bindings.map((binding) => {
          const cell = el("td", null, keys.keysOf(binding).map((key) => [kbd(key), " "]));
          return el("tr", null, el("td", null, binding.label), cell, el("td", { class: "num" },
            button("Change", { kind: "quiet", size: "sm", title: `Change the key for ${binding.label}`, onclick: () => capture(binding, cell, draw) }),
            keys.keysOf(binding) !== binding.keys && button("Default", { kind: "quiet", size: "sm", onclick: () => { keys.remap(binding.id, null); draw(); } })));
        }))))));
    draw();
    return host;
  }, { wide: true });
}

// run pulse -------------------------------------------------------------------------------------------------

/** One line in the bar about what runs now. */
async function pulse() {
  const node = $("pulse");
  if (!node) return;
  const { items } = await api("runs?status=running&limit=1");
  const run = items[0];
  node.hidden = !run;
  if (!run) return;
  node.setAttribute("href", `/runs/${run.id}`);
  fill(node, el("span", { class: "dot", style: "background:var(--ok)" }), el("span", null, "running"),
    el("span", { class: "faint" }, `${run.step} / ${run.num_steps}${Number.isFinite(run.eta_s) ? ` · ${fmt.span(run.eta_s)} left` : ""}`));
}

// pages ---------------------------------------------------------------------------------------------------

/** "/runs/{run_id}/rollouts" against the address → {run_id}. */
function paramsOf(template) {
  const parts = location.pathname.split("/");
  return Object.fromEntries(template.split("/").map((part, i) => [part.match(/^\{(\w+)(:\w+)?\}$/)?.[1], parts[i]]).filter(([name]) => name));
}

function setTitle(text, crumbs) {
  const heading = document.querySelector("#palate h1");
  if (heading) heading.textContent = text;
  document.title = `${text} · Palate`;
  if (crumbs) fill($("trail"), crumbs.map(([word, href]) => [el("a", { href }, word), el("span", { class: "sep" }, "/")]));
}

/** Mount the module that `<main>` names. */
async function start() {
  const main = $("main");
  const props = JSON.parse(main.dataset.props || "{}");
  setTitle(document.querySelector("#palate h1")?.textContent || "Palate");
  $("theme").onclick = themeMenu;
  const help = $("keys");
  if (help) help.onclick = keysHelp;
  if (props.pulse !== false) undo.push(poll(pulse, 5));
  try {
    const module = await import(main.dataset.module || "");
    const down = await module.mount(main, {
      api, props, params: paramsOf(main.dataset.path || ""), query: new URLSearchParams(location.search), go,
      title: setTitle, subtitle: (text) => fill($("subtitle"), text), status: (...nodes) => fill($("status"), ...nodes),
    });
    swappable = typeof down === "function";
    if (swappable) undo.push(down);
    document.documentElement.dataset.ready = location.pathname;
  } catch (error) {
    console.error(error);
    fill(main, el("div", { class: "sec" }, note("This page could not be shown", error.message,
      { actions: [button("Try again", { size: "sm", onclick: () => location.reload() })] })));
  }
}

/** The frame of another page, taken out of its document. @param {string} address */
async function frameOf(address) {
  const response = await fetch(address, { headers: { Accept: "text/html" } });
  const config = (await response.text()).match(/window\.gradio_config = (.*?);<\/script>/s);
  if (!response.ok || !config) return null;
  const parts = JSON.parse(config[1]).components.filter((part) => part.type !== "navbar");
  if (parts.length !== 1 || parts[0].type !== "html") return null;
  return new DOMParser().parseFromString(parts[0].props.value, "text/html").getElementById("palate");
}

/** Go to an address of the studio; without loading a document if both pages allow it.
 * @param {string} address @param {boolean} [push] */
export async function go(address, push = true) {
  const frame = swappable ? await frameOf(address).catch(() => null) : null;
  if (!frame) return push ? location.assign(address) : location.reload();
  undo.splice(0).forEach((down) => down());
  if (push) history.pushState(null, "", address);
  delete document.documentElement.dataset.ready;
  const palate = $("palate");
  palate.replaceChildren(...frame.childNodes);
  await start();
  $("main").focus({ preventScroll: true });
}

document.addEventListener("click", (e) => {
  const link = e.target instanceof Element ? e.target.closest("a[href]") : null;
  if (!link || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  if (link.classList.contains("skip")) { e.preventDefault(); $("main").focus(); return; }
  const url = new URL(link.getAttribute("href") || "", location.href);
  if (link.hasAttribute("download") || link.getAttribute("target") || url.origin !== location.origin) return;
  if (url.hash && url.pathname === location.pathname) return;
  if (/^\/(api|media|static)\//.test(url.pathname)) return;
  e.preventDefault();
  go(url.pathname + url.search + url.hash);
});
window.addEventListener("popstate", () => { if (!location.hash) go(location.pathname + location.search, false); });
system.addEventListener("change", applyTheme);
window.addEventListener("storage", (e) => { if (e.key === "palate.theme") applyTheme(); });

/** Start as soon as the frame is there. Gradio draws it before or after this module runs, whichever is faster.
 * @returns {boolean} */
function begin() {
  if (!$("palate")) return false;
  applyTheme();
  start();
  return true;
}

if (!begin()) {
  new MutationObserver((_, observer) => {
    if ($("palate")) { observer.disconnect(); begin(); }
  }).observe(document.documentElement, { childList: true, subtree: true });
}
