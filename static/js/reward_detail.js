/** One reward in full: how far it agrees with people, whether its confidence is earned, what it likes. */

import { api, button, dialog, el, fill, fmt, icon, note } from "/static/js/lib.js";
import { calibrationPlot, intervalBar, learningCurve, scatterPlot, spearman } from "/static/js/plots.js";
import { auditSection } from "/static/js/reward_audit.js";
import { nextStep } from "/static/js/reward_live.js";
import { drawVersions } from "/static/js/reward_versions.js";
import { flatten } from "/static/js/run_side.js";
import { figure, num } from "/static/js/svg.js";

const ENDS = 8;
const SCATTER = 200;

/**
 * @param {HTMLElement} host @param {any} row
 * @param {{kind: any, versions: any[], others: any[], onVersion: (row: any) => void, onScore: () => Promise<void>, onAudit: () => Promise<void>}} options
 */
export async function drawReward(host, row, options) {
  const ends = el("div", { class: "sec" }, el("p", { class: "meta muted", role: "status" }, "Reading what it said of samples"));
  const [parts, past] = [el("div", { class: "sec" }), el("div", { class: "sec" })];
  fill(host, head(row, options), ["learned", "directional"].includes(row.kind) ? learned(row, options.others) : plain(row, options.kind), auditSection(row, options.onAudit), ends, parts, past);
  drawVersions(past, row, (id) => options.onVersion(options.versions.find((one) => one.id === id) ?? row));
  await drawEnds(ends, parts, row, options).catch((error) => fill(ends, note("Its scores could not be read", error.message)));
}

function head(row, { kind, versions, onVersion }) {
  const pick = versions.length > 1
    ? el("select", { class: "sel sm-sel", "aria-label": "Version", onchange: (e) => onVersion(versions.find((v) => String(v.id) === e.target.value)) }, versions.map((v) => el("option", { value: v.id, selected: v.id === row.id }, `version ${v.version}`)))
    : el("span", { class: "meta muted" }, `version ${row.version}`);
  return el("div", { class: "pane-h" }, el("h2", { "data-testid": "reward-name-shown", translate: "no" }, row.name), pick, el("span", { class: "meta muted clip" }, kind?.title ?? row.kind), el("span", { class: "grow" }),
    el("a", { class: "btn sm", href: `/runs/new?reward=${encodeURIComponent(row.name)}`, "data-testid": "use-in-run" }, "Use in a new run"));
}

const share = (f) => el("span", null, num(100 * f.accuracy, 1), el("span", { class: "faint" }, ` % (${num(100 * f.low, 1)} to ${num(100 * f.high, 1)})`));

/** Rewards learned from the same number of answers: their figures are of the same pairs. */
const beside = (row, others) => others.filter((other) => ["learned", "directional"].includes(other.kind) && other.figures?.pairs === row.figures?.pairs && Number.isFinite(other.figures?.accuracy));

function learned(row, others = []) {
  const f = row.figures ?? {};
  if (!Number.isFinite(f.accuracy)) return el("div", { class: "sec" }, note("This version has no figures", "It was brought in without its training. Learn it again to measure it.", { tone: "warn" }));
  const verdict = f.usable === false
    ? el("div", { class: "note warn" }, icon("warn", "warn"), el("div", { class: "x" }, el("b", { class: "strong" }, "Not better than guessing yet"), el("p", { class: "meta" }, "Its interval does not lie above 50 %. More pairs, above all decided ones, make it narrower.")))
    : f.better === false
      ? el("div", { class: "note warn", "data-testid": "not-better" }, icon("warn", "warn"), el("div", { class: "x" }, el("b", { class: "strong" }, "Not usable yet"), el("p", { class: "meta" }, `It cannot be told from the stock reward: ${num(100 * f.difference.low, 1)} to ${num(100 * f.difference.high, 1)} points apart on the same pairs. `, f.next && nextStep(f.next))))
      : null;
  const line = (word, value, bar) => el("tr", null, el("td", null, word), el("td", null, bar), el("td", { class: "num" }, value));
  return el("div", { class: "sec", "data-testid": "learned-figures" }, el("div", { class: "row", style: "align-items:baseline;gap:8px;margin-bottom:4px" },
    el("span", { class: "figure", "data-testid": "reward-accuracy" }, `${num(100 * f.accuracy, 1)} %`), el("span", { class: "muted" }, `± ${num((100 * (f.high - f.low)) / 2, 1)}`),
    el("span", { class: "muted" }, `of ${fmt.count(f.pairs, "decided pair")} on prompts it did not see`)),
  verdict,
  el("table", { class: "tbl agree", style: "margin:4px 0 12px" }, el("tbody", null,
    line("this reward", share(f), intervalBar(f)), f.baseline?.accuracy !== undefined && line(f.baseline.name ?? "encoder alone", share(f.baseline), intervalBar(f.baseline, { tone: "var(--muted)" })),
    beside(row, others).map((other) => line(`${other.name} (${other.figures.head ?? other.kind})`, share(other.figures), intervalBar(other.figures, { tone: "var(--muted)" }))),
    f.ceiling && line("two answers to one pair", share(f.ceiling), intervalBar(f.ceiling, { tone: "var(--muted)" })))),
  f.calibration?.length && el("div", { class: "figs" },
    el("figure", null, el("figcaption", { class: "chart-h" }, el("b", null, "Calibration"), el("span", { class: "grow" }), el("span", { class: "muted" }, `error ${num(f.ece, 3)}`)), calibrationPlot(f.calibration),
      el("p", { class: "meta muted" }, "On the dashed line, confidence is earned. Bars are 95 % intervals; the number is its pairs.")),
    el("figure", null, el("figcaption", { class: "chart-h" }, el("b", null, "Learning curve"), el("span", { class: "grow" }), el("span", { class: "muted" }, f.ties !== undefined ? `${fmt.count(f.ties, "tie")} on top` : "")),
      f.curve?.length ? learningCurve(f.curve) : el("p", { class: "meta muted" }, "Not measured."), el("p", { class: "meta muted" }, "If it still rises at the right, more answers will help."))));
}

function plain(row, kind) {
  const settings = flatten(row.config ?? {}).filter(([key]) => key);
  return el("div", { class: "sec" }, el("p", null, kind?.summary ?? ""), el("p", { class: "meta muted", style: "margin-top:4px" }, kind?.source ?? ""),
    el("dl", { class: "kv", style: "margin-top:8px;max-width:360px" }, kind?.range && [el("dt", null, "range"), el("dd", null, kind.range.map((v) => (v === null ? "open" : num(v, 0))).join(" to "))],
      kind?.traits && traits(kind.traits),
      settings.map(([key, value]) => [el("dt", null, key), el("dd", { class: "mono" }, value === null ? "none" : String(value))])));
}

/** What a kind declares of itself, as rows of a list of definitions. */
const traits = (t) => [["latency", t.latency_text], ["compares", t.comparable ? "across prompts" : "inside one prompt"], ["same picture, same value", t.deterministic ? "yes" : "no"],
  ["reads text in pictures", t.reads_text ? "yes" : "no"], ["differentiable", t.differentiable ? "yes" : "no"], ["weights", t.weights], ["licence", t.licence]].map(([word, value]) => [el("dt", null, word), el("dd", null, value)]);

async function drawEnds(ends, parts, row, { others, onScore }) {
  const [high, low] = await Promise.all(["high", "low"].map((order) => api(`rewards/${row.id}/samples?order=${order}&limit=${ENDS}`)));
  const [best, worst] = [high, low].map((answer) => answer.items ?? answer);
  if (!best.length) {
    fill(ends, el("div", { class: "row" }, el("div", { class: "grow" }, el("h2", null, "What it likes"), el("p", { class: "meta muted" }, "It has scored no sample yet.")), button("Score samples", { size: "sm", testid: "score-samples", onclick: onScore })));
    return fill(parts);
  }
  fill(ends, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, "What it likes"), button("Score newer samples", { size: "sm", kind: "quiet", testid: "score-samples", onclick: onScore })),
    el("div", { class: "ends" }, thumbs("Highest", best, "high"), thumbs("Lowest", worst, "low")));
  return drawScatter(parts, row, others);
}

function thumbs(title, items, order) {
  return el("div", { "data-testid": `samples-${order}` }, el("h3", { style: "margin-bottom:6px" }, title), el("div", { class: "thumbs" }, items.map((item) => el("figure", null,
    el("img", { src: item.sample.url, width: 64, height: 64, alt: item.sample.prompt, title: item.sample.prompt, loading: "lazy", onload: (e) => e.target.classList.toggle("px", e.target.naturalWidth <= 128) }),
    el("figcaption", { title: item.status === "ok" ? "" : item.status }, figure(item.value))))));
}

async function drawScatter(host, row, others) {
  if (!others.length) return fill(host);
  const { items } = await api(`samples?limit=${SCATTER}`);
  const draw = (/** @type {string} */ name) => {
    const points = items.filter((s) => Number.isFinite(s.scores?.[row.name]) && Number.isFinite(s.scores?.[name])).map((s) => ({ x: s.scores[row.name], y: s.scores[name], url: s.url, prompt: s.prompt }));
    const choice = el("select", { class: "sel sm-sel", "aria-label": "The other reward", "data-testid": "scatter-other", onchange: (e) => draw(e.target.value) }, others.map((o) => el("option", { value: o.name, selected: o.name === name, translate: "no" }, o.name)));
    fill(host, el("div", { class: "sec-h" }, el("h2", { class: "nowrap" }, "Where two rewards part"), points.length > 2 && el("span", { class: "meta muted nowrap" }, `rank correlation ${num(spearman(points))} on ${points.length} samples`), el("span", { class: "grow" }), el("span", { class: "meta faint" }, `${row.name} ×`), choice),
      points.length > 2 ? scatterPlot(points, { xWord: row.name, yWord: name, width: Math.max(300, Math.min(760, host.clientWidth - 32)), onPick: show }) : el("p", { class: "meta muted" }, `Too few samples have been scored by both ${row.name} and ${name}.`));
  };
  return draw(others[0].name);
}

function show(point) {
  return dialog("Sample", () => [el("img", { src: point.url, width: 256, height: 256, alt: point.prompt, class: "px" }), el("p", { style: "margin-top:8px", translate: "no" }, point.prompt), el("p", { class: "meta muted" }, `${figure(point.x)} and ${figure(point.y)}`)]);
}
