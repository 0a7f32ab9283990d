/** The column beside the charts: the chosen iteration in figures, how its settings differ, the latest lines. */

import { button, dialog, el, fill, fmt } from "/static/js/lib.js";
import { auditMark } from "/static/js/reward_audit.js";
import { shareBar } from "/static/js/charts.js";
import { phases } from "/static/js/run_charts.js";
import { count, figure, num } from "/static/js/svg.js";

/** @typedef {import("/static/js/run_state.js").RunState} RunState */

const LOG_LINES = 12;
const RECENT = 8;

/** @param {RunState} state @param {HTMLElement} host */
export function drawIteration(state, host) {
  const step = state.step;
  const row = state.row(step);
  if (!row) {
    const text = step === 0 ? "Step 0 is the base: nothing has been updated yet." : "This iteration has not been recorded.";
    return fill(host, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, `Iteration ${step}`)), el("p", { class: "meta muted" }, text));
  }
  const parts = phases(state, step);
  const total = row.seconds.total ?? parts.reduce((sum, p) => sum + p.value, 0);
  const m = row.metrics;
  const judges = Object.keys(m).filter((key) => key.startsWith("judge_calls/") && m[key]);
  const lines = [
    ...parts.filter((p) => p.value >= total / 200).map((p) => [p.name, `${num(p.value, 2)} s`]),
    ["NFE", count(row.nfe)], m.groups_total !== undefined && ["groups kept", `${count(m.groups_kept)} of ${count(m.groups_total)}`],
    Number.isFinite(m.clip_share) && ["clip share", num(m.clip_share, 3)], m.kl ? ["distance from the base", figure(m.kl)] : null,
    Number.isFinite(m.dpo_accuracy) && ["pairs as judged", num(m.dpo_accuracy, 2)], Number.isFinite(m.dpo_margin) && ["margin", figure(m.dpo_margin)],
    judges.length > 0 && ["questions to the judge", count(judges.reduce((sum, key) => sum + m[key], 0))], ["gradient norm", figure(m.grad_norm)],
    m.lr !== undefined && ["learning rate", figure(m.lr, 2)],
  ].filter(Boolean);
  return fill(host,
    el("div", { class: "sec-h" }, el("h2", { class: "grow" }, `Iteration ${step}`), el("span", { class: "meta muted" }, fmt.span(total))),
    shareBar(parts), el("dl", { class: "kv", style: "margin-top:8px" }, lines.map(([word, value]) => [el("dt", null, word), el("dd", null, value)])),
    el("a", { class: "link meta", href: `/runs/${state.id}/rollouts?step=${step}`, "data-testid": "open-rollouts", style: "display:inline-block;margin-top:8px" }, `Rollouts of step ${step}`));
}

/** @param {RunState} state @param {HTMLElement} host */
export function drawChanges(state, host) {
  const run = state.run;
  const flat = flatten(run.config);
  const diff = run.diff ?? [];
  const open = button(`all ${flat.length} settings`, { kind: "quiet", size: "sm", testid: "open-config", onclick: () => showConfig(run, flat) });
  fill(host, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, run.parent_id ? "Changed from run " : "Settings",
    run.parent_id && el("a", { class: "link", style: "text-decoration:underline", href: `/runs/${run.parent_id}` }, String(run.parent_id))), open),
  run.parent_id
    ? diff.length
      ? el("dl", { class: "kv mono" }, diff.slice(0, 8).map((d) => [el("dt", { class: "clip", title: d.key }, d.key), el("dd", null, el("s", { class: "faint" }, text(d.parent)), " ", text(d.mine))]))
      : el("p", { class: "meta muted" }, "No differences: the same settings again.")
    : el("p", { class: "meta muted" }, `Recipe ${run.recipe || "none"}, seed ${run.seed}${run.code_version ? `, code ${run.code_version.slice(0, 12)}` : ""}.`),
  judges(run));
}

/** Judges among the run's rewards, each with what its audit says. @param {any} run */
function judges(run) {
  const found = Object.entries(run.audits ?? {});
  return found.length > 0 && el("dl", { class: "kv", "data-testid": "run-judges", style: "margin-top:8px" },
    found.map(([name, audit]) => [el("dt", { class: "clip", title: name, translate: "no" }, name), el("dd", null, auditMark(audit))]));
}

/** The newest lines; the whole log is a view of its own. @param {RunState} state @param {HTMLElement} host @param {() => void} onAll */
export function drawLog(state, host, onAll) {
  const lines = [...iterationLines(state), ...state.log.slice(-LOG_LINES).reverse().map((line) => ({ ...line, when: clock(line.at) }))];
  fill(host, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, "Latest"), button("Whole log", { kind: "quiet", size: "sm", testid: "open-log", onclick: onAll })),
    lines.length ? el("ol", { class: "log", "data-testid": "run-log", tabindex: "0", "aria-label": "Latest lines" }, lines.map((line) => el("li", { class: line.level === "error" ? "bad" : line.level === "warning" ? "warn" : "", title: line.text },
      el("span", { class: "faint" }, line.when), " ", line.text)))
      : el("p", { class: "meta muted" }, "Nothing written yet."));
}

/** The newest iterations as one line each: step, reward, spread, groups kept. @param {RunState} state */
function iterationLines(state) {
  const first = state.run?.config?.rewards?.[0]?.name;
  return state.steps.slice(-RECENT).reverse().map((step) => {
    const m = state.row(step)?.metrics ?? {};
    const kept = m.groups_total ? ` kept ${count(m.groups_kept)}/${count(m.groups_total)}` : "";
    const told = first ? `${first} ${num(m[`reward/${first}`], 3)} sd ${num(m.spread, 3)}${kept}` : `loss ${figure(m.loss)} margin ${figure(m.dpo_margin)}`;
    return { when: `step ${step}`, level: "info", text: told };
  });
}

const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");

const text = (value) => (typeof value === "number" && value !== 0 && Math.abs(value) < 1e-2 ? figure(value, 3) : value === null || value === undefined ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value));

/** Nested settings as (path, value) lines. @returns {[string, any][]} */
export function flatten(data, prefix = "") {
  if (data === null || typeof data !== "object" || (Array.isArray(data) && data.every((v) => typeof v !== "object"))) return [[prefix, data]];
  return Object.entries(data).flatMap(([key, value]) => flatten(value, prefix ? `${prefix}.${key}` : key));
}

function showConfig(run, flat) {
  return dialog(`Settings of ${run.name}`, () => {
    const table = el("tbody");
    const draw = (/** @type {string} */ query) => fill(table, flat.filter(([key]) => key.includes(query)).map(([key, value]) =>
      el("tr", null, el("td", { class: "mono" }, key), el("td", { class: "mono num wrap" }, text(value)))));
    draw("");
    const copy = button("Copy as JSON", { size: "sm", icon: "copy", onclick: () => navigator.clipboard.writeText(JSON.stringify(run.config, null, 2)).then(() => { copy.textContent = "Copied"; }) });
    return [el("div", { class: "row" }, el("input", { class: "inp", type: "search", placeholder: "Find a setting", "aria-label": "Find a setting", oninput: (e) => draw(e.target.value.trim()) }), copy),
      el("div", { class: "config-table", tabindex: "0" }, el("table", { class: "tbl", "data-testid": "config-table" }, table)),
      el("p", { class: "meta muted" }, `Seed ${run.seed}, code ${run.code_version || "unknown"}, made ${fmt.ago(run.created_at)}.`)];
  }, { wide: true });
}
