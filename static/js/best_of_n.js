/**
 * Best of N: draw N pictures of each prompt and keep the one a reward likes best. The curve of what that gains, what another reward and
 * people say of the pictures that were kept, and the picks themselves, which follow N as it is dragged.
 */
import { api, button, el, empty, fill, fmt, keys, live, note, pm, setQuery } from "/static/js/lib.js";
import { lineChart } from "/static/js/charts.js";
import { form } from "/static/js/form.js";
import { watchJob } from "/static/js/jobs.js";
import { rewardColour } from "/static/js/svg.js";
import { mountUntrained } from "/static/js/untrained.js";

const CURVES = [["selecting", 0], ["gold", 1], ["people", 2]];

const VIEWS = { curve: "Stored pictures", untrained: "Without training" };

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const known = await Promise.all([api("policies"), api("prompt-sets"), api("rewards")]);
  if (known.some((rows) => !rows.length)) {
    fill(main, empty({ title: "Nothing to choose from yet", text: "Best of N needs a model, prompts and a reward that chooses.", actions: [el("a", { class: "btn primary lg", href: "/" }, "To Today")] }));
    return () => {};
  }
  const [policies, sets, rewards] = known;
  const [bar, host] = [el("div", { class: "bar" }), el("div", { class: "bon-view" })];
  fill(main, bar, host);
  let close = () => {};
  await show(page.query.get("view") === "untrained" ? "untrained" : "curve");
  return () => close();

  async function show(view) {
    close();
    fill(bar, el("div", { class: "seg", role: "group", "aria-label": "What to look at" }, Object.entries(VIEWS).map(([name, word]) => el("button", { type: "button", "aria-pressed": String(name === view), "data-testid": `view-${name}`, onclick: () => { if (name !== view) show(name); } }, word))));
    setQuery({ view: view === "curve" ? null : view });
    close = view === "curve" ? await mountCurve(host, page, known) : await mountUntrained(host, page, { policies, sets, rewards });
  }
}

/** The curve of what is stored. @param {HTMLElement} main @param {any} page @param {any[][]} known */
async function mountCurve(main, page, [policies, sets, all]) {
  const ui = { charts: el("div", { class: "bon-charts" }), slide: el("div", { class: "bon-n" }), picks: el("div", { class: "bon-picks", "data-testid": "picks" }), left: el("section", { class: "pane scroll", "aria-label": "Curve and picks" }), side: el("aside", { class: "pane scroll", "aria-label": "What is drawn" }) };
  fill(main, el("div", { class: "panes cmp" }, ui.left, ui.side));
  const q = (name) => Number(page.query.get(name)) || 0;
  const among = (rows, id, usual) => (rows.find((row) => row.id === id) || usual || rows[0]).id;
  const state = { policy: among(policies, q("policy"), policies.find((p) => !p.run_id)), set: among(sets, q("set"), sets.find((s) => s.split === "heldout")), reward: among(all, q("reward"), all.find((r) => r.kind === "learned")), gold: all.some((r) => r.id === q("gold")) ? q("gold") : 0, n: q("n"), depth: q("depth"), pictures: q("pictures") || 1000 };
  if (!state.gold && page.query.get("gold") === null) state.gold = all.find((r) => r.id !== state.reward)?.id || 0;
  const drawing = form(page.props.drawing);
  const job = el("div", { class: "jobhost", "data-testid": "bon-job" });
  let stop = () => {};
  /** @type {any} */
  let data = null;
  let width = 0;
  const nameOf = (id) => all.find((r) => r.id === id)?.name || "";
  const unbind = keys.bind("Best of N", [[-1, "ArrowLeft", "Fewer pictures"], [1, "ArrowRight", "More pictures"]].map(([by, key, label]) => ({ id: `bon.${key}`, keys: [String(key)], label: String(label), repeat: true, run: () => setN(state.n + Number(by)) })));
  const resize = new ResizeObserver(() => { if (data && Math.abs(ui.charts.clientWidth - width) > 4) drawCharts(); });
  resize.observe(ui.charts);
  await load();
  return () => { stop(); unbind(); resize.disconnect(); };

  function keep() { setQuery({ policy: state.policy, set: state.set, reward: state.reward, gold: state.gold, n: state.n || null, depth: state.depth || null, pictures: state.pictures === 1000 ? null : state.pictures }); }

  async function load() {
    const query = new URLSearchParams({ policy_id: String(state.policy), prompt_set_id: String(state.set), reward_id: String(state.reward), pictures: String(state.pictures) });
    if (state.gold) query.set("gold_id", String(state.gold));
    if (state.depth) query.set("depth", String(state.depth));
    try { data = await api(`best-of-n?${query}`); } catch (error) { data = null; fill(ui.left, el("div", { class: "sec" }, note("The curve is not there", error.message))); }
    if (data) state.n = Math.max(1, Math.min(data.depth || 1, state.n || data.depth || 1));
    keep();
    draw();
  }

  function setN(n) {
    if (!data?.depth) return;
    const next = Math.max(1, Math.min(data.depth, Math.round(n)));
    if (next === state.n) return;
    state.n = next;
    keep();
    drawCharts();
    drawPicks();
    live(`Best of ${state.n}: ${fmt.num(data.curves.selecting[state.n - 1].value)}`);
  }

  // drawing ---------------------------------------------------------------------------------------------

  function draw() {
    fill(ui.side, sources(), making(), runs());
    if (!data) return;
    if (!data.depth) {
      fill(ui.left, empty({ title: data.pictures_drawn ? "No reward has scored these pictures" : "No pictures of these prompts yet",
        text: data.pictures_drawn ? `${fmt.count(data.pictures_drawn, "picture")} are drawn, but '${nameOf(state.reward)}' has scored none of them.` : "Draw several of each prompt; the reward then keeps the best.", actions: [] }));
      return;
    }
    fill(ui.left, el("div", { class: "sec row" }, el("p", { class: "meta muted grow", "data-testid": "bon-facts" }, facts()), data.depths.length > 1 && el("select", { class: "sel", "aria-label": "Up to", "data-testid": "bon-depth", onchange: (e) => { Object.assign(state, { depth: Number(e.target.value), n: 0 }); load(); } },
      data.depths.map(([n, many]) => el("option", { value: n, selected: n === data.depth }, `up to N = ${n}, ${fmt.count(many, "prompt")}`)))), ui.charts, ui.slide, ui.picks);
    drawCharts();
    drawPicks();
  }

  function facts() {
    const { settings } = data;
    const drawn = fmt.count(data.prompts_used, "prompt");
    return [settings.num_steps ? `${drawn}, ${fmt.int(data.depth)} pictures each, ${settings.num_steps} steps` : `${drawn}, ${fmt.int(data.depth)} pictures each`, settings.guidance > 1 ? `, guidance ${settings.guidance}` : "", ". Averaged over every choice of N; bands are 95 % over prompts.",
      data.left_out ? ` ${fmt.count(data.left_out, "prompt")} with fewer pictures left out.` : "", data.other_settings ? ` ${fmt.count(data.other_settings, "picture")} drawn with other settings left out.` : ""].join("");
  }

  function drawCharts() {
    width = ui.charts.clientWidth || 720;
    const shown = CURVES.filter(([key]) => data.curves[key]);
    const each = Math.max(240, Math.floor((width - 32 - 16 * (shown.length - 1)) / shown.length));
    const titles = { selecting: nameOf(state.reward), gold: nameOf(state.gold), people: "people" };
    const words = { selecting: "chooses", gold: "of the picked", people: "share of verdicts the picked picture won" };
    fill(ui.charts, shown.map(([key, colour]) => {
      const points = data.curves[key];
      const now = points[state.n - 1];
      const chart = lineChart({ label: `${titles[key]} by N: ${points.map((p, i) => `${i + 1} ${fmt.num(p.value)}`).join(", ")}`, width: each, height: 200, xMax: data.depth, cursor: state.n, signed: false,
        series: [{ name: key, points: points.map((p, i) => [i + 1, p.value]), band: points.map((p, i) => [i + 1, p.low ?? p.value, p.high ?? p.value]), colour: rewardColour(Number(colour)), dots: points.length < 40 }], onPick: setN, onHover: (n) => { if (n !== null && dragging) setN(n); } });
      return el("div", { class: "bon-chart", "data-testid": `curve-${key}`, "data-value": now.value }, el("div", { class: "chart-h" }, el("b", { class: "clip" }, titles[key]), el("span", { class: "muted clip grow" }, words[key]), el("span", { class: "tn" }, pm(key === "people" ? fmt.pct(now.value, 1) : fmt.num(now.value), now.low === null ? null : key === "people" ? `${(50 * (now.high - now.low)).toFixed(1)}` : fmt.num((now.high - now.low) / 2)))), chart);
    }));
    const range = /** @type {HTMLInputElement | null} */ (ui.slide.querySelector("input"));
    if (range && Number(range.max) === data.depth) { range.value = String(state.n); fill(/** @type {HTMLElement} */ (ui.slide.querySelector("output")), word()); return; }
    fill(ui.slide, el("label", { class: "strong", for: "bon-n" }, "N"), el("input", { id: "bon-n", type: "range", min: 1, max: data.depth, value: state.n, "data-testid": "bon-n", oninput: (e) => setN(Number(e.target.value)) }), el("output", { for: "bon-n", class: "tn nowrap" }, word()));
  }

  function word() { return `best of ${state.n} · ${fmt.int(state.n * data.calls_per_picture)} calls a picture`; }

  function drawPicks() {
    fill(ui.picks, el("div", { class: "pane-h b" }, el("h2", null, "Picks"), el("span", { class: "meta muted" }, `of the first ${state.n} drawn`)), data.prompts.map((prompt) => {
      const firsts = prompt.samples.slice(0, state.n);
      const best = firsts.reduce((one, other) => (other.selecting > one.selecting ? other : one));
      return el("div", { class: "grp" }, el("div", { class: "grp-h" }, el("span", { class: "p clip grow", translate: "no" }, prompt.text), el("span", { class: "tn" }, fmt.num(best.selecting)), state.gold ? el("span", { class: "tn faint" }, fmt.num(best.gold)) : null),
        el("div", { class: "grp-t bon-t" }, prompt.samples.map((sample, i) => el("span", { class: `tile ${i >= state.n ? "out" : ""}`, "aria-current": sample === best ? "true" : null, "data-testid": sample === best ? "pick" : null, "data-sample": sample.id, title: `${fmt.num(sample.selecting)}${i >= state.n ? ", not among the first N" : ""}` },
          el("img", { src: `${sample.url}${sample.width > 128 ? "?side=128" : ""}`, alt: sample === best ? `picked: ${prompt.text}` : "", loading: "lazy", width: 64, height: 64, class: sample.width <= 128 ? "px" : null })))));
    }));
  }

  function sources() {
    const select = (key, label, rows, blank = "") => el("div", { class: "field" }, el("label", { for: `bon-${key}` }, label), el("select", { class: "sel", id: `bon-${key}`, "data-testid": `bon-${key}`, onchange: (e) => { state[key] = Number(e.target.value); if (key !== "gold") Object.assign(state, { n: 0, depth: 0 }); load(); } },
      blank && el("option", { value: 0 }, blank), rows.map((row) => el("option", { value: row.id, selected: row.id === state[key], translate: "no" }, row.name))));
    return el("div", { class: "sec" }, el("div", { class: "stack" }, select("policy", "Model", policies), select("set", "Prompts", sets), select("reward", "Keeps the best by", all), select("gold", "Judged by", all.filter((r) => r.id !== state.reward), "nobody else")));
  }

  function making() {
    const left = data ? data.unscored + data.unscored_gold : 0;
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", null, "Draw and score")), el("div", { class: "two" }, drawing.node),
      left > 0 && el("p", { class: "meta muted", style: "margin-top:8px", "data-testid": "unscored" }, `${fmt.count(data.unscored, "picture")} not scored by '${nameOf(state.reward)}'${state.gold ? `, ${fmt.int(data.unscored_gold)} by '${nameOf(state.gold)}'` : ""}.`),
      el("div", { class: "row", style: "margin-top:8px" }, button("Draw", { kind: data && !data.pictures_drawn ? "primary" : "", testid: "bon-draw", onclick: make }), left > 0 && button("Score", { kind: "primary", testid: "bon-score", onclick: score })), job);
  }

  async function make() {
    if (!drawing.check()) return;
    await follow("Drawing", () => api("generate", { body: { policy_id: state.policy, prompt_set_id: state.set, make_pairs: false, ...drawing.read() } }), score);
  }

  async function score() {
    await follow("Scoring", () => api(`rewards/${state.reward}/score`, { body: { policy_id: state.policy } }), state.gold
      ? () => follow("Scoring", () => api(`rewards/${state.gold}/score`, { body: { policy_id: state.policy } }), load) : load);
  }

  /** Have a job done, then go on. @param {string} title @param {() => Promise<any>} ask @param {() => any} then */
  async function follow(title, ask, then) {
    try {
      const { job_id } = await ask();
      stop();
      stop = watchJob(job, job_id, { title, onend: (ended) => { if (ended.status === "done") then(); } });
    } catch (error) { fill(job, note(`${title} was not asked for`, error.message)); }
  }

  function runs() {
    if (!data?.runs.length) return null;
    const by = state.gold ? "gold" : "selecting";
    const at = (n) => (n <= data.depth ? data.curves[by]?.[n - 1] : null);
    return el("div", { class: "sec", "data-testid": "bon-runs" }, el("div", { class: "sec-h" }, el("h2", null, "Runs at equal calls")),
      el("p", { class: "meta muted" }, "The N that costs as many calls as the run did, if so many pictures are drawn afterwards; gains by ", el("b", null, nameOf(state[by === "gold" ? "gold" : "reward"])), ", the run's on its held-out prompts."),
      el("div", { class: "row meta", style: "margin:8px 0" }, el("label", { for: "bon-pictures" }, "Pictures afterwards"), el("input", { class: "inp", id: "bon-pictures", type: "number", min: 1, value: state.pictures, style: "width:96px", onchange: (e) => { state.pictures = Math.max(1, Number(e.target.value) || 1000); load(); } })),
      el("table", { class: "tbl bon-runs" }, el("thead", null, el("tr", null, el("th", { class: "num" }, "the run gained"), el("th", { class: "num" }, "N"), el("th", { class: "num" }, "best of N gains"))),
        data.runs.map((run) => {
          const [gain, point] = [run[by], at(run.equal_n)];
          return el("tbody", null, el("tr", null, el("td", { colspan: 3 }, el("a", { class: "link clip", href: `/runs/${run.id}` }, run.name), el("span", { class: "meta faint" }, ` step ${run.step}`))),
            el("tr", null, el("td", { class: "num" }, gain ? pm(fmt.signed(gain.gain), fmt.num((gain.high - gain.low) / 2)) : el("span", { class: "faint", title: "The run did not watch this reward" }, "–")),
              el("td", { class: "num" }, fmt.int(run.equal_n)), el("td", { class: "num" }, point ? pm(fmt.signed(point.gain), fmt.num(fmt.ci(point.gain_se))) : el("span", { class: "faint", title: `Only ${data.depth} a prompt are drawn` }, "–"))));
        })));
  }
}

let dragging = false;
addEventListener("pointerdown", (e) => { dragging = e.target instanceof Element && !!e.target.closest(".bon-chart svg"); });
addEventListener("pointerup", () => { dragging = false; });
