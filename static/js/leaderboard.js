/**
 * Leaderboard: which policy is better, by whose votes, and where nobody can say yet. A rank leads to the pairs behind it, a cell of the
 * win matrix to the pairs of those two.
 */
import { api, button, el, empty, fill, fmt, icon, kept, keys, note, poll, setQuery } from "/static/js/lib.js";
import { intervalLine } from "/static/js/plots.js";
import { matrixTable } from "/static/js/share_matrix.js";
import { pairsGrid, policyWord } from "/static/js/pairs_behind.js";
import { num } from "/static/js/svg.js";

const REFRESH_S = 15;
const MANY = 1e9;
const MATRIX = 16;
const DAY_S = 86400;
const METHODS = { "bradley-terry": "Bradley–Terry", davidson: "Davidson", plain: "Plain share" };
const ABOUT = {
  "bradley-terry": "Strength in log odds; a tie is half a win for each. Two that are .4 apart: the better one is preferred 60 times in 100.",
  davidson: "Strength in log odds, with ties as an outcome of their own: how readily people call it even is fitted too.",
  plain: "Share of wins over all its votes, ties as halves. It depends on whom a policy met.",
};
/** address → API */
const FILTERS = ["by", "reward", "study", "comparison", "aspect", "prompts", "kind", "voters", "since", "until"];

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const read = (key) => page.query.get(key) || "";
  const state = { ...Object.fromEntries(FILTERS.map((key) => [key, read(key)])), method: METHODS[read("method")] ? read("method") : "bradley-terry", weighted: read("weighted") !== "0", model: Number(read("model")) || null, other: Number(read("other")) || null };
  let found;
  let seen = "";
  let asked = "";
  let choices;
  const ui = { form: el("aside", { class: "pane scroll board-form", "aria-label": "Whose votes, and which" }), board: el("section", { class: "pane scroll", "aria-label": "Ranking" }), side: el("section", { class: "pane board-side", "aria-label": "What is behind it" }) };
  fill(main, el("div", { class: "panes lead" }, ui.form, ui.board, ui.side));
  try {
    choices = await api("leaderboard/choices");
    drawForm();
    await refresh();
  } catch (error) {
    fill(ui.board, el("div", { class: "sec" }, note("The leaderboard is not there", error.message, { actions: [button("Without filters", { size: "sm", onclick: () => page.go("/leaderboard") })] })));
    return () => {};
  }
  const unbind = keys.bind("Leaderboard", Object.keys(METHODS).map((method, i) => ({ id: `board.${method}`, keys: [String(i + 1)], label: METHODS[method], run: () => change({ method }) })));
  const stop = poll(refresh, REFRESH_S);
  return () => { stop(); unbind(); page.subtitle(""); };

  /** What is asked for, as the API takes it. */
  function query() {
    const wanted = { by: state.reward ? "reward" : state.by || "people", reward_id: state.reward, study_id: state.study, comparison_id: state.comparison, prompt_set_id: state.prompts, prompt_kind: state.kind };
    if (!state.reward) Object.assign(wanted, { aspect: state.aspect, since: state.since && String(Date.parse(`${state.since}T00:00Z`) / 1000), until: state.until && String(Date.parse(`${state.until}T00:00Z`) / 1000 + DAY_S) });
    const asking = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
    if (!state.reward) for (const voter of chosen()) asking.append("annotator", voter);
    return asking.toString();
  }

  async function refresh() {
    const wanted = `leaderboard?${query()}&method=${state.method}${state.weighted ? "" : "&weighted=false"}`;
    const now = await api(wanted);
    const text = JSON.stringify(now);
    if (text === seen && wanted === asked) return;
    [seen, asked, found] = [text, wanted, now];
    draw();
  }

  async function change(changes) {
    Object.assign(state, changes);
    setQuery({ ...Object.fromEntries(FILTERS.map((key) => [key, state[key] || null])), method: state.method === "bradley-terry" ? null : state.method, weighted: state.weighted ? null : "0", model: state.model, other: state.other });
    drawForm();
    try { await refresh(); } catch (error) { fill(ui.board, el("div", { class: "sec" }, note("Not ranked", error.message))); seen = ""; }
  }

  // filters -----------------------------------------------------------------------------------------------------

  function drawForm() {
    const focused = document.activeElement?.getAttribute("data-testid");
    const votes = [["people", `People, ${fmt.count(choices.votes.people, "vote")}`], ["simulated", `Simulated, ${fmt.count(choices.votes.simulated, "vote")}`], ...choices.rewards.map((reward) => [`reward:${reward.id}`, `Reward ${kept(reward.name)}`])];
    const where = [["", "All votes"], ...choices.studies.map((study) => [`study:${study.id}`, study.name, true]), ...choices.comparisons.map((one) => [`comparison:${one.id}`, `Compare: ${kept(one.name)}`])];
    const aspects = state.study ? choices.studies.find((study) => String(study.id) === state.study)?.aspects ?? [] : choices.aspects;
    fill(ui.form, el("div", { class: "pane-h" }, el("h2", null, "Votes")), el("div", { class: "sec stack" },
      select("votes", "Whose", votes, state.reward ? `reward:${state.reward}` : state.by || "people", (value) => change(value.startsWith("reward:") ? { by: "", reward: value.slice(7), aspect: "", voters: "", since: "", until: "" } : { by: value === "people" ? "" : value, reward: "", voters: "" })),
      !state.reward && votersField(),
      select("where", "From", where, state.study ? `study:${state.study}` : state.comparison ? `comparison:${state.comparison}` : "", (value) => change({ study: value.startsWith("study:") ? value.slice(6) : "", comparison: value.startsWith("comparison:") ? value.slice(11) : "", aspect: "" })),
      !state.reward && aspects.length > 0 && select("aspect", "About", [["", "the question"], ...aspects.map((aspect) => [aspect, aspect])], state.aspect, (aspect) => change({ aspect })),
      select("prompts", "Prompts", [["", "All prompts"], ...choices.prompt_sets.map((set) => [set.id, set.name, true])], state.prompts, (prompts) => change({ prompts })),
      select("kind", "Kind of prompt", [["", "All kinds"], ...choices.prompt_kinds.map((kind) => [kind, kind])], state.kind, (kind) => change({ kind })),
      !state.reward && el("div", { class: "two-dates" }, date("since", "From day"), date("until", "To day"))),
    el("div", { class: "sec stack" }, el("div", { class: "field" }, el("span", { class: "lab-like", id: "b-method" }, "Method"), el("div", { class: "choices", role: "radiogroup", "aria-labelledby": "b-method" }, Object.entries(METHODS).map(([method, word], i) => el("label", { class: "check" }, el("input", { type: "radio", name: "method", value: method, checked: state.method === method, "data-testid": `method-${method}`, onchange: () => change({ method }) }), el("span", { class: "grow" }, word), el("kbd", { "aria-hidden": "true" }, i + 1))))),
      el("p", { class: "meta muted" }, ABOUT[state.method]),
      !state.reward && el("label", { class: "check", title: "Each vote weighs 1 / the chance that its pair was asked" }, el("input", { type: "checkbox", checked: state.weighted, "data-testid": "weighted", onchange: (e) => change({ weighted: e.target.checked }) }), "Correct for active choice")));
    if (focused) /** @type {HTMLElement | null} */ (ui.form.querySelector(`[data-testid="${focused}"]`))?.focus();
  }

  /** Ids of those whose votes alone count; none: everybody's. */
  function chosen() { return state.voters.split(",").filter(Boolean); }

  /** Whose votes count, one by one. */
  function votersField() {
    const all = choices.annotators[state.by || "people"];
    if (all.length < 2) return null;
    const now = new Set(chosen());
    return el("details", { class: "field voters", open: now.size > 0 || ui.form.querySelector(".voters")?.open, "data-testid": "voters" }, el("summary", null, el("span", null, "Annotators"), el("span", { class: "meta muted" }, now.size ? `${now.size} of ${all.length}` : "everybody")),
      el("div", { class: "choices" }, all.map((person) => el("label", { class: "check" }, el("input", { type: "checkbox", checked: now.has(String(person.id)), "data-testid": `voter-${person.id}`, onchange: (e) => {
        if (e.target.checked) now.add(String(person.id)); else now.delete(String(person.id));
        change({ voters: [...now].join(",") });
      } }), el("span", { class: "grow clip", translate: "no" }, person.name), el("span", { class: "meta faint" }, fmt.int(person.votes))))));
  }

  function select(testid, word, options, value, onchange) {
    return el("div", { class: "field" }, el("label", { for: `b-${testid}` }, word), el("select", { class: "sel", id: `b-${testid}`, "data-testid": testid, onchange: (e) => onchange(e.target.value) }, options.map(([v, text, isName]) => el("option", { value: v, selected: String(v) === String(value), translate: isName ? "no" : null }, text))));
  }

  function date(key, word) {
    return el("div", { class: "field" }, el("label", { for: `b-${key}` }, word), el("input", { class: "inp", type: "date", id: `b-${key}`, "data-testid": key, value: state[key], onchange: (e) => change({ [key]: e.target.value }) }));
  }

  // ranking -----------------------------------------------------------------------------------------------------

  function draw() {
    const { models } = found;
    page.subtitle(models.length ? `${fmt.count(found.votes, "vote")} about ${fmt.count(found.pairs, "pair")}` : "");
    if (!models.length) {
      fill(ui.board, empty({ title: "Nothing to rank yet", text: state.reward ? "This reward has not scored both pictures of any pair that meets the filters." : "A ranking needs votes between pictures of different models: a study of two checkpoints, or a blind comparison.", actions: [el("a", { class: "btn", href: "/studies" }, "Studies"), " ", el("a", { class: "btn", href: "/compare" }, "Compare")] }));
      fill(ui.side);
      ui.side.hidden = true;
      return;
    }
    ui.side.hidden = false;
    if (state.model && !models.some((row) => row.model === state.model)) Object.assign(state, { model: null, other: null });
    const lanes = lanesOf(found.brackets, models.length);
    const span = range(models, state.method);
    fill(ui.board, el("div", { class: "pane-h" }, el("h2", null, "Ranking"), el("p", { class: "meta muted clip", "data-testid": "verdict" }, verdict())),
      found.anchored && el("div", { class: "sec" }, note("Not enough votes on both sides", "Somebody never lost, never won or met nobody of the others, so a prior holds the strengths; the intervals are wide.", { tone: "warn" })),
      el("table", { class: "tbl pad ranks", "data-testid": "ranks", "aria-label": "Ranking" }, el("thead", null, el("tr", null, el("th", { class: "brk-h", colspan: lanes.length ? 1 : null }, el("span", { class: "vh" }, "not separable")), el("th", { class: "num" }, "rank"), el("th", null, "policy"), el("th", { class: "opt" }, el("span", { class: "vh" }, "interval")), el("th", { class: "num" }, state.method === "plain" ? "wins" : "strength"), el("th", { class: "num opt" }, "votes"), el("th", { class: "num opt" }, "both bad"), el("th", { class: "num", title: "Further votes between this policy and the next one until they can be told apart, if what is seen now is true" }, "votes needed"))),
        el("tbody", null, models.map((row, i) => el("tr", { "data-testid": "rank", "data-model": row.model, "aria-selected": String(state.model === row.model && !state.other) },
          el("td", { class: "brk" }, el("span", { class: "lanes", title: lanes.some((lane) => lane[i]) ? "Joined policies cannot be told apart" : null }, lanes.map((lane) => el("i", { class: lane[i] || null })))), el("td", { class: "num" }, row.rank),
          el("td", { class: "who" }, el("button", { type: "button", class: "as-link strong clip", title: `${row.name}: the pairs behind it`, "data-testid": "rank-pairs", onclick: () => pick(row.model) }, el("span", { translate: "no" }, row.name)), row.run_id && el("span", { class: "faint nowrap" }, ` run ${row.run_id}@${row.step ?? "–"}`)),
          el("td", { class: "opt" }, intervalLine(row.strength, row.low, row.high, { ...span, width: 132, chance: state.method === "plain" ? 0.5 : 0 })),
          el("td", { class: "num", title: `95 %: ${num(row.low)} to ${num(row.high)}` }, el("b", { class: "strong", "data-testid": "strength" }, num(row.strength, 2, { sign: state.method !== "plain" })), row.strength !== null && el("span", { class: "pm" }, ` ± ${num(fmt.half(row.low, row.high))}`)),
          el("td", { class: "num opt" }, fmt.int(row.votes)), el("td", { class: "num muted opt" }, fmt.pct(row.both_bad)),
          el("td", { class: "num needed", "data-testid": "needed" }, needed(row, i, models.length)))))),
      el("p", { class: "meta muted sec" }, found.brackets.length ? "A line at the left joins policies that cannot be told apart, all comparisons of the board together at 95 %. " : "All can be told apart, all comparisons of the board together at 95 %. ", el("a", { class: "link", href: "/studies" }, "Ask for more votes")));
    drawSide();
  }

  /** The result in one sentence. */
  function verdict() {
    const { models, brackets } = found;
    const first = brackets.find(([start]) => start === 0);
    if (!first) return `${models[0].name} is the best`;
    const joined = models.slice(0, first[1] + 1).map((row) => row.name);
    return joined.length > 3 ? `The first ${joined.length} cannot be told apart` : `${joined.slice(0, -1).join(", ")} and ${joined.at(-1)} cannot be told apart`;
  }

  function pick(model, other = null) {
    Object.assign(state, { model, other });
    setQuery({ model, other });
    for (const row of ui.board.querySelectorAll("tr[data-model]")) row.setAttribute("aria-selected", String(Number(row.getAttribute("data-model")) === model && !other));
    drawSide();
    if (window.innerWidth < 900) ui.side.scrollIntoView({ block: "start" });
  }

  // behind it ---------------------------------------------------------------------------------------------------

  function drawSide() {
    const nameOf = (model) => found.models.find((row) => row.model === model)?.name ?? String(model);
    const seg = el("div", { class: "seg", role: "group", "aria-label": "What is shown" }, el("button", { type: "button", "aria-pressed": String(!state.model), "data-testid": "show-matrix", onclick: () => pick(null) }, "Win matrix"), el("button", { type: "button", "aria-pressed": String(Boolean(state.model)), "data-testid": "show-pairs", onclick: () => pick(found.models[0].model) }, "Pairs"));
    if (!state.model) {
      const top = found.models.slice(0, MATRIX);
      const of = new Map(found.cells.map((cell) => [`${cell.model} ${cell.other}`, { ...cell, value: cell.share }]));
      fill(ui.side, el("div", { class: "pane-h" }, seg), el("div", { class: "scroll fill" }, el("div", { class: "sec" }, el("p", { class: "meta muted" }, `How often the row is preferred to the column, ties as halves; below it Wilson’s 95 % interval.${found.models.length > MATRIX ? ` The best ${MATRIX} are shown.` : ""}`),
        matrixTable({ heads: top.map((row) => `${row.rank} ${row.name}`), short: top.map((row) => String(row.rank)), testid: "wins", middle: 0.5,
          cells: top.map((row) => top.map((col) => of.get(`${row.model} ${col.model}`) ?? null)),
          say: (i, j, cell) => `${top[i].name} against ${top[j].name}: ${fmt.pct(cell.share)}, ${fmt.int(cell.wins)} won, ${fmt.int(cell.ties)} even, ${fmt.int(cell.losses)} lost, about ${fmt.count(cell.pairs, "pair")}`,
          onpick: (i, j) => pick(top[i].model, top[j].model) }))));
      return;
    }
    fill(ui.side, el("div", { class: "pane-h" }, seg, el("button", { type: "button", class: "chip on", "data-testid": "behind-what", "aria-label": "Show the win matrix again", onclick: () => pick(null) }, el("span", { class: "clip" }, nameOf(state.model), state.other ? ` × ${nameOf(state.other)}` : ""), icon("x"))),
      el("div", { class: "scroll fill" }, pairsGrid(`leaderboard/pairs?${query()}&model=${state.model}${state.other ? `&other=${state.other}` : ""}`, { none: "No pair meets the filters.", testid: "behind-pairs", word: policyWord, onfirst: () => { if (window.innerWidth < 900) ui.side.scrollIntoView({ block: "start" }); } })));
  }
}

/** Votes that are missing between a row and the next, or that they are apart. */
function needed(row, i, size) {
  if (i === size - 1) return el("span", { class: "faint" }, "–");
  if (row.needed === null) return el("span", { class: "pill muted", title: "It can be told from the next one" }, icon("check", "ok"), "apart");
  return row.needed >= MANY ? el("span", { class: "muted", title: "No number of votes that anybody would give" }, "even") : `≈ ${round(row.needed)}`;
}

/** An order of magnitude: two figures. */
const round = (value) => { const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1); return fmt.int(Math.ceil(value / unit) * unit); };

/** The axis that all intervals share. */
function range(models, method) {
  if (method === "plain") return { from: 0, to: 1 };
  const low = Math.min(0, ...models.map((row) => row.low ?? 0));
  const high = Math.max(0, ...models.map((row) => row.high ?? 0));
  return { from: low, to: high };
}

/** Brackets laid side by side so that none overlap: for each lane the sign of each row. @param {[number, number][]} brackets @param {number} size
 * @returns {string[][]} */
function lanesOf(brackets, size) {
  const ends = [];
  const lanes = [];
  for (const [start, end] of brackets) {
    let lane = ends.findIndex((last) => last < start);
    if (lane < 0) { lane = ends.length; lanes.push(new Array(size).fill("")); }
    ends[lane] = end;
    for (let i = start; i <= end; i += 1) lanes[lane][i] = `on${i === start ? " first" : ""}${i === end ? " last" : ""}`;
  }
  return lanes;
}
