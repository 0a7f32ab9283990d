/** Beside a board: its sources, seeds and settings, what the rewards say of the prompt, the job that draws, and the blind vote. */
import { api, button, el, fill, fmt, icon, kept, note } from "/static/js/lib.js";
import { AXES } from "/static/js/board_grid.js";
import { letter } from "/static/js/board_view.js";
import { watchJob } from "/static/js/jobs.js";

const MOST = 6;

/** @param {any} options what board.js hands over */
export function boardSide({ state, known, sets, page, reload, redraw, current, onjob }) {
  const job = el("div", { class: "jobhost", "data-testid": "board-job" });
  let stop = () => {};
  const options = [
    ...known.policies.map((one) => [`policy:${one.id}`, one.name]),
    ...known.runs.flatMap((run) => steps(run).map((step) => [`run:${run.id}@${step}`, `${run.name} @ ${step}`])),
    ...(known.imported ? [["imported", "imported pictures"]] : []),
  ];
  const nameOf = (key) => options.find(([value]) => value === key)?.[1] || key;
  return { node, dispose: () => stop(), say: (what) => fill(job, what),
    watch(id) { stop(); stop = watchJob(job, id, { title: "Drawing the missing", onend: onjob }); } };

  function node() { return [job.childElementCount ? el("div", { class: "sec" }, job) : null, sources(), settings(), state.mode === "grid" ? axes() : said(), state.mode === "grid" ? null : vote()]; }

  function sources() {
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, "Sources"), el("span", { class: "meta muted" }, `${state.sources.length} of ${MOST}`)),
      state.sources.map((key, i) => el("div", { class: "src mid" }, el("b", { class: "k" }, letter(i)), el("div", { class: "row" }, el("span", { class: "grow clip", translate: "no", title: nameOf(key) }, nameOf(key)),
        pairMark(i), el("button", { type: "button", class: "btn quiet sm icon", "aria-label": `Remove ${kept(nameOf(key))}`, onclick: () => { state.sources.splice(i, 1); state.pair = [0, Math.min(1, Math.max(0, state.sources.length - 1))]; reload(); } }, icon("x"))))),
      state.sources.length < MOST && el("select", { class: "sel", style: "width:100%;margin-top:6px", "aria-label": "Add a source", "data-testid": "add-source", onchange: (e) => { if (!e.target.value) return;
        state.sources.push(e.target.value);
        if (state.pair[0] === state.pair[1]) state.pair[1] = state.sources.length - 1;
        reload(); } },
        el("option", { value: "" }, "Add a source"), options.map(([value, text]) => el("option", { value, translate: "no" }, text))));
  }

  /** Of more than two sources, which lie under the wipe. */
  function pairMark(i) {
    if (state.mode !== "wipe" || state.sources.length < 3) return null;
    return ["left", "right"].map((word, which) => el("button", { type: "button", class: `chip ${state.pair[which] === i ? "on" : ""}`, "aria-pressed": String(state.pair[which] === i), onclick: () => { state.pair[which] = i; redraw(); } }, word));
  }

  function settings() {
    const text = (label, value, onchange, help, testid) => el("div", { class: "field" }, el("label", { for: `b-${testid}` }, label), el("input", { class: "inp", id: `b-${testid}`, value, "data-testid": testid, onchange }), help && el("span", { class: "help" }, help));
    const many = (of) => (e) => e.target.value.split(",").map((part) => part.trim()).filter(Boolean).map(of);
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, "Same for all")), el("div", { class: "stack" },
      el("div", { class: "field" }, el("label", { for: "b-set" }, "Prompt set"), el("select", { class: "sel", id: "b-set", onchange: (e) => { state.set = Number(e.target.value); state.at = 0; reload(); } }, sets.map((one) => el("option", { value: one.id, selected: one.id === state.set, translate: "no" }, one.name)))),
      text(state.locked ? "Seed" : "Seeds, one a source", state.seeds.join(", "), (e) => { state.seeds = many(String)(e).length ? many(String)(e) : ["0"]; reload(); }, "0, or 0.2 for the third picture under seed 0; run: as a run drew its fixed prompts.", "seed"),
      el("label", { class: "row meta" }, el("input", { type: "checkbox", "data-testid": "lock-seed", checked: state.locked, onchange: (e) => { state.locked = e.target.checked; reload(); } }), "Same seed for every source"),
      el("div", { class: "halves" }, text("Steps", state.steps.join(", "), (e) => { state.steps = many(Number)(e); reload(); }, "Empty: as usual.", "steps"), text("Guidance", state.guidances.join(", "), (e) => { state.guidances = many(Number)(e); reload(); }, "", "guidance"))));
  }

  function axes() {
    const pick = (name, word) => el("div", { class: "field" }, el("label", { for: `b-${name}` }, word), el("select", { class: "sel", id: `b-${name}`, "data-testid": `axis-${name}`, onchange: (e) => {
      const other = name === "x" ? "y" : "x";
      if (state[other] === e.target.value) state[other] = state[name];
      state[name] = e.target.value;
      reload();
    } }, Object.entries(AXES).map(([value, text]) => el("option", { value, selected: state[name] === value }, text))));
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", null, "Grid")), el("div", { class: "stack" }, el("div", { class: "halves" }, pick("x", "Across"), pick("y", "Down")),
      el("div", { class: "halves" }, el("div", { class: "field" }, el("label", { for: "b-rows" }, "Prompts"), el("input", { class: "inp", id: "b-rows", type: "number", min: 1, max: 60, value: state.rows, onchange: (e) => { state.rows = Math.max(1, Math.min(60, Number(e.target.value) || 12)); reload(); } })),
        el("div", { class: "field" }, el("label", { for: "b-tile" }, "Tile"), el("select", { class: "sel", id: "b-tile", onchange: (e) => { state.tile = Number(e.target.value); redraw(); } }, [64, 128, 192, 256].map((px) => el("option", { value: px, selected: state.tile === px }, `${px} px`)))))));
  }

  /** What the rewards say of this prompt's pictures. */
  function said() {
    const cells = current();
    const names = [...new Set(cells.flatMap((cell) => Object.keys(cell.picture?.scores || {})))];
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, `Prompt ${state.at + 1}`), cells[0]?.picture && state.locked && el("span", { class: "meta muted mono" }, `seed ${cells[0].picture.seed}`)),
      names.length ? el("table", { class: "tbl" }, el("thead", null, el("tr", null, el("th", null, "reward"), cells.map((_, i) => el("th", { class: "num" }, letter(i))))),
        el("tbody", null, names.map((reward) => el("tr", null, el("td", { class: "clip" }, reward), cells.map((cell) => el("td", { class: "num" }, fmt.num(cell.picture?.scores?.[reward]))))))) : el("p", { class: "meta muted" }, "No reward has scored these pictures."));
  }

  function vote() {
    const two = state.pair.map((i) => state.sources[i]).filter((key) => key && key !== "imported");
    if (state.sources.length < 2) return null;
    const host = el("div");
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", null, "Which is better?")),
      el("p", { class: "meta muted" }, `A vote that knows the names is no evidence. Draw ${letter(state.pair[0])} and ${letter(state.pair[1])} as a blind comparison.`),
      el("div", { class: "row", style: "margin-top:8px" }, button("Vote blind", { icon: "eyeoff", testid: "vote-blind", disabled: two.length < 2 || two[0] === two[1], onclick: async () => {
        try {
          const [base, tuned] = await Promise.all(two.map((source) => api("boards/policy", { body: { source } })));
          const seed = Number.parseInt(state.seeds[0], 10);
          const made = await api("comparisons", { body: { base_policy_id: base.id, tuned_policy_id: tuned.id, prompt_set_id: state.set, seed: Number.isFinite(seed) ? seed : 0 } });
          page.go(`/compare?id=${made.id}`);
        } catch (error) { fill(host, note("No vote yet", error.message)); }
      } })), host);
  }
}

/** Checkpoints and evaluations of a run, the newest first. */
function steps(run) {
  return [...new Set([...run.checkpoints, ...run.evaluations])].sort((a, b) => b - a);
}
