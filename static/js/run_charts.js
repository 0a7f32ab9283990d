/** Which charts a run has, and what each draws from the state. The chosen step is the cursor in all of them. */

import { soon } from "/static/js/idle.js";
import { button, el, fill, fmt, kept } from "/static/js/lib.js";
import { areaChart, at, heatChart, lineChart, moveCursor, smooth } from "/static/js/charts.js";
import { known, shown } from "/static/js/series.js";
import { enlarge } from "/static/js/enlarge.js";
import { isQueued } from "/static/js/run_parts.js";
import { count, figure, num, rewardColour, rewardDash } from "/static/js/svg.js";

/** @typedef {import("/static/js/run_state.js").RunState} RunState */

const Z95 = 1.96;

/**
 * @typedef {object} Chart
 * @property {string} key
 * @property {string} title
 * @property {string} [about]    said beside the title, faint
 * @property {(state: RunState) => any} build   a spec without sizes; `draw` names the drawing function
 * @property {(state: RunState, step: number) => [string, string]} read   value and unit at a step
 * @property {(state: RunState) => boolean} [has]   whether this run has it; without rows yet, whether it will
 */

/** Names of the run's rewards, trained first, in the order of its settings. @param {any} run */
function rewardNames(run) {
  const config = run?.config ?? {};
  return [...(config.rewards ?? []), ...(config.watch ?? [])].map((term) => term.name);
}

const one = (/** @type {RunState} */ state, step, key) => state.near(key, step);

/** The reward people look at first: the one whose held-out gain the run reports. @param {RunState} state */
export function mainReward(state) {
  const known = heldOut(state);
  const wanted = state.run?.gain?.name;
  return wanted && known.includes(wanted) ? wanted : (known[0] ?? rewardNames(state.run)[0] ?? "reward");
}

/** Rewards that an evaluation measured. @param {RunState} state */
export function heldOut(state) {
  const keys = new Set(state.measured.flatMap((e) => Object.keys(e.metrics)));
  return rewardNames(state.run).filter((name) => keys.has(`gain/${name}`) || keys.has(`heldout/${name}`));
}

/** Held-out gain over step 0 with its standard error. @param {RunState} state @param {string} name */
export function gains(state, name) {
  const base = state.measured[0]?.metrics[`heldout/${name}`] ?? null;
  return state.measured.map((e) => {
    const stored = e.metrics[`gain/${name}`];
    const value = stored ?? (e.step === 0 ? 0 : difference(e.metrics[`heldout/${name}`], base));
    return { step: e.step, value: value ?? null, se: e.metrics[`gain_se/${name}`] ?? (e.step === 0 ? 0 : null) };
  });
}

const difference = (a, b) => (a === null || a === undefined || b === null ? null : a - b);

/** @param {RunState} state @param {string} name */
export function heroSpec(state, name) {
  const held = gains(state, name);
  const raw = state.values(`reward/${name}`);
  const first = [];
  for (let i = 0; i < raw.length && first.length < 5; i += 1) if (known(raw[i]) !== null) first.push(raw[i]);
  const base = first.length ? first.reduce((a, b) => a + b, 0) / first.length : 0;
  const off = raw.map((v) => v - base);
  const train = smooth(off, null, state.window).mean;
  return {
    label: `${kept(name)} on held-out prompts, change from the base by step`, signed: true,
    series: [
      { name: "train, each iteration", points: state.drawn(off), width: 0.75, opacity: 0.3, quiet: true },
      { name: "train", label: held.length > 1 ? "train" : undefined, points: state.drawn(train), colour: "var(--muted)", dash: "3 2", width: 1.25, quiet: true },
      { name: "held-out", label: "held-out", points: held.map((h) => [h.step, h.value]), dots: true,
        band: held.filter((h) => h.value !== null && h.se !== null).map((h) => [h.step, h.value - Z95 * h.se, h.value + Z95 * h.se]) },
    ],
    empty: isQueued(state.run ?? {}) ? "The run waits for a worker; the base is evaluated first." : "The base is being evaluated on held-out prompts.",
  };
}

/** Whether a reward of the rollouts can move: a win rate is one half on average, whatever happens. */
function moves(state, name) {
  const first = state.near(`reward/${name}`, -1);
  if (first === null) return false;
  const column = state.series.column(`reward/${name}`);
  let [many, other] = [0, false];
  for (let i = 0; i < state.steps.length && !other; i += 1) if (!Number.isNaN(column[i])) { many += 1; other = Math.abs(column[i] - first) > 1e-9; }
  return many < 2 || other;
}

/** Change of each reward in standard errors of its first iteration, so that scales compare. */
function rewardsSpec(state) {
  const names = rewardNames(state.run).filter((name) => moves(state, name));
  const single = names.length === 1;
  return {
    label: "Rewards of the rollouts by part, with 95 % intervals", signed: !single,
    series: names.map((name, i) => {
      const { mean, se } = smooth(state.values(`reward/${name}`), state.values(`reward_se/${name}`), state.window);
      const places = shown(state.steps, mean, state.zoom);
      const zero = single ? 0 : (mean.find((v) => known(v) !== null) ?? 0);
      const unit = single ? 1 : (state.values(`reward_se/${name}`).find((v) => v) ?? 1);
      const points = places.map((j) => [state.steps[j], known((mean[j] - zero) / unit)]);
      return {
        name, isName: true, label: single ? undefined : name, points, colour: rewardColour(i), dash: rewardDash(i), width: 1.75,
        band: points.flatMap(([s, v], k) => { const half = known(se[places[k]]); return v === null || half === null ? [] : [[s, v - (Z95 * half) / unit, v + (Z95 * half) / unit]]; }),
      };
    }),
  };
}

const plain = (key, label, extra = {}) => (/** @type {RunState} */ state) => ({
  label, series: [{ name: label, points: state.points(key) }], ...extra,
});

/** Of the evaluations, which draw the same prompts and seeds each time; of the iterations while there is but one. */
function diversitySpec(state) {
  const measured = state.measured.map((e) => [e.step, e.metrics.diversity ?? null]).filter(([, v]) => v !== null);
  const dots = measured.length > 1;
  const points = dots ? measured : state.points("diversity");
  const first = points.find(([, v]) => v)?.[1] ?? null;
  const share = first ? points.map(([s, v]) => [s, v === null ? null : v / first]) : points;
  return { label: "Diversity of samples, share of the first", series: [{ name: "diversity", points: share, dots }], floors: [{ y: 0.7, text: "warn", tone: "var(--warn)" }] };
}

/** How held-out pictures look, in deviations of the base over its prompts. @param {RunState} state */
function styleSpec(state) {
  const names = [...new Set(state.measured.flatMap((e) => Object.keys(e.metrics)))].filter((key) => key.startsWith("style/")).map((key) => key.slice(6)).filter((name) => state.measured[0].metrics[`style_sd/${name}`]);
  const off = (e, name) => difference(e.metrics[`style/${name}`], state.measured[0].metrics[`style/${name}`]);
  return {
    label: "Looks of held-out pictures, in deviations off the base", signed: true,
    series: names.map((name, i) => ({
      name, label: name, colour: rewardColour(i), dash: rewardDash(i), dots: true,
      points: state.measured.map((e) => { const far = off(e, name); return [e.step, far === null ? null : far / state.measured[0].metrics[`style_sd/${name}`]]; }),
    })),
  };
}

/** Weight of a trained reward after what people changed. @param {RunState} state @param {any} term @param {number} step */
function weightAt(state, term, step) {
  const held = state.orders.filter((o) => o.kind === "setting" && o.key === `rewards.${term.name}.weight` && o.step !== null && o.step < step);
  return Number(held.at(-1)?.value ?? term.weight);
}

/** Σ w·r / Σ |w| over the trained rewards at a step, with its standard error. @param {RunState} state @param {number} step @returns {[number, number]|null} */
function totalOf(state, step) {
  let [sum, size, square] = [0, 0, 0];
  for (const term of state.run?.config?.rewards ?? []) {
    const value = state.series.get(`reward/${term.name}`, step);
    if (value === null) continue;
    const weight = weightAt(state, term, step);
    sum += weight * value;
    size += Math.abs(weight);
    square += (weight * (state.series.get(`reward_se/${term.name}`, step) ?? 0)) ** 2;
  }
  return size ? [sum / size, Math.sqrt(square) / size] : null;
}

const totalAt = (state, step) => totalOf(state, Math.min(step, state.lastStep))?.[0] ?? null;

/** All rewards as the trainer weighs them, with a band that takes their errors as independent. @param {RunState} state */
function totalSpec(state) {
  const all = state.steps.map((step) => totalOf(state, step));
  const { mean, se } = smooth(Float64Array.from(all, (t) => t?.[0] ?? NaN), Float64Array.from(all, (t) => t?.[1] ?? NaN), state.window);
  const places = shown(state.steps, mean, state.zoom);
  return {
    label: "Weighted mean of the trained rewards, with 95 % intervals",
    series: [{
      name: "total", points: places.map((i) => [state.steps[i], known(mean[i])]),
      band: places.flatMap((i) => (known(mean[i]) === null || known(se[i]) === null ? [] : [[state.steps[i], mean[i] - Z95 * se[i], mean[i] + Z95 * se[i]]])),
    }],
  };
}

function ratioSpec(state) {
  const mean = state.points("ratio_mean");
  const off = (/** @type {number} */ step) => state.series.get("ratio_max_dev", step);
  return {
    label: "Probability ratio, mean and largest deviation",
    series: [{ name: "mean ratio", points: mean, band: mean.flatMap(([s, v]) => { const far = off(s); return v === null || far === null ? [] : [[s, v - far, v + far]]; }) }],
  };
}

function clipSpec(state) {
  const keys = state.keys("clip_share/").sort((a, b) => Number(a.split("/")[1]) - Number(b.split("/")[1]));
  if (!keys.length) return plain("clip_share", "Share of samples whose ratio was clipped")(state);
  return {
    draw: heatChart, label: "Share of edges whose ratio was clipped, by denoising step", steps: state.steps,
    rows: keys.map((key) => ({ name: `k ${key.split("/")[1]}`, values: state.values(key) })),
  };
}

const PHASES = { sample: "sampling", decode: "decoding", reward: "rewards", credit: "credit", update: "update", record: "record" };

/** Seconds by phase at a step, in the order of work. @param {RunState} state @param {number} step */
export function phases(state, step) {
  const row = state.row(step);
  return Object.entries(PHASES).filter(([key]) => row?.seconds[key] !== undefined).map(([key, name]) => ({ name, value: row?.seconds[key] ?? 0 }));
}

function secondsSpec(state) {
  const used = Object.entries(PHASES).filter(([key]) => state.timed(key));
  return piled(state, "Seconds of an iteration by phase", used.map(([key, name]) => ({ name, values: state.seconds(key) })));
}

function nfeSpec(state) {
  const keys = state.keys("nfe/");
  if (!keys.length) return { label: "Network evaluations", series: [{ name: "NFE", points: state.drawn(state.nfe()) }] };
  const names = Object.keys(NFE).filter((name) => keys.includes(`nfe/${name}`));
  return piled(state, "Network evaluations by purpose", names.map((name) => ({ name: NFE[name], values: state.values(`nfe/${name}`) })));
}

/** Parts piled on each other, at as many steps as can be seen; the tallest decide which. @param {RunState} state */
function piled(state, label, parts) {
  const sums = new Float64Array(state.steps.length);
  for (const { values } of parts) for (let i = 0; i < sums.length; i += 1) sums[i] += values[i] || 0;
  const places = shown(state.steps, sums, state.zoom);
  return { draw: areaChart, label, steps: places.map((i) => state.steps[i]), parts: parts.map((part) => ({ name: part.name, values: places.map((i) => part.values[i] || 0) })) };
}

/** What evaluations are for, in the order of work: S, U and R of the methods page. */
const NFE = { sample: "drawing", update: "learning", reference: "base or copy" };

/** Questions to judges, of all rewards that ask one. */
function judgeSpec(state) {
  return { label: "Pairs that a judge compared", series: state.keys("judge_calls/").map((key, i) => ({ name: key.split("/")[1], points: state.points(key), colour: i ? rewardColour(i) : undefined })) };
}

const judged = (state, step) => state.keys("judge_calls/").reduce((sum, key) => sum + (one(state, step, key) ?? 0), 0);
const recorded = (key) => (/** @type {RunState} */ state) => state.series.has(key);
const some = (key) => (/** @type {RunState} */ state) => state.values(key).some((v) => v);

const total = (state, step) => state.row(step)?.seconds.total ?? (phases(state, step).reduce((sum, p) => sum + p.value, 0) || null);

/** Every chart there is, the most telling first; a run shows those that it has. @type {Chart[]} */
const CHARTS = [
  { key: "rewards", title: "Rewards", build: rewardsSpec, read: (s) => ["", rewardNames(s.run).filter((name) => moves(s, name)).length > 1 ? "in s.e. of step 1" : "mean"], has: (s) => (s.steps.length ? rewardNames(s.run).some((name) => moves(s, name)) : trains(s)) },
  { key: "total", title: "Total reward", build: totalSpec, read: (s, k) => [num(totalAt(s, k), 3), "mean"], has: (s) => (s.run?.config?.rewards ?? []).length > 1 },
  { key: "pairs", title: "Pairs as judged", build: (s) => ({ ...plain("dpo_accuracy", "Share of pairs that the policy orders as they were judged")(s), range: [0, 1], floors: [{ y: 0.5, text: "chance", tone: "var(--warn)" }] }), read: (s, k) => [num(one(s, k, "dpo_accuracy"), 2), "share"], has: recorded("dpo_accuracy") },
  { key: "margin", title: "Margin", build: plain("dpo_margin", "How far the winner is preferred over the loser, in logits"), read: (s, k) => [figure(one(s, k, "dpo_margin")), "logits"], has: recorded("dpo_margin") },
  { key: "spread", title: "Group spread", build: (s) => ({ ...plain("spread", "Spread of the rewards inside a group")(s), floors: floorOf(s) }), read: (s, k) => [figure(one(s, k, "spread")), "sd"], has: (s) => trains(s) && (!s.steps.length || recorded("spread")(s)) },
  { key: "diversity", title: "Diversity", build: diversitySpec, read: (s, k) => [num(at(s.once("diversity", () => diversitySpec(s)).series[0].points, k)?.[1], 2), "of the first"] },
  { key: "style", title: "Look", build: styleSpec, read: () => ["", "off the base"], has: (s) => s.measured.some((e) => Number.isFinite(e.metrics["style/texture"])) },
  { key: "kl", title: "Distance", build: plain("kl", "Mean squared distance of the velocity from the weights that hold it"), read: (s, k) => [figure(one(s, k, "kl")), "from the base"], has: some("kl") },
  { key: "judge", title: "Judge", build: judgeSpec, read: (s, k) => [count(judged(s, k)), "questions"], has: (s) => s.keys("judge_calls/").some((key) => some(key)(s)) },
  { key: "loss", title: "Loss", build: plain("loss", "Loss"), read: (s, k) => [figure(one(s, k, "loss")), ""] },
  { key: "ratio", title: "Ratio", build: ratioSpec, read: (s, k) => [num(one(s, k, "ratio_mean"), 4), `max off ${figure(one(s, k, "ratio_max_dev"), 2)}`], has: recorded("ratio_mean") },
  { key: "clip", title: "Clipped share", build: clipSpec, read: (s, k) => [num(one(s, k, "clip_share"), 3), s.keys("clip_share/").length ? "of edges" : "of samples"], has: recorded("clip_share") },
  { key: "grad", title: "Gradient norm", build: plain("grad_norm", "Norm of the gradient before clipping"), read: (s, k) => [figure(one(s, k, "grad_norm")), ""] },
  { key: "seconds", title: "Time by phase", build: secondsSpec, read: (s, k) => [fmt.span(total(s, k)), "an iteration"] },
  { key: "nfe", title: "Network evaluations", build: nfeSpec, read: (s, k) => [count(s.row(k)?.nfe), "NFE"] },
  { key: "kept", title: "Groups kept", build: plain("groups_kept", "Groups with enough spread to teach"), read: (s, k) => [count(one(s, k, "groups_kept")), `of ${count(one(s, k, "groups_total"))}`], has: trains },
  { key: "advantage", title: "Advantage", build: plain("advantage_std", "Standard deviation of the advantages"), read: (s, k) => [figure(one(s, k, "advantage_std")), "sd"], has: trains },
];

/** Whether a reward is trained on: without one the method learns from judged pairs. @param {RunState} state */
function trains(state) {
  return (state.run?.config?.rewards ?? []).length > 0;
}

const NEAR = 4;

/** The charts of a run: those beside the large one, and those of the update. @param {RunState} state @returns {[Chart[], Chart[]]} */
export function chartsOf(state) {
  const there = CHARTS.filter((chart) => !chart.has || chart.has(state));
  return [there.slice(0, NEAR), there.slice(NEAR)];
}

function floorOf(state) {
  const floor = state.run?.config?.compose?.floor;
  const most = state.values("spread").reduce((/** @type {number} */ high, v) => (v > high ? v : high), 0);
  return floor && floor > most / 20 ? [{ y: floor, text: "floor", tone: "var(--bad)" }] : [];
}

/**
 * One chart with its caption. `place` reads where it stands, `draw` draws it that wide, or moves its cursor when nothing
 * else has changed; `read` says the figures of a step.
 * @param {Chart} chart @param {RunState} state @param {{onPick: (step: number) => void, onZoom: (from: number, to: number) => void, height: number}} options
 */
export function cell(chart, state, { onPick, onZoom, height }) {
  const value = el("span", { class: "v" });
  const unit = el("span", { class: "faint clip" });
  const host = el("div", { class: "plot" });
  const open = button("", { kind: "quiet", size: "sm icon", icon: "zoom", title: `Enlarge ${chart.title}`, onclick: () => enlarge(chart.title, plotted(chart.build(state))) });
  open.setAttribute("aria-label", `Enlarge ${chart.title}`);
  const node = el("figure", { class: "cell", "data-testid": `chart-${chart.key}`, "data-key": chart.key, id: `chart-${chart.key}` },
    el("figcaption", { class: "chart-h" }, el("b", null, chart.title), el("span", { class: "grow" }), value, unit, open), host);
  const read = (/** @type {number} */ step) => {
    const [text, word] = chart.read(state, step);
    fill(value, text);
    fill(unit, word);
  };
  const place = () => {
    const box = node.getBoundingClientRect();
    return { width: Math.floor(host.clientWidth || 232), near: box.bottom > -NEAR_PX && box.top < window.innerHeight + NEAR_PX };
  };
  const draw = (/** @type {number} */ width) => {
    const root = state.once(`${chart.key}:${width}`, () => {
      const spec = { ...chart.build(state), width, height, xMax: state.reach, zoom: state.zoom, marks: state.marks, cursor: state.step, onPick, onZoom, onHover: (s) => read(s ?? state.step) };
      return (spec.draw ?? lineChart)(spec);
    });
    if (host.firstChild !== root) fill(host, root);
    moveCursor(root, state.step);
  };
  return { node, place, draw, read: () => read(state.step) };
}

const NEAR_PX = 100;
let turn = 0;

/**
 * Draw charts: sizes are read before anything is written, so that the page is laid out once; those in view at once, the
 * others one by one when the browser has nothing better to do.
 * @param {ReturnType<typeof cell>[]} cells
 */
export function drawAll(cells) {
  const places = cells.map((one) => one.place());
  cells.forEach((one, i) => { if (places[i].near) one.draw(places[i].width); one.read(); });
  const later = cells.filter((_, i) => !places[i].near);
  const mine = (turn += 1);
  const next = () => {
    const one = later.shift();
    if (!one || mine !== turn) return;
    one.draw(one.place().width);
    if (later.length) soon(next);
  };
  if (later.length) soon(next);
}

/** A spec as plain lines, for the enlarged chart. */
function plotted(spec) {
  if (spec.series) return spec;
  const rows = spec.rows ?? spec.parts ?? [];
  return { label: spec.label, series: rows.map((row, i) => ({ name: row.name, colour: rewardColour(i), points: spec.steps.map((s, j) => [s, row.values[j]]) })) };
}

