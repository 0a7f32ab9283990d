/**
 * Compare: a tuned model and its base on the same prompts and seeds. Blind first: which picture is whose stays hidden until
 * twenty votes are stored, or until it is asked for. Then side by side or under a wipe, with the result and its interval.
 */
import { api, button, dialog, el, empty, fill, fmt, icon, kbd, keys, live, note, poll, redraw, setQuery } from "/static/js/lib.js";
import { form } from "/static/js/form.js";
import { Judge } from "/static/js/judge.js";
import { Stage } from "/static/js/stage.js";
import { jobPill, savedPill, share } from "/static/js/views.js";

const BLIND_VOTES = 20;
const MODES = { blind: "Blind vote", side: "Side", wipe: "Wipe" };
const CHOICES = [["left", "A is better", ["a", "ArrowLeft", "1"]], ["right", "B is better", ["b", "ArrowRight", "2"]], ["tie", "Tie", ["ArrowUp", "3"]], ["both_bad", "Both bad", ["ArrowDown", "4"]]];
const SHORT = { left: "A", right: "B", tie: "tie", both_bad: "both bad", skip: "skipped" };

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  if (page.query.has("sources")) return (await import("/static/js/board.js")).mount(main, page);
  const id = Number(page.query.get("id"));
  return id ? one(main, page, id) : list(main, page);
}

// the list ----------------------------------------------------------------------------------------------------

async function list(main, page) {
  const side = el("aside", { class: "pane scroll", "aria-label": "New comparison" });
  const table = el("section", { class: "pane scroll", "aria-label": "Comparisons" });
  fill(main, el("div", { class: "panes cmp" }, table, side));
  let seen = "";
  const refresh = async () => {
    const rows = await api("comparisons");
    if (JSON.stringify(rows) === seen) return;
    seen = JSON.stringify(rows);
    fill(table, rows.length ? comparisons(rows) : empty({ title: "Nothing compared yet", text: "A comparison draws the same prompts with the same seeds, once by the base and once by the tuned model. Then you judge the pictures without knowing whose they are." }));
  };
  const [policies, sets] = await Promise.all([api("policies"), api("prompt-sets")]).catch((error) => { fill(side, el("div", { class: "sec" }, note("Models and prompts are not there", error.message))); return [[], []]; });
  fill(side, look(policies), create(page, policies, sets));
  await refresh().catch((error) => fill(table, el("div", { class: "sec" }, note("The comparisons are not there", error.message))));
  return poll(refresh, 3);
}

function comparisons(rows) {
  return el("table", { class: "tbl pad", "data-testid": "comparisons" },
    el("thead", null, el("tr", null, el("th", null, "comparison"), el("th", null, "status"), el("th", { class: "num opt" }, "prompts"), el("th", { class: "num opt" }, "votes"), el("th", { class: "num" }, "tuned wins, people"), el("th", { class: "num opt" }, "tuned wins, simulated"), el("th", { class: "num opt" }, "made"))),
    el("tbody", null, rows.map((row) => {
      const people = row.by?.people || row;
      const simulated = row.by?.simulated || {};
      const open = (people.pairs ?? 0) >= BLIND_VOTES;
      return el("tr", null, el("td", null, el("a", { class: "strong", translate: "no", href: `/compare?id=${row.id}` }, row.name)),
        el("td", null, row.status === "drawing" ? el("span", { class: "pill muted" }, icon("clock"), `drawing ${Math.floor((row.progress || 0) * 100)} %`) : jobPill(row.status)),
        el("td", { class: "num opt" }, fmt.int(row.num_prompts)), el("td", { class: "num opt" }, fmt.int(count(people.votes))),
        el("td", { class: "num" }, open ? share(people.win_rate, people.low, people.high) : el("span", { class: "faint", title: `Shown after ${BLIND_VOTES} votes` }, "hidden")),
        el("td", { class: "num opt" }, count(simulated.votes) ? share(simulated.win_rate, simulated.low, simulated.high) : el("span", { class: "faint" }, "–")), el("td", { class: "num muted opt" }, fmt.ago(row.created_at)));
    })));
}

const count = (votes) => Object.entries(votes || {}).reduce((sum, [name, n]) => sum + (name === "skip" ? 0 : n), 0);

/** The way to a board: the newest tuned model beside its base, to begin with. */
function look(policies) {
  const base = policies.find((policy) => !policy.run_id);
  const other = policies.filter((policy) => policy.run_id).at(-1) || policies.filter((policy) => policy !== base).at(-1);
  const first = [base, other].filter(Boolean).map((policy) => `policy:${policy.id}`);
  return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", null, "Look")), el("p", { class: "meta muted" }, "Two to six models, checkpoints or imported pictures on the same prompts and seeds: side by side, wipe, flicker, difference, grid."),
    el("div", { class: "row", style: "margin-top:8px" }, el("a", { class: "btn", href: `/compare?sources=${first.join(",")}`, "data-testid": "open-board" }, icon("compare"), "Open a board"),
      el("a", { class: "btn quiet", href: "/best-of-n" }, "Best of N")));
}

function create(page, policies, sets) {
  const tuned = policies.filter((policy) => policy.run_id);
  if (!policies.length || !sets.length) return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", null, "New comparison")), el("p", { class: "muted" }, "It needs a model and prompts. ", el("a", { class: "link", href: "/" }, "Load the demo"), "."));
  if (!tuned.length) return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", null, "New comparison")), el("p", { class: "muted" }, "There is no tuned model yet. ", el("a", { class: "link", href: "/runs/new" }, "Set up a run"), " and come back when it is done."));
  const select = (key, label, options, value) => el("div", { class: "field" }, el("label", { for: `c-${key}` }, label), el("select", { class: "sel", id: `c-${key}`, "data-testid": key }, options.map(([v, text]) => el("option", { value: v, selected: v === value, translate: "no" }, text))));
  const wanted = Number(page.query.get("tuned")) || tuned[0].id;
  const held = sets.find((set) => set.split === "heldout") || sets[0];
  const fields = form(page.props.settings);
  const said = el("div");
  const panel = el("section", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", null, "New comparison")), el("div", { class: "stack" },
    select("tuned_policy_id", "Tuned", policies.map((p) => [p.id, p.name]), wanted),
    select("base_policy_id", "Base", policies.map((p) => [p.id, p.name]), policies.find((p) => !p.run_id)?.id),
    select("prompt_set_id", "Prompt set", sets.map((set) => [set.id, set.name]), held.id), fields.node,
    el("div", { class: "row" }, button("Draw both", { kind: "primary", size: "lg", testid: "create-comparison", onclick: async () => {
      if (!fields.check()) return;
      const value = (key) => Number(/** @type {HTMLSelectElement} */ (panel.querySelector(`#c-${key}`)).value);
      try {
        const made = await api("comparisons", { body: { base_policy_id: value("base_policy_id"), tuned_policy_id: value("tuned_policy_id"), prompt_set_id: value("prompt_set_id"), ...fields.read() } });
        page.go(`/compare?id=${made.id}`);
      } catch (error) { fill(said, note("Not drawn", error.message)); }
    } })), said));
  return panel;
}

// one comparison ------------------------------------------------------------------------------------------------

async function one(main, page, id) {
  let row;
  try { row = await api(`comparisons/${id}`); } catch (error) {
    fill(main, el("div", { class: "sec" }, note("This comparison is not there", error.message, { actions: [el("a", { class: "btn sm", href: "/compare" }, "All comparisons")] })));
    return () => {};
  }
  page.title(`Comparison ${id}`, [["Compare", "/compare"]]);
  if (row.status !== "ready") return drawing(main, page, row);
  const state = { mode: MODES[page.query.get("mode")] ? page.query.get("mode") : "blind", asked: page.query.get("reveal") === "1", view: "side", at: Number(page.query.get("prompt")) || 0 };
  /** @type {any[] | null} */
  let cells = null;
  /** @type {{choice: string, prompt: string, seconds: number}[]} */
  const mine = [];
  const judge = new Judge({ comparison: id });
  const revealing = button("Show names now", { size: "sm", testid: "reveal", onclick: ask });
  const stage = new Stage({ tags: ["A", "B"], onpick: (side) => state.mode === "blind" && vote(side) });
  const [buttons, told] = [0, 1].map(() => el("div", { style: "display:contents" }));
  const ui = { vote: buttons, told, bar: el("div", { class: "bar cmp-bar" }), prompt: el("p", { class: "prompt", "data-testid": "prompt", translate: "no" }), film: el("div", { class: "film", role: "group", "aria-label": "Prompts" }), side: el("aside", { class: "pane", "aria-label": "Verdict" }, buttons, told), left: el("section", { class: "pane", "aria-label": "Pictures" }) };
  fill(main, ui.bar, el("div", { class: "panes cmp" }, ui.left, ui.side));
  const unbind = keys.bind("Compare", bindings());
  judge.addEventListener("pair", draw);
  judge.addEventListener("state", () => { if (state.mode === "blind") draw(); });
  judge.outbox.addEventListener("sent", refreshResult);
  await judge.start();
  await setMode(state.mode);
  return () => { judge.stop(); stage.dispose(); unbind(); page.subtitle(""); };

  /** Votes that the server has. */
  function stored() { return Math.max(0, judge.state.done - judge.state.kept); }
  function open() { return state.asked || stored() >= BLIND_VOTES; }

  async function refreshResult() {
    row = await api(`comparisons/${id}${state.asked ? "?reveal=1" : ""}`).catch(() => row);
    drawSide();
  }

  async function setMode(mode) {
    state.mode = mode;
    setQuery({ mode: mode === "blind" ? null : mode, prompt: mode === "blind" ? null : state.at || null });
    if (mode !== "blind" && open() && !cells) {
      await judge.outbox.flush(); // the vote of a moment ago is in the result
      const full = await api(`comparisons/${id}?reveal=1`);
      row = full;
      cells = full.cells;
    }
    if (mode !== "blind") state.view = mode;
    stage.setView(state.view);
    draw();
  }

  function reveal() {
    state.asked = true;
    setQuery({ reveal: 1 });
    live("Names are shown.");
    return setMode(state.mode === "blind" ? "side" : state.mode);
  }

  function vote(choice) {
    const ready = judge.current;
    if (state.mode !== "blind" || !ready) return;
    mine.unshift({ choice, prompt: ready.pair.prompt, seconds: Date.now() / 1000 - ready.shown });
    judge.vote({ choice, reasons: [], comment: "" });
    live(`${SHORT[choice]}. ${judge.current?.pair.prompt ?? "No more pairs."}`);
    if (document.activeElement instanceof HTMLButtonElement) main.focus({ preventScroll: true });
  }

  async function undo() {
    if (state.mode !== "blind") return;
    if (await judge.undo()) { mine.shift(); live("Undone."); } else live("There is nothing to undo.");
    draw();
  }

  function move(by) {
    if (state.mode === "blind") { if (state.view === "wipe") stage.nudge(by); return; }
    if (state.mode === "wipe") stage.nudge(by); else pick(state.at + by);
  }

  function pick(index) {
    if (!cells?.length) return;
    state.at = Math.max(0, Math.min(cells.length - 1, index));
    setQuery({ prompt: state.at || null });
    draw();
  }

  function toggleWipe() {
    if (state.mode === "blind") { state.view = state.view === "wipe" ? "side" : "wipe"; stage.setView(state.view); draw(); return; }
    setMode(state.mode === "wipe" ? "side" : "wipe");
  }

  function bindings() {
    const act = (choice, key) => (key === "ArrowLeft" || key === "ArrowRight") && (state.mode !== "blind" || state.view === "wipe") ? move(key === "ArrowLeft" ? -1 : 1) : vote(choice);
    return [...CHOICES.map(([choice, label, on]) => ({ id: `compare.${choice}`, keys: on, label, repeat: true, run: (e) => { if (!e.repeat || e.key.startsWith("Arrow") && state.view === "wipe") act(choice, e.key); } })),
      { id: "compare.skip", keys: ["n"], label: "Next without a vote", run: () => (state.mode === "blind" ? vote("skip") : pick(state.at + 1)) },
      { id: "compare.undo", keys: ["z"], label: "Undo", run: undo },
      { id: "compare.wipe", keys: ["v"], label: "Wipe", run: toggleWipe },
      { id: "compare.zoom", keys: ["f"], label: "Zoom both", run: () => stage.zoom() },
      { id: "compare.flicker", keys: [" "], label: "Flicker while held", run: () => stage.flick(true), up: () => stage.flick(false) }];
  }

  // drawing -----------------------------------------------------------------------------------------------

  function draw() {
    drawBar();
    drawSide();
    if (state.mode === "blind") return drawBlind();
    if (!open()) return veil();
    if (!cells) return;
    const cell = cells[state.at];
    if (!cell) return fill(ui.left, empty({ title: "No pictures", text: "This comparison has no pairs." }));
    const width = cell.width || 64;
    stage.show(picture(cell.base_url, "base"), picture(cell.tuned_url, "tuned"), { width, height: cell.height || width });
    stage.tag([row.base || "base", row.tuned || "tuned"]);
    ui.prompt.textContent = cell.prompt;
    fillOnce(ui.left, [ui.prompt, wrap(stage.node), ui.film]);
    drawFilm();
  }

  function drawBlind() {
    stage.tag(["A", "B"]);
    const ready = judge.current;
    if (!ready) {
      if (judge.state.phase === "loading") return;
      fill(ui.left, judge.state.phase === "offline" ? el("div", { class: "sec" }, note("No connection", judge.state.error, { tone: "warn" }))
        : empty({ title: "Every pair is judged", text: "Thank you. The result is in.", actions: [button("Show names and result", { kind: "primary", size: "lg", onclick: reveal })] }));
      return;
    }
    stage.show(ready.pictures[0], ready.pictures[1], { width: Math.max(ready.pair.left.width, ready.pair.right.width), height: Math.max(ready.pair.left.height, ready.pair.right.height) });
    ui.prompt.textContent = ready.pair.prompt;
    fillOnce(ui.left, [ui.prompt, wrap(stage.node)]);
  }

  function veil() {
    fill(ui.left, el("div", { class: "veil" }, icon("eyeoff"), el("h2", null, "Names are hidden"),
      el("p", { class: "muted" }, `They show after ${BLIND_VOTES} votes, so that the votes are blind. ${stored()} are stored.`),
      el("div", { class: "row" }, button("Vote blind", { kind: "primary", onclick: () => setMode("blind") }), button("Show names now", { testid: "reveal", onclick: reveal }))));
  }

  function drawBar() {
    page.status(savedPill(judge.state));
    fill(ui.bar, el("div", { class: "seg", role: "group", "aria-label": "Mode" }, Object.entries(MODES).map(([mode, label]) =>
      el("button", { type: "button", "aria-pressed": String(state.mode === mode), "data-testid": `mode-${mode}`, onclick: () => setMode(mode) }, label, mode === "wipe" && kbd("v")))),
    state.mode === "blind" && [el("span", { class: "vsep" }), el("span", { class: "pill muted" }, icon("eyeoff"), "names hidden")], el("span", { class: "grow" }),
    el("span", { class: "meta muted" }, `${fmt.count(row.num_prompts, "prompt")}, same seeds`),
    state.mode !== "blind" && open() && el("a", { class: "btn quiet sm", href: `/compare?sources=policy:${row.base_policy_id},policy:${row.tuned_policy_id}&set=${row.prompt_set_id}&seed=${row.seed}&prompt=${state.at}` }, icon("zoom"), "Look closer"),
    button("Copy link", { kind: "quiet", size: "sm", icon: "link", onclick: async (e) => { await navigator.clipboard?.writeText(location.href); /** @type {any} */ (e.target).textContent = "Copied"; } }));
  }

  function drawFilm() {
    if (ui.film.childElementCount !== cells.length) {
      fill(ui.film, cells.map((cell, i) => el("button", { type: "button", title: cell.prompt, onclick: () => pick(i) }, el("img", { src: cell.tuned_url, alt: cell.prompt, loading: "lazy", width: 64, height: 64 }), el("span", null, i + 1))));
    }
    [...ui.film.children].forEach((node, i) => { if (i === state.at) { node.setAttribute("aria-current", "true"); node.scrollIntoView({ block: "nearest", inline: "nearest" }); } else node.removeAttribute("aria-current"); });
  }

  function drawSide() {
    const blind = state.mode === "blind";
    redraw(ui.vote, [blind, !judge.current, judge.state.canUndo], () => fill(ui.vote, blind && voting()));
    fill(ui.told, blind ? names() : null, open() && resultSection(row), blind ? sources() : cellSection(), blind && mine.length ? last() : null, hints());
  }

  function voting() {
    return [el("div", { class: "pane-h" }, el("h2", null, "Which is better?")), el("div", { class: "sec" },
      el("div", { class: "vote" }, CHOICES.map(([choice, label, on]) => el("button", { type: "button", class: "btn", "data-testid": `answer-${choice}`, disabled: !judge.current, onclick: () => vote(choice) }, label, kbd(on[0])))),
      el("div", { class: "row", style: "margin-top:8px" }, button("Undo", { kind: "quiet", size: "sm", icon: "undo", key: "z", testid: "undo", disabled: !judge.state.canUndo, onclick: undo }), el("span", { class: "grow" }),
        button("Next without a vote", { kind: "quiet", size: "sm", key: "n", testid: "skip", disabled: !judge.current, onclick: () => vote("skip") })))];
  }

  function names() {
    const done = Math.min(stored(), BLIND_VOTES);
    const pace = judge.pace();
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, "Names"), open() ? el("a", { class: "link meta", href: `/compare?id=${id}&mode=side${state.asked ? "&reveal=1" : ""}` }, "Show") : el("span", { class: "pill muted" }, icon("eyeoff"), "hidden")),
      open() ? el("p", { class: "meta muted" }, "You may look now. Votes you still give stay blind: sides are drawn anew for each pair.")
        : [el("p", { class: "meta muted" }, `Shown after ${BLIND_VOTES} votes, or when you ask. A vote is stored before a name can appear.`),
          el("div", { style: "margin:10px 0 4px" }, el("span", { class: "meter go" }, el("b", { style: `width:${(100 * done) / BLIND_VOTES}%` }))),
          el("div", { class: "row meta" }, el("span", { class: "grow", "data-testid": "votes" }, `${done} of ${BLIND_VOTES} votes`), done > 0 && Number.isFinite(pace) && el("span", { class: "muted" }, `${pace.toFixed(1)} s a vote`)),
          el("div", { class: "row", style: "margin-top:8px" }, revealing)]);
  }

  async function ask() {
    const yes = await dialog("Show names now?", (close) => [el("p", { class: "muted" }, `${stored()} of ${BLIND_VOTES} votes are stored. The more there are before you look, the more the result can be trusted.`),
      el("div", { class: "row dialog-f" }, button("Show names", { onclick: () => close(true), testid: "reveal-yes" }), el("span", { class: "grow" }), button("Keep voting", { kind: "primary", onclick: () => close(false) }))]);
    if (yes) reveal();
  }

  function sources() {
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", null, "Compared")),
      ["A", "B"].map((letter) => el("div", { class: "src" }, el("b", { class: "k" }, letter), el("div", null, `Source ${letter === "A" ? "one" : "two"}`, el("div", { class: "meta muted" }, "hidden · same seed")))),
      el("p", { class: "meta muted", style: "margin-top:6px" }, "Which source is A is drawn anew for each prompt."));
  }

  function cellSection() {
    const cell = cells?.[state.at];
    if (!cell) return null;
    const found = [...new Set([...Object.keys(cell.rewards?.base || {}), ...Object.keys(cell.rewards?.tuned || {})])];
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, `Prompt ${state.at + 1} of ${cells.length}`), el("span", { class: "meta muted mono" }, `seed ${cell.seed}`)),
      found.length ? el("table", { class: "tbl" }, el("thead", null, el("tr", null, el("th", null, "reward"), el("th", { class: "num" }, "base"), el("th", { class: "num" }, "tuned"))),
        el("tbody", null, found.map((name) => el("tr", null, el("td", null, name), el("td", { class: "num" }, fmt.num(cell.rewards.base?.[name])), el("td", { class: "num" }, fmt.num(cell.rewards.tuned?.[name])))))) : el("p", { class: "meta muted" }, "These pictures have not been scored by a reward."));
  }

  function last() {
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", null, "Your last votes")), el("table", { class: "tbl" }, el("tbody", null, mine.slice(0, 5).map((entry) =>
      el("tr", null, el("td", { class: "clip", translate: "no" }, entry.prompt), el("td", { class: "num" }, SHORT[entry.choice]), el("td", { class: "num faint" }, `${entry.seconds.toFixed(1)} s`))))));
  }

  function hints() {
    const wipe = state.view === "wipe";
    return el("div", { class: "sec foot" }, el("div", { class: "row meta faint" }, el("span", null, kbd("v"), wipe ? " side" : " wipe"), wipe && el("span", null, kbd("ArrowLeft"), " ", kbd("ArrowRight"), " move it"),
      state.mode === "side" && el("span", null, kbd("ArrowLeft"), " ", kbd("ArrowRight"), " prompt"), el("span", null, kbd(" "), " flicker"), el("span", null, kbd("f"), " zoom")));
  }
}

/** @type {Map<string, HTMLImageElement>} */
const pictures = new Map();

function picture(url, alt) {
  const known = pictures.get(`${alt}${url}`);
  if (known) return known;
  const image = el("img", { src: url, alt, draggable: "false" });
  pictures.set(`${alt}${url}`, image);
  return image;
}

const wraps = new WeakMap();
function wrap(node) {
  if (!wraps.has(node)) wraps.set(node, el("div", { class: "stagewrap" }, node));
  return wraps.get(node);
}

/** Replace children only when they differ: pictures must not blink. */
function fillOnce(node, children) {
  if (node.childElementCount !== children.length || children.some((child, i) => node.children[i] !== child)) fill(node, children);
}

/** Tuned against base: share of wins with its Wilson interval, people and simulated apart. */
function resultSection(row) {
  return el("div", { class: "sec", "data-testid": "result" }, el("div", { class: "sec-h" }, el("h2", null, "Result")),
    [["people", "people"], ["simulated", "simulated annotators"]].map(([key, word]) => {
      const part = row.by?.[key];
      const votes = part?.votes;
      if (!count(votes)) return key === "people" ? el("p", { class: "meta muted" }, "No votes by people yet.") : null;
      if (!Number.isFinite(part.win_rate)) return el("p", { class: "meta muted" }, `Only ties that say both are bad, by ${word}.`);
      const says = part.low > 0.5 ? "Tuned is better." : part.high < 0.5 ? "Base is better." : "Not separable yet.";
      return el("div", { class: "verdict" }, el("div", { class: "row" }, el("span", { class: "figure", "data-testid": `win-rate-${key}` }, fmt.pct(part.win_rate)), el("span", { class: "meta muted grow" }, `tuned wins, ${word}`)),
        el("div", { class: "winbar", role: "img", "aria-label": `95 % interval ${fmt.pct(part.low)} to ${fmt.pct(part.high)}` }, el("span", { class: "half" }), el("span", { class: "iv", style: `left:${part.low * 100}%;width:${(part.high - part.low) * 100}%` }), el("span", { class: "pt", style: `left:${part.win_rate * 100}%` })),
        el("p", { class: "meta" }, el("b", { class: "strong" }, says), el("span", { class: "muted" }, ` 95 % interval ${fmt.pct(part.low)} to ${fmt.pct(part.high)}.`)),
        el("p", { class: "meta muted" }, `${votes.tuned} tuned · ${votes.base} base · ${votes.tie} tie · ${votes.both_bad} both bad`));
    }));
}

/** Still being drawn, or failed. */
function drawing(main, page, row) {
  const host = el("div", { class: "veil" });
  fill(main, host);
  const refresh = async () => {
    const now = await api(`comparisons/${row.id}`);
    if (now.status === "ready") { page.go(location.pathname + location.search); return; }
    fill(host, now.status === "failed" ? note("This comparison could not be drawn", now.error || "See Workers for the cause.", { actions: [el("a", { class: "btn sm", href: "/workers" }, "Workers"), el("a", { class: "btn sm", href: "/compare" }, "All comparisons")] })
      : [el("h2", null, "Drawing both"), el("p", { class: "muted" }, `${fmt.count(now.num_prompts, "prompt")}, each by base and tuned with the same seed.`), el("span", { class: "meter go", style: "width:280px" }, el("b", { style: `width:${100 * (now.progress || 0)}%` })), el("span", { class: "meta muted tn" }, `${Math.floor(100 * (now.progress || 0))} %`),
        now.job_id && button("Stop", { size: "sm", onclick: () => api(`jobs/${now.job_id}/stop`, { method: "POST" }) })]);
  };
  return poll(refresh, 1);
}
