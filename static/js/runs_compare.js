/** Several runs at once: their curves over each other, pictures of the same prompts side by side, the settings that differ. */

import { api, button, el, fill, fmt, icon, live, note, setQuery } from "/static/js/lib.js";
import { known, lineChart, smooth } from "/static/js/charts.js";
import { gainText, methodName, statusPill, stepMeter } from "/static/js/run_parts.js";
import { flatten } from "/static/js/run_side.js";
import { figure, num, rewardColour, rewardDash } from "/static/js/svg.js";

const MOST = 6;
const WINDOW = 10;
/** Least width of a chart, as static/css/launch.css has it. */
const CELL = 330;
/** Figures of an update that mean the same in every run: key, title. */
const FIGURES = [["spread", "Group spread"], ["kl", "Distance from the base"], ["grad_norm", "Gradient norm"], ["diversity", "Diversity"]];

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const view = new CompareRuns(main, page);
  await view.start();
  return () => view.close();
}

/** Settings that are not the same in all runs, as [path, value of each run]. @param {any[]} configs @returns {[string, any[]][]} */
function differing(configs) {
  const flat = configs.map((config) => new Map(flatten(config)));
  const keys = [...new Set(flat.flatMap((map) => [...map.keys()]))].sort();
  return keys.map((key) => /** @type {[string, any[]]} */ ([key, flat.map((map) => map.get(key))]))
    .filter(([, values]) => new Set(values.map((value) => JSON.stringify(value))).size > 1);
}

class CompareRuns {
  /** @param {HTMLElement} main @param {any} page */
  constructor(main, page) {
    Object.assign(this, { main, page });
    this.ids = [...new Set((page.query.get("runs") ?? "").split(",").map(Number).filter(Boolean))].slice(0, MOST);
    this.step = page.query.has("step") ? Number(page.query.get("step")) : null;
  }

  close() {
    this.watch?.disconnect();
  }

  async start() {
    if (this.ids.length < 2) {
      fill(this.main, el("div", { class: "sec" }, note("Two runs are needed", "Select them on the Runs page with X, then press Enter.", { tone: "warn", actions: [el("a", { class: "btn sm", href: "/runs" }, "All runs")] })));
      return;
    }
    try {
      const read = await Promise.all(this.ids.map((id) => Promise.all([api(`runs/${id}`), api(`runs/${id}/metrics`)])));
      this.runs = read.map(([run, metrics], i) => ({ run, metrics, colour: rewardColour(i), dash: rewardDash(i) }));
      this.layout();
    } catch (error) {
      fill(this.main, el("div", { class: "sec" }, note("The runs could not be read", error.message, { actions: [button("Try again", { size: "sm", onclick: () => this.start() }), el("a", { class: "btn sm quiet", href: "/runs" }, "All runs")] })));
    }
  }

  layout() {
    this.charts = el("div", { class: "over-charts", "data-testid": "overlaid" });
    this.samples = el("div", { class: "samples", "data-testid": "side-by-side" });
    fill(this.main, el("div", { class: "scroll" }, this.legend(), this.charts, this.samples, this.settings()));
    this.drawSamples();
    this.watch = new ResizeObserver(() => this.drawCharts());
    this.watch.observe(this.charts);
  }

  /** Which line is whose, and how each run stands. */
  legend() {
    const tuned = this.runs.filter(({ run }) => run.tuned_policy_id);
    const blind = tuned.length >= 2 ? `/compare?base=${tuned[0].run.tuned_policy_id}&tuned=${tuned[1].run.tuned_policy_id}` : "";
    return el("div", { class: "over-h" }, el("table", { class: "tbl pad" }, el("thead", null, el("tr", null, ["run", "status", "recipe", "step"].map((word) => el("th", null, word)), el("th", { class: "num" }, "held-out, vs base"), el("th", { class: "num" }, "judge, vs base"), el("th", null, el("span", { class: "vh" }, "remove")))),
      el("tbody", null, this.runs.map(({ run, colour, dash }) => el("tr", { "data-testid": "compared-run", "data-run": run.id },
        el("td", null, el("span", { class: "row" }, el("svg", { width: 24, height: 8, "aria-hidden": "true" }, el("line", { x1: 0, x2: 24, y1: 4, y2: 4, style: `stroke:${colour};stroke-width:2`, "stroke-dasharray": dash })), el("a", { class: "strong", href: `/runs/${run.id}` }, run.name))),
        el("td", null, statusPill(run)), el("td", { class: "muted" }, methodName(run)), el("td", null, stepMeter(run)),
        el("td", { class: "num" }, gainText(run.gain)), el("td", { class: "num" }, gainText(run.judge)),
        el("td", { class: "num" }, this.runs.length > 2 && el("button", { class: "btn quiet sm icon", "aria-label": `Take ${run.name} out`, onclick: () => this.without(run.id) }, icon("x"))))))),
    el("div", { class: "row over-foot" }, el("span", { class: "meta muted" }, "Bands are 95 % intervals."), el("span", { class: "grow" }),
      blind ? el("a", { class: "btn primary", "data-testid": "compare-blind", href: blind }, icon("compare"), "Judge the first two blind") : el("span", { class: "meta muted" }, "Two runs with a checkpoint can be judged blind.")));
  }

  /** @param {number} id */
  without(id) {
    this.ids = this.ids.filter((other) => other !== id);
    setQuery({ runs: this.ids.join(",") });
    this.runs = this.runs.filter(({ run }) => run.id !== id);
    this.watch?.disconnect();
    this.layout();
  }

  drawCharts() {
    const columns = Math.max(1, Math.floor(this.charts.clientWidth / CELL));
    const width = Math.floor(this.charts.clientWidth / columns) - 26;
    const xMax = Math.max(...this.runs.map(({ run }) => run.num_steps));
    const names = (key) => [...new Set(this.runs.flatMap(({ run }) => run.config[key].map((term) => term.name)))];
    const held = [...names("rewards"), ...names("watch")].filter((name, i, all) => all.indexOf(name) === i);
    const specs = [
      ...held.map((name) => ({ key: `held-${name}`, title: `${name}, held-out change from the base`, signed: true, series: this.evaluated(name) })),
      ...names("rewards").map((name) => ({ key: `reward-${name}`, title: `${name} while training, mean of ${WINDOW}`, series: this.trained(`reward/${name}`, `reward_se/${name}`) })),
      ...FIGURES.map(([key, title]) => ({ key, title, series: this.trained(key, "") })),
    ].filter((spec) => spec.series.some((series) => series.points.some(([, value]) => value !== null)));
    fill(this.charts, specs.map(({ key, title, series, signed }) => {
      const readout = el("span", { class: "meta faint" });
      return el("div", { class: "cell", "data-testid": `over-${key}` }, el("div", { class: "row chart-h" }, el("h3", { class: "grow clip", title }, title), readout),
        lineChart({ series, signed, width, height: 168, xMax, right: 10, cursor: this.step, label: title,
          onPick: (step) => this.choose(step), onHover: (step) => fill(readout, step === null ? "" : `step ${fmt.int(step)}`) }));
    }));
    if (!specs.length) fill(this.charts, el("p", { class: "sec meta muted" }, "None of these runs has a figure yet."));
  }

  /** Held-out change from the base with its interval. @param {string} name */
  evaluated(name) {
    return this.runs.map(({ run, metrics, colour, dash }) => {
      const known = metrics.evaluations.filter((e) => Number.isFinite(e.metrics[`gain/${name}`]));
      const half = (e) => fmt.ci(e.metrics[`gain_se/${name}`] ?? 0);
      return { name: run.name, colour, dash, dots: true, points: known.map((e) => [e.step, e.metrics[`gain/${name}`]]), band: known.map((e) => [e.step, e.metrics[`gain/${name}`] - half(e), e.metrics[`gain/${name}`] + half(e)]), bandOpacity: 0.14 };
    });
  }

  /** A figure of the updates, smoothed; with its interval where a standard error was recorded. @param {string} key @param {string} se */
  trained(key, se) {
    return this.runs.map(({ run, metrics, colour, dash }) => {
      const { mean, se: errors } = smooth(metrics.series[key] ?? [], metrics.series[se] ?? null, WINDOW);
      const points = Array.from(mean, (value, i) => [metrics.steps[i], known(value)]);
      const band = points.flatMap(([step, value], i) => (value === null || !Number.isFinite(errors[i]) ? [] : [[step, value - fmt.ci(errors[i]), value + fmt.ci(errors[i])]]));
      return { name: run.name, colour, dash, points, band, bandOpacity: 0.14 };
    });
  }

  /** @param {number} step the pictures and the cursor of all charts go there */
  choose(step) {
    this.step = step;
    setQuery({ step });
    live(`Step ${step}`);
    this.drawCharts();
    this.drawSamples();
  }

  /** The newest evaluation at or before the chosen step. */
  pictured({ metrics }) {
    const some = metrics.evaluations.filter((e) => e.samples.length);
    return some.filter((e) => this.step === null || e.step <= this.step).at(-1) ?? some[0];
  }

  drawSamples() {
    const shown = this.runs.map((one) => ({ ...one, evaluation: this.pictured(one) }));
    const asked = new Map();
    for (const { evaluation } of shown) for (const sample of evaluation?.samples ?? []) asked.set(`${sample.seed} ${sample.prompt}`, sample);
    if (!asked.size) return fill(this.samples, el("p", { class: "sec meta muted" }, "Pictures of the fixed prompts appear here when an evaluation has ended."));
    const first = this.runs[0].run.config.rewards[0]?.name ?? this.runs[0].run.config.watch?.[0]?.name;
    return fill(this.samples, el("table", { class: "smp over-smp" },
      el("thead", null, el("tr", null, el("th", null, el("h2", null, "Fixed prompts")), shown.map(({ run, evaluation }) => el("th", { translate: "no" }, run.name, el("span", { class: "faint" }, evaluation ? ` step ${evaluation.step}` : " no picture"))))),
      el("tbody", null, [...asked].map(([key, { prompt, seed }]) => el("tr", null, el("th", { scope: "row" }, el("span", null, prompt), el("span", { class: "faint" }, `seed ${seed}`)),
        shown.map(({ evaluation }) => {
          const sample = evaluation?.samples.find((s) => `${s.seed} ${s.prompt}` === key);
          return el("td", null, sample ? el("span", { class: "shot-button" }, el("img", { src: sample.url, width: 96, height: 96, alt: `step ${evaluation.step}: ${prompt}`, loading: "lazy", onload: (e) => e.target.classList.toggle("px", e.target.naturalWidth <= 128) }), el("span", { class: "micro faint", title: first }, num(sample.rewards?.[first], 2)))
            : el("span", { class: "gone", title: "This run drew no picture of this prompt and seed." }, "not made"));
        }))))));
  }

  settings() {
    const rows = differing(this.runs.map(({ run }) => run.config));
    const write = (value) => (value === undefined ? "–" : value === null ? "none" : typeof value === "number" ? figure(value) : typeof value === "object" ? JSON.stringify(value) : String(value));
    return el("div", { class: "sec over-settings" }, el("div", { class: "sec-h" }, el("h2", null, "Settings that differ"), el("span", { class: "meta muted" }, fmt.count(rows.length, "setting"))),
      rows.length ? el("table", { class: "tbl", "data-testid": "config-difference" }, el("thead", null, el("tr", null, el("th", null, "setting"), this.runs.map(({ run }) => el("th", { translate: "no" }, run.name)))),
        el("tbody", null, rows.map(([key, values]) => el("tr", { "data-key": key }, el("td", { class: "mono" }, key), values.map((value) => el("td", { class: "mono clip", title: write(value) }, write(value)))))))
        : el("p", { class: "meta muted" }, "None: these are the same run again, so what differs is chance."));
  }
}
