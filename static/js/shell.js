/**
 * Starts pages: finds the frame that Gradio drew, wires theme, keys help and the run pulse, and mounts the page's module.
 *
 * A module exports `mount(main, page)` and may return (a promise of) a function that takes it down again; only then can the
 * next page be put in its place without loading the document anew.
 * @typedef {{api: typeof import("/static/js/lib.js").api, params: Record<string, string>, query: URLSearchParams, props: any,
 *   title: (text: string, crumbs?: [string, string][], isName?: boolean) => void, subtitle: (text: string) => void, status: (...nodes: any[]) => void,
 *   go: (address: string) => void}} Page
 */
import { api, button, el, fill, fmt, icon, keys, note, poll, toast, who } from "/static/js/lib.js";
import { keepClicks } from "/static/js/clicks.js";
import { keysHelp } from "/static/js/keys_help.js";
import { palette } from "/static/js/palette.js";

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
    onclick: () => { setTheme(name); close(); },
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

const GO = [["t", "/", "Today"], ["l", "/label", "Label"], ["s", "/studies", "Studies"], ["p", "/prompts", "Prompts"], ["r", "/runs", "Runs"],
  ["e", "/rewards", "Rewards"], ["c", "/compare", "Compare"], ["b", "/leaderboard", "Leaderboard"], ["w", "/workers", "Workers"], ["m", "/people", "People"], ["y", "/you", "You"]];

/** Keys for the pages that stand on the rail of whoever asks. */
function bindGo() {
  const pages = GO.filter(([, path]) => document.querySelector(`#palate .rail a[href="${path}"]`));
  keys.bind("Everywhere", [
    { id: "help", keys: ["?"], label: "Keyboard shortcuts", run: () => keysHelp() },
    ...pages.map(([key, path, label]) => ({ id: `go.${label.toLowerCase()}`, keys: [`g ${key}`], label: `Go to ${label}`, run: () => go(path) })),
    ...(pages.some(([key]) => key === "r") ? [{ id: "go.rollouts", keys: ["g o"], label: "Go to Rollouts of the newest run", run: () => goNewest("runs?limit=1", (id) => `/runs/${id}/rollouts`, "/runs") }] : []),
    ...(pages.some(([key]) => key === "s") ? [{ id: "go.quality", keys: ["g q"], label: "Go to Quality of the newest study", run: () => goNewest("studies", (id) => `/studies/${id}/quality`, "/studies") }] : []),
  ]);
}

/** To a page of the newest thing, or to their list when there is none. @param {string} path @param {(id: number) => string} address @param {string} list */
async function goNewest(path, address, list) {
  const found = await api(path).catch(() => []);
  const newest = (found.items || found).reduce((one, other) => (one && one.id > other.id ? one : other), null);
  go(newest ? address(newest.id) : list);
}

const setTheme = (name) => { localStorage.setItem("palate.theme", name); applyTheme(); };
const openPalette = () => palette({ go, theme: setTheme, help: keysHelp });

// A combination, so it may act while somebody types.
document.addEventListener("keydown", (e) => {
  if ((e.ctrlKey || e.metaKey) && !e.shiftKey && !e.altKey && e.key.toLowerCase() === "k") { e.preventDefault(); openPalette(); }
});

// who asks ------------------------------------------------------------------------------------------------

/** Two letters for a name. @param {string} name */
const initials = (name) => name.split(/\s+/).filter(Boolean).slice(0, 2).map((word) => [...word][0].toUpperCase()).join("");

function drawYou() {
  const { name, role } = who();
  const node = $("you");
  node.textContent = initials(name);
  node.title = `You: ${name}, ${role}`;
  node.setAttribute("aria-label", node.title);
}

let saidOut = false;
document.addEventListener("palate:signed-out", () => {
  if (saidOut) return;
  saidOut = true;
  toast("You are signed out. What you judged is kept in this browser.", { sign: "lock", tone: "warn", seconds: 86400, action: "Sign in",
    onaction: () => location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`) });
});

// run pulse -------------------------------------------------------------------------------------------------

/** One line in the bar about what runs now; a page that sees a run begin, end or be asked to says so with "palate:run". */
async function pulse() {
  const node = $("pulse");
  if (!node) return;
  const { items } = await api("runs?status=running&limit=1");
  const run = items[0];
  node.hidden = !run;
  if (!run) return;
  node.setAttribute("href", `/runs/${run.id}`);
  const word = { pause: "pausing", stop: "stopping", halt: "stopping" }[run.wanted] || "running";
  fill(node, el("span", { class: "dot", style: "background:var(--ok)" }), el("span", null, word),
    el("span", { class: "faint" }, `${run.step} / ${run.num_steps}${Number.isFinite(run.eta_s) ? ` · ${fmt.span(run.eta_s)} left` : ""}`));
}

// pages ---------------------------------------------------------------------------------------------------

/** "/runs/{run_id}/rollouts" against the address → {run_id}. */
function paramsOf(template) {
  const parts = location.pathname.split("/");
  return Object.fromEntries(template.split("/").map((part, i) => [part.match(/^\{(\w+)(:\w+)?\}$/)?.[1], parts[i]]).filter(([name]) => name));
}

/** A name stays as it was written; a crumb is one where its address is of one thing. */
function setTitle(text, crumbs, isName = false) {
  const heading = document.querySelector("#palate h1");
  for (const node of [heading, document.querySelector("title")]) if (node && isName) node.setAttribute("translate", "no"); else node?.removeAttribute("translate");
  if (heading) heading.textContent = text;
  document.title = `${text} · Palate`;
  if (crumbs) fill($("trail"), crumbs.map(([word, href]) => [el("a", { href, translate: /\d/.test(href) ? "no" : null }, word), el("span", { class: "sep" }, "/")]));
}

/** Mount the module that `<main>` names. */
async function start() {
  const main = $("main");
  const props = JSON.parse(main.dataset.props || "{}");
  setTitle(document.querySelector("#palate h1")?.textContent || "Palate");
  $("theme").onclick = themeMenu;
  $("find").onclick = openPalette;
  if (/Mac|iPhone|iPad/.test(navigator.platform)) fill(/** @type {HTMLElement} */ ($("find").querySelector("kbd")), "⌘ K");
  const help = $("keys");
  if (help) help.onclick = keysHelp;
  drawYou();
  const rail = /** @type {HTMLElement} */ (document.querySelector("#palate .rail"));
  const here = /** @type {HTMLElement | null} */ (rail.querySelector("[aria-current]"));
  if (here) rail.scrollLeft = here.offsetLeft + here.offsetWidth - rail.clientWidth; // on a phone it is longer than the screen
  if (props.pulse !== false && who().role !== "annotator") {
    const changed = () => { pulse().catch(() => {}); }; // the next round asks again
    document.addEventListener("palate:run", changed);
    undo.push(poll(pulse, 5), () => document.removeEventListener("palate:run", changed));
  }
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
  palate.dataset.who = frame.dataset.who || "";
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
  /** @type {any} */ (window.requestAnimationFrame).end?.(); // see head.html
  $("palate").parentElement?.closest("main")?.setAttribute("role", "presentation"); // Gradio's: a page has one main part, and it is ours
  applyTheme();
  keepClicks();
  bindGo();
  start();
  return true;
}

if (!begin()) {
  new MutationObserver((_, observer) => {
    if ($("palate")) { observer.disconnect(); begin(); }
  }).observe(document.documentElement, { childList: true, subtree: true });
}
