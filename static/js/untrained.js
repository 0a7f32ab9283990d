/**
 * Better without training: best of N, or critique, rewrite and draw again, measured on held-out prompts. On the right what is asked for and
 * its preflight; on the left what came of it, the runs that have to beat it, and the pictures.
 */
import { api, button, el, empty, fill, fmt, note, pm, setQuery } from "/static/js/lib.js";
import { lineChart } from "/static/js/charts.js";
import { form } from "/static/js/form.js";
import { watchJob } from "/static/js/jobs.js";
import { lineNode } from "/static/js/new_run_preflight.js";
import { wayName } from "/static/js/run_beside.js";
import { count, rewardColour, rewardDash } from "/static/js/svg.js";
import { jobPill, runPill } from "/static/js/views.js";

const QUIET_MS = 150;
const WAYS = ["best", "again", "refine"];
const MEASURES = ["gold", "picker"];
const VERDICTS = { beats: ["ok", "beats it"], level: ["muted", "as much, within the errors"], below: ["bad", "gains less"] };

/** A gain with its standard error. @param {{gain: number, se: number|null}|null|undefined} gain */
const gainOf = (gain) => (gain && Number.isFinite(gain.gain) ? pm(fmt.signed(gain.gain), Number.isFinite(gain.se) ? fmt.num(gain.se) : null) : "–");

/** @param {HTMLElement} host @param {any} page @param {{policies: any[], sets: any[], rewards: any[]}} known @returns {Promise<() => void>} */
export async function mountUntrained(host, page, { policies, sets, rewards }) {
  const ui = { left: el("section", { class: "pane scroll", "aria-label": "What was gained" }), side: el("aside", { class: "pane unt-side", "aria-label": "What is measured" }), lines: el("div", { class: "unt-lines", "aria-live": "polite", "data-testid": "untrained-lines" }), foot: el("div", { class: "start-foot" }), job: el("div", { class: "jobhost", "data-testid": "untrained-job" }) };
  fill(host, el("div", { class: "panes cmp" }, ui.left, ui.side));
  let [options, sources] = await Promise.all([api("best-of-n/untrained"), api("boards/sources")]);
  const q = (name) => Number(page.query.get(name)) || 0;
  const among = (rows, id, usual) => (rows.find((row) => row.id === id) || usual || rows[0])?.id ?? 0;
  const picker = among(rewards, q("reward"), rewards.find((r) => r.kind === "learned"));
  const gold = among(rewards, q("gold"), rewards.find((r) => r.kind === "pocket-verifier" && r.id !== picker) || rewards.find((r) => r.id !== picker));
  const state = { policy: among(policies, q("policy"), policies.find((p) => !p.run_id)), set: among(sets, q("set"), sets.find((s) => s.split === "heldout")), picker, gold: gold === picker ? 0 : gold, critic: among(rewards.filter((r) => options.critics.includes(r.id)), 0), recipe: options.recipes[0], shown: q("measured") };
  let settings = recipeForm({});
  let [timer, asked, stop, width] = [0, 0, () => {}, 0];
  /** @type {any} */
  let report = null;
  const resize = new ResizeObserver(() => { if (report?.rows && Math.abs(ui.left.clientWidth - width) > 4) draw(); });
  resize.observe(ui.left);
  drawSide();
  await load();
  return () => { stop(); window.clearTimeout(timer); resize.disconnect(); };

  function recipeForm(more) { return form(page.props.untrained, { values: { ...state.recipe.settings, ...more }, only: (path) => path !== "way", onchange: check }); }

  function wanted() {
    return { policy_id: state.policy, prompt_set_id: state.set, picker_id: state.picker, gold_id: state.gold || null, critic_id: state.critic || null, settings: { ...settings.read(), way: state.recipe.settings.way } };
  }

  // what is asked for ------------------------------------------------------------------------------------

  function drawSide() {
    const refines = state.recipe.settings.way === "refine";
    const select = (key, label, rows, blank = "") => el("div", { class: "field" }, el("label", { for: `unt-${key}` }, label), el("select", { class: "sel", id: `unt-${key}`, "data-testid": `untrained-${key}`, onchange: (e) => { state[key] = Number(e.target.value); drawSide(); } },
      blank && el("option", { value: 0 }, blank), rows.map((row) => el("option", { value: row.id, selected: row.id === state[key], translate: "no" }, row.name))));
    const pick = (recipe) => { state.recipe = recipe; settings = recipeForm({}); drawSide(); };
    const checkpoints = sources.runs.map((run) => ({ ...run, checkpoints: run.checkpoints.filter((step) => !policies.some((p) => p.run_id === run.id && p.step === step)) })).filter((run) => run.checkpoints.length);
    const model = el("div", { class: "field" }, el("label", { for: "unt-policy" }, "Model"), el("select", { class: "sel", id: "unt-policy", "data-testid": "untrained-policy", onchange: (e) => choose(e.target.value) },
      policies.map((row) => el("option", { value: row.id, selected: row.id === state.policy, translate: "no" }, row.name)),
      checkpoints.map((run) => el("optgroup", { label: run.name, translate: "no" }, run.checkpoints.map((step) => el("option", { value: `run:${run.id}@${step}` }, `${run.name} @ ${step}`))))));
    fill(ui.side, el("div", { class: "unt-scroll" },
      el("div", { class: "sec" }, el("div", { class: "seg", role: "group", "aria-label": "Recipe" }, options.recipes.map((recipe) => el("button", { type: "button", "aria-pressed": String(recipe === state.recipe), "data-testid": `recipe-${recipe.name}`, onclick: () => pick(recipe) }, recipe.title))),
        el("p", { class: "meta muted", style: "margin-top:8px" }, state.recipe.summary)),
      el("div", { class: "sec stack" }, model, select("set", "Prompts", sets), select("picker", "Keeps the best by", rewards), select("gold", "Judged by", rewards.filter((r) => r.id !== state.picker), "nobody else"),
        refines && select("critic", "Critic", rewards.filter((r) => options.critics.includes(r.id)), "none"), el("div", { class: "two" }, settings.node)),
      el("div", { class: "pane-h b" }, el("h2", null, "Preflight")), ui.lines), ui.foot);
    check();
  }

  /** A policy, or what a run had learned at a checkpoint, which becomes one. @param {string} value */
  async function choose(value) {
    try {
      const made = value.startsWith("run:") ? await api("boards/policy", { body: { source: value } }) : null;
      if (made && !policies.some((p) => p.id === made.id)) policies.push(made);
      state.policy = made ? made.id : Number(value);
      drawSide();
    } catch (error) { drawFoot(error.message); }
  }

  function check() {
    window.clearTimeout(timer);
    timer = window.setTimeout(ask, QUIET_MS);
    drawFoot("Checking the settings.");
  }

  async function ask() {
    const turn = ++asked;
    if (!settings.check()) { drawFoot("A value cannot be read."); return; }
    try {
      const found = await api("best-of-n/untrained/preflight", { body: wanted() });
      if (turn !== asked) return;
      const order = ["fail", "warn", "pass"];
      fill(ui.lines, [...found.lines].sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status)).map((line) => lineNode(line, line.fix && el("div", { class: "fix" }, fixOf(line.fix)))));
      const failed = found.lines.filter((line) => line.status === "fail");
      drawFoot(failed.length ? `${failed[0].name}: ${failed[0].reason}` : "");
    } catch (error) {
      if (turn !== asked) return;
      fill(ui.lines, lineNode({ name: "Settings", value: "", status: "fail", reason: error.message }, null));
      drawFoot(error.message);
    }
  }

  function fixOf(fix) {
    if (fix.url) return el("a", { class: "link", href: fix.url }, fix.text);
    return button(fix.text, { size: "sm", testid: "untrained-fix", onclick: () => { if (fix.changes.prompt_set_id) state.set = fix.changes.prompt_set_id; settings = recipeForm({ ...settings.read(), ...fix.changes.settings }); drawSide(); } });
  }

  function drawFoot(why) {
    fill(ui.foot, ui.job, button("Measure", { kind: "primary", testid: "untrained-start", disabled: Boolean(why), title: why || undefined, onclick: start }), why && el("p", { class: "meta muted", role: "status" }, why));
  }

  async function start() {
    try {
      const { job_id } = await api("best-of-n/untrained", { body: wanted() });
      follow(job_id);
    } catch (error) { fill(ui.job, note("It was not asked for", error.message)); }
  }

  function follow(id) {
    stop();
    stop = watchJob(ui.job, id, { title: "Measuring", onend: (job) => { if (job.status === "done") { fill(ui.job); state.shown = id; } load(); } });
  }

  // what came of it --------------------------------------------------------------------------------------

  async function load() {
    options = await api("best-of-n/untrained");
    const going = options.measured.find((one) => ["due", "running"].includes(one.status));
    if (going && !ui.job.firstChild) follow(going.job_id);
    const done = options.measured.filter((one) => one.status === "done");
    const shown = done.find((one) => one.job_id === state.shown) || done[0];
    try { report = shown ? await api(`best-of-n/untrained/${shown.job_id}`) : null; } catch (error) { report = null; fill(ui.left, el("div", { class: "sec" }, note("The figures are not there", error.message))); return; }
    state.shown = shown?.job_id ?? 0;
    setQuery({ measured: state.shown || null });
    draw();
  }

  function draw() {
    width = ui.left.clientWidth;
    if (!report) {
      fill(ui.left, empty({ title: "Nothing was measured yet", text: "What pictures gain without training is what every run has to beat: draw several and keep the best, or let a critic ask again in other words." }));
      return;
    }
    fill(ui.left, head(), figures(), charts(), beside(), pictures());
  }

  function head() {
    const done = options.measured.filter((one) => one.status === "done");
    const title = (one) => `${wayName({ way: one.wanted.settings.way, rounds: one.wanted.settings.rounds })} · ${one.names.gold ?? one.names.picker} · ${fmt.count(one.prompts, "prompt")} · ${fmt.clock(one.created_at)}`;
    const best = report.strongest.gold ?? report.strongest.picker;
    const by = report.strongest.gold ? "gold" : "picker";
    const gain = best?.gains[by];
    return el("div", { class: "sec" },
      el("div", { class: "row" }, done.length > 1 ? el("select", { class: "sel unt-pick", "aria-label": "Measurement", "data-testid": "untrained-pick", onchange: (e) => { state.shown = Number(e.target.value); load(); } }, done.map((one) => el("option", { value: one.job_id, selected: one.job_id === report.job_id }, title(one)))) : el("p", { class: "meta muted grow" }, title(report)), jobPill(report.status)),
      gain && el("p", { class: "unt-told", "data-testid": "untrained-told" }, el("span", { class: "figure" }, gainOf(gain)), " ", el("span", null, `${wayName(best)} without training, by '${report.names[by]}', for ${pictures1(best.calls)} a prompt.`)),
      el("p", { class: "meta muted" }, facts()));
  }

  function facts() {
    const { names, wanted: asked_, questions } = report;
    return [`${names.policy}: the first ${fmt.count(report.prompts, "prompt")} of '${names.set}', ${fmt.int(asked_.settings.num_steps)} steps a picture. ± is the standard error over prompts, in pairs with the first picture.`,
      ...["picker", "gold", "critic"].filter((key) => questions[key]).map((key) => ` Asked of '${names[key]}': ${fmt.int(questions[key])} times.`), ...["picker", "gold", "critic"].filter((key) => report.unanswered?.[key]).map((key) => silent(key))].join("");
  }

  /** What came of questions without an answer. @param {string} key */
  function silent(key) {
    const [name, num] = [report.names[key], fmt.int(report.unanswered[key])];
    return key === "critic" ? ` '${name}' failed on ${num} of its pictures, which were not drawn again for that.` : ` '${name}' gave no answer ${num} times, and nothing was made of that.`;
  }

  function pictures1(calls) { return Number.isInteger(calls) ? fmt.count(calls, "picture") : `${calls.toFixed(2)} pictures`; }

  function measures() { return MEASURES.filter((name) => report.rows.some((row) => row.gains[name])); }

  function figures() {
    const last = WAYS.map((way) => report.rows.filter((row) => row.way === way).at(-1)).filter(Boolean);
    const word = { gold: "judged by", picker: "kept by" };
    const apart = report.apart?.gold ?? report.apart?.picker;
    return el("div", { class: "sec" }, el("div", { class: "tbl-x" }, el("table", { class: "tbl", "data-testid": "untrained-ways" },
      el("thead", null, el("tr", null, el("th", null, "way"), el("th", { class: "num" }, "pictures a prompt"), measures().map((name) => el("th", { class: "num" }, word[name], " ", el("span", { translate: "no" }, report.names[name]))))),
      el("tbody", null, last.map((row) => el("tr", { "data-way": row.way }, el("td", null, { best: `Best of ${row.rounds}`, again: "Same words again", refine: "Other words" }[row.way]), el("td", { class: "num" }, row.calls.toFixed(2)), measures().map((name) => el("td", { class: "num" }, gainOf(row.gains[name])))))))),
    apart && el("p", { class: "meta muted", style: "margin-top:8px", "data-testid": "untrained-apart" }, `The other words alone: ${fmt.signed(apart.gain)} ± ${fmt.num(apart.se)} over as many redraws in the same words.`));
  }

  function charts() {
    const shown = measures();
    const room = (width || 720) - 32;
    const each = room < 520 ? room : Math.floor((room - 16 * (shown.length - 1)) / shown.length);
    const most = Math.max(...report.rows.map((row) => row.calls));
    return el("div", { class: "unt-charts" }, shown.map((name) => {
      const series = WAYS.map((way, i) => ({ way, i, rows: report.rows.filter((row) => row.way === way && Number.isFinite(row.gains[name]?.gain)) })).filter((one) => one.rows.length > 1)
        .map(({ way, i, rows }) => ({ name: way, points: rows.map((row) => [row.calls, row.gains[name].gain]), band: way === "best" ? rows.map((row) => [row.calls, row.gains[name].gain - (row.gains[name].se ?? 0), row.gains[name].gain + (row.gains[name].se ?? 0)]) : undefined, colour: rewardColour(i), dash: rewardDash(i), dots: true }));
      const label = `Gain by pictures a prompt, ${report.names[name]}`;
      return el("div", { class: "unt-chart" }, el("div", { class: "chart-h" }, el("b", { class: "clip", translate: "no" }, report.names[name]), el("span", { class: "muted clip" }, "gain by pictures a prompt")), lineChart({ label, width: each, height: 180, xMin: 1, xMax: most, signed: true, series }));
    }), el("div", { class: "unt-legend meta muted" }, WAYS.filter((way) => report.rows.some((row) => row.way === way)).map((way) => el("span", null, el("i", { style: `border-top:2px ${rewardDash(WAYS.indexOf(way)) ? "dashed" : "solid"} ${rewardColour(WAYS.indexOf(way))}` }), { best: "best of N", again: "drawn again in the same words", refine: "drawn again in other words" }[way]))));
  }

  function beside() {
    const shown = measures();
    const by = (run) => MEASURES.find((name) => run.verdict[name]) ?? shown[0];
    const rows = report.runs;
    return el("div", { class: "sec", "data-testid": "untrained-runs" }, el("div", { class: "sec-h" }, el("h2", null, "Runs that have to beat it")),
      !rows.length ? el("p", { class: "meta muted" }, "No run that began from this model is over yet.") : [
        el("p", { class: "unt-verdict" }, sentence(strongest(rows))),
        el("div", { class: "tbl-x" }, el("table", { class: "tbl" },
          el("thead", null, el("tr", null, el("th", null, "run"), el("th", null, "against it"), el("th", { class: "num" }, "pictures a prompt"), shown.map((name) => el("th", { class: "num", translate: "no" }, report.names[name])), el("th", { class: "num", title: "Network evaluations of training" }, "training's calls"))),
          el("tbody", null, rows.map((run) => {
            const verdict = run.verdict[by(run)];
            return el("tr", { "data-run": run.id, "data-verdict": verdict }, el("td", null, el("a", { class: "link", href: `/runs/${run.id}`, translate: "no" }, run.name), " ", el("span", { class: "meta faint" }, `step ${run.step}`), run.status === "done" ? null : [" ", runPill(run)]),
              el("td", null, verdict ? el("span", { class: VERDICTS[verdict][0] }, VERDICTS[verdict][1]) : el("span", { class: "faint" }, "not measured by these rewards"), verdict && !run.same && el("span", { class: "meta faint" }, " ", "on other prompts or steps")),
              el("td", { class: "num" }, "1"), shown.map((name) => el("td", { class: "num" }, gainOf(run[name]))), el("td", { class: "num" }, count(run.calls)));
          }))))]);
  }

  /** The run that gains most where it compares; one that is done comes before one that was broken off. @param {any[]} rows */
  function strongest(rows) {
    const worth = (run) => { const name = MEASURES.find((one) => run.verdict[one]); return name ? run[name].gain + (run.status === "done" ? 100 : 0) : -Infinity; };
    return rows.filter((run) => run.same && worth(run) > -Infinity).sort((a, b) => worth(b) - worth(a))[0];
  }

  /** Whether a run beats it. @param {any} run */
  function sentence(run) {
    if (!run) return "No run was evaluated on these prompts in this way by one of these rewards.";
    const name = MEASURES.find((one) => run.verdict[one]) ?? "picker";
    const row = report.strongest[name];
    const [mine, its] = [fmt.signed(run[name].gain), fmt.signed(row.gains[name].gain)];
    return {
      beats: `'${run.name}' gains ${mine} at one picture a prompt, ${wayName(row)} gains ${its} at ${row.calls.toFixed(2)}: the run beats it.`,
      level: `'${run.name}' gains ${mine} at one picture a prompt, ${wayName(row)} gains ${its} at ${row.calls.toFixed(2)}: as much, within the errors.`,
      below: `'${run.name}' gains ${mine} at one picture a prompt, ${wayName(row)} gains ${its} at ${row.calls.toFixed(2)}: the run does not beat it.`,
    }[run.verdict[name]];
  }

  function pictures() {
    const word = { best: "best", again: "same words", refine: "other words" };
    return el("div", { "data-testid": "untrained-pictures" }, el("div", { class: "pane-h b" }, el("h2", null, "Pictures"), el("span", { class: "meta muted" }, "the first one drawn, then the one each way keeps")), report.shown.map((row) => {
      const tile = (picture, caption, title) => el("figure", { class: "unt-tile" }, el("img", { src: `${picture.url}?side=128`, alt: caption, loading: "lazy", width: 72, height: 72, title }), el("figcaption", { class: "micro faint" }, caption));
      const other = row.kept.refine && row.kept.refine.request !== row.prompt ? row.kept.refine.request : "";
      return el("div", { class: "grp" }, el("div", { class: "grp-h" }, el("span", { class: "p clip grow", translate: "no" }, row.prompt)),
        el("div", { class: "unt-tiles" }, tile(row.first, "first", row.prompt), WAYS.filter((way) => row.kept[way]).map((way) => tile(row.kept[way], word[way], row.kept[way].request)), other && el("p", { class: "meta muted" }, "asked for as ", el("span", { class: "txt", translate: "no" }, other))));
    }));
  }
}
