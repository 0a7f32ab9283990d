/**
 * Compare, the board: two to six sources on the same prompts and seeds, side by side, under a wipe, flickering, as a difference or as
 * a grid. Everything stands in the address, so that a link reproduces it.
 */
import { api, button, el, empty, fill, fmt, icon, kbd, keys, live, note, setQuery } from "/static/js/lib.js";
import { boardGrid } from "/static/js/board_grid.js";
import { boardSide } from "/static/js/board_side.js";
import { BoardView } from "/static/js/board_view.js";
import { read, write } from "/static/js/board_state.js";

const MODES = { side: ["Side", ""], wipe: ["Wipe", "v"], flicker: ["Flicker", ""], difference: ["Difference", "d"], grid: ["Grid", ""] };
const WINDOW = 60;
const GAINS = [1, 4, 16];

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const state = read(page.query);
  page.title("Board", [["Compare", "/compare"]]);
  const ui = { bar: el("div", { class: "bar" }), prompt: el("p", { class: "prompt", "data-testid": "prompt", translate: "no" }), film: el("div", { class: "film", role: "group", "aria-label": "Prompts" }), body: el("div", { class: "stagewrap" }), left: el("section", { class: "pane", "aria-label": "Pictures" }), side: el("aside", { class: "pane", "aria-label": "Board" }) };
  fill(main, ui.bar, el("div", { class: "panes cmp" }, ui.left, ui.side));
  const [known, sets] = await Promise.all([api("boards/sources"), api("prompt-sets")]);
  const set = sets.find((one) => one.id === state.set) || sets.find((one) => one.split === "heldout") || sets[0];
  if (!set) { fill(ui.left, empty({ title: "No prompts", text: "A board needs a set of prompts.", actions: [el("a", { class: "btn", href: "/prompts" }, "Add prompts")] })); return () => {}; }
  state.set = set.id;
  /** @type {any} */
  let data = null;
  let total = 0;
  let start = -1;
  /** @type {Set<string>} cells that were asked for */
  const asked = new Set();
  const view = new BoardView({ onlens: () => { drawZoom(); keep(); }, onwipe: (at) => { state.cut = at; keep(); }, ondraw: generate });
  view.lens.isShared = state.sync;
  view.lens.whole = state.view;
  view.wipe.to(state.cut);
  const side = boardSide({ state, known, sets, page, reload, redraw: draw, generate, missingCells, current, onjob: ended });
  const unbind = keys.bind("Board", bindings());
  await reload();
  return () => { unbind(); view.dispose(); side.dispose(); };

  function keep() { state.view = view.lens.whole; setQuery(write(state)); }

  /** Ask for the cells that this board shows, and draw it. */
  async function reload() {
    keep();
    if (!state.sources.length) { data = null; draw(); return; }
    const first = state.mode === "grid" ? state.at : Math.floor(state.at / WINDOW) * WINDOW;
    const many = state.mode === "grid" ? state.rows : WINDOW;
    const query = new URLSearchParams();
    try {
      const found = await api(`prompt-sets/${state.set}?offset=${first}&limit=${many}`);
      total = found.total;
      start = first;
      if (!found.prompts.length && state.at) { state.at = 0; await reload(); return; }
      state.sources.forEach((key) => query.append("source", key));
      found.prompts.forEach((prompt) => query.append("prompt", prompt.id));
      state.seeds.forEach((seed) => query.append("seed", seed));
      state.steps.forEach((n) => query.append("steps", n));
      state.guidances.forEach((g) => query.append("guidance", g));
      data = await api(`boards/cells?${query}`);
    } catch (error) {
      data = null;
      fill(ui.left, el("div", { class: "sec" }, note("This board cannot be shown", error.message)));
      fill(ui.side, side.node());
      drawBar();
      return;
    }
    draw();
  }

  /** The cells of the current prompt, one for each source in order; unlocked, each with its own seed. */
  function current() {
    const prompt = data?.prompts[state.mode === "grid" ? 0 : state.at - start];
    if (!prompt) return [];
    return state.sources.map((key, i) => {
      const seed = state.locked ? data.seeds[0] : data.seeds[i % data.seeds.length];
      return data.cells.find((c) => c.source === key && c.prompt_id === prompt.id && c.seed === seed && c.steps === data.steps[0] && c.guidance === data.guidances[0]);
    }).filter(Boolean);
  }

  /** What is missing of what this mode shows: of all prompts loaded, or of the grid. */
  function missingCells() {
    if (!data) return [];
    const wanted = data.cells.filter((cell) => {
      if (!cell.can_draw || asked.has(name(cell))) return false;
      if (state.mode === "grid") return axisShown(cell);
      const at = state.sources.indexOf(cell.source);
      const seed = state.locked ? data.seeds[0] : data.seeds[at % data.seeds.length];
      return cell.seed === seed && cell.steps === data.steps[0] && cell.guidance === data.guidances[0];
    });
    return [...new Map(wanted.map((cell) => [name(cell), cell])).values()];
  }

  function axisShown(cell) {
    const shown = [state.x, state.y];
    return (shown.includes("source") || cell.source === state.sources[0]) && (shown.includes("prompt") || cell.prompt_id === data.prompts[0].id) && (shown.includes("seed") || cell.seed === data.seeds[0])
      && (shown.includes("steps") || cell.steps === data.steps[0]) && (shown.includes("guidance") || cell.guidance === data.guidances[0]);
  }

  /** Queue the drawing of cells. @param {any[]} cells */
  async function generate(cells) {
    try {
      const { job_id, missing } = await api("boards/draw", { body: { cells: cells.map((c) => [c.source, c.prompt_id, c.seed, c.steps, c.guidance]) } });
      cells.forEach((cell) => asked.add(name(cell)));
      live(`${fmt.count(missing, "picture")} asked for.`);
      side.watch(job_id);
      draw();
    } catch (error) { side.say(note("Not drawn", error.message)); }
  }

  async function ended() { asked.clear(); await reload(); }

  // acting ----------------------------------------------------------------------------------------------

  function setMode(mode) {
    const wasGrid = state.mode === "grid";
    state.mode = mode;
    return wasGrid || mode === "grid" ? reload() : draw();
  }

  function pick(at) {
    state.at = Math.max(0, Math.min(total - 1, at));
    if (state.mode === "grid" || state.at < start || state.at >= start + WINDOW) reload(); else draw();
  }

  function move(by) {
    if (state.mode === "wipe") { view.wipe.nudge(by); live(`${state.cut} %`); } else pick(state.at + by);
  }

  function bindings() {
    const single = state.sources.map((_, i) => ({ id: `board.show.${i}`, keys: [String(i + 1)], label: `Show source ${i + 1} alone`, run: () => { if (state.mode !== "flicker") setMode("flicker"); turn(i); } }));
    return [
      { id: "board.wipe", keys: ["v"], label: "Wipe", run: () => setMode(state.mode === "wipe" ? "side" : "wipe") },
      { id: "board.difference", keys: ["d"], label: "Difference", run: () => setMode(state.mode === "difference" ? "side" : "difference") },
      { id: "board.flicker", keys: [" "], label: "Flicker", run: () => (state.mode === "flicker" ? turn(view.shown + 1) : view.flick(true)), up: () => view.flick(false) },
      { id: "board.left", keys: ["ArrowLeft"], label: "Move the wipe, or the prompt before", repeat: true, run: () => move(-1) },
      { id: "board.right", keys: ["ArrowRight"], label: "Move the wipe, or the next prompt", repeat: true, run: () => move(1) },
      { id: "board.next", keys: ["n"], label: "Next prompt", run: () => pick(state.at + 1) },
      { id: "board.zoom", keys: ["f"], label: "Zoom in and out", run: () => view.lens.set(view.lens.whole.z > 1 ? { z: 1, x: 0.5, y: 0.5 } : { ...view.lens.whole, z: 4 }) },
      { id: "board.in", keys: ["+", "="], label: "Zoom in", repeat: true, run: () => view.lens.zoom(1.25) },
      { id: "board.out", keys: ["-"], label: "Zoom out", repeat: true, run: () => view.lens.zoom(0.8) },
      ...[["ArrowLeft", -1, 0], ["ArrowRight", 1, 0], ["ArrowUp", 0, -1], ["ArrowDown", 0, 1]].map(([key, dx, dy]) => ({ id: `board.pan.${key}`, keys: [`Shift+${key}`], label: `Look ${String(key).slice(5).toLowerCase()}`, repeat: true, run: () => view.lens.pan(0.1 * Number(dx), 0.1 * Number(dy)) })),
      ...single];
  }

  function turn(i) { view.turn(i); state.shown = view.shown; keep(); }

  // drawing ---------------------------------------------------------------------------------------------

  function draw() {
    keep();
    drawBar();
    fill(ui.side, side.node());
    if (!data) { fill(ui.left, empty({ title: "Choose sources", text: "Models, checkpoints of runs, or the pictures you imported: two to six of them, drawn from the same noise." })); return; }
    const wait = (cell) => asked.has(name(cell));
    if (state.mode === "grid") {
      fill(ui.left, boardGrid({ data, x: state.x, y: state.y, size: state.tile, wait, ondraw: generate, onpick: (cell) => { state.at = start + data.prompts.findIndex((p) => p.id === cell.prompt_id); setMode("side"); } }));
      return;
    }
    const cells = current();
    ui.prompt.textContent = data.prompts[state.at - start]?.text ?? "";
    fill(ui.body, view.node);
    if (ui.left.firstChild !== ui.prompt) fill(ui.left, ui.prompt, ui.body, ui.film);
    view.show({ mode: state.mode, cells, names: data.sources.map((one) => one.name), pair: state.pair, shown: state.shown, gain: state.gain, wait });
    drawFilm();
  }

  function drawFilm() {
    fill(ui.film, data.prompts.map((prompt, i) => {
      const cell = data.cells.find((c) => c.prompt_id === prompt.id && c.picture);
      return el("button", { type: "button", title: prompt.text, "aria-current": start + i === state.at ? "true" : null, onclick: () => pick(start + i) },
        cell ? el("img", { src: cell.picture.url, alt: prompt.text, loading: "lazy", width: 64, height: 64 }) : el("span", { class: "skel", style: "width:64px;height:64px;display:block" }), el("span", null, start + i + 1));
    }));
    const now = /** @type {HTMLElement | null} */ (ui.film.querySelector("[aria-current]"));
    if (now) ui.film.scrollLeft = now.offsetLeft - ui.film.offsetLeft - (ui.film.clientWidth - now.offsetWidth) / 2; // never the page, as scrollIntoView would
  }

  function drawBar() {
    const lone = missingCells();
    fill(ui.bar, el("div", { class: "seg", role: "group", "aria-label": "Mode" }, Object.entries(MODES).map(([mode, [label, key]]) =>
      el("button", { type: "button", "aria-pressed": String(state.mode === mode), "data-testid": `mode-${mode}`, onclick: () => setMode(mode) }, label, key && kbd(key)))),
    state.mode === "difference" && el("div", { class: "seg", role: "group", "aria-label": "Times" }, GAINS.map((gain) => el("button", { type: "button", "aria-pressed": String(state.gain === gain), onclick: () => { state.gain = gain; draw(); } }, `× ${gain}`))),
    state.mode !== "grid" && [el("span", { class: "vsep" }), button("−", { kind: "quiet", size: "sm", title: "Zoom out", onclick: () => view.lens.zoom(0.5) }), zoomWord(), button("+", { kind: "quiet", size: "sm", title: "Zoom in", onclick: () => view.lens.zoom(2) }),
      el("label", { class: "row meta nowrap" }, el("input", { type: "checkbox", "data-testid": "sync-zoom", checked: state.sync, onchange: (e) => { state.sync = e.target.checked; view.lens.share(state.sync); keep(); } }), "Sync zoom")],
    el("span", { class: "grow" }),
    lone.length > 0 && button(`Draw the missing ${fmt.int(lone.length)}`, { size: "sm", testid: "draw-missing", onclick: () => generate(lone) }),
    button("Copy link", { kind: "quiet", size: "sm", icon: "link", onclick: async (e) => { await navigator.clipboard?.writeText(location.href); /** @type {any} */ (e.target).textContent = "Copied"; } }));
  }

  function zoomWord() { return el("span", { class: "meta tn", "data-testid": "zoom", style: "min-width:44px;text-align:center" }, fmt.pct(view.lens.whole.z)); }
  function drawZoom() { ui.bar.querySelector("[data-testid=zoom]")?.replaceWith(zoomWord()); }
}

const name = (cell) => [cell.source, cell.prompt_id, cell.seed, cell.steps, cell.guidance].join("\n");
