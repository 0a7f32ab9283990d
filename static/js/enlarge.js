/**
 * The enlarged chart: a Plotly figure with values under the pointer, zoom and export. Plotly comes from
 * the studio itself and only when somebody asks for it; its template is made from the design tokens.
 */

import { button, dialog, el, fill, note } from "/static/js/lib.js";

const ADDRESS = "/vendor/plotly.min.js";
/** @type {Promise<any>|null} */
let loading = null;

/** Load Plotly once. */
function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = ADDRESS;
    script.onload = () => resolve(/** @type {any} */ (window).Plotly);
    script.onerror = () => { loading = null; script.remove(); reject(new Error("The chart library did not load. Install the package plotly, then try again.")); };
    document.head.append(script);
  });
  return loading;
}

/** What a CSS colour comes to in the theme that is on. @param {string} value */
function resolved(value) {
  const probe = el("span", { style: `color:${value};position:absolute` });
  document.getElementById("palate")?.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** @param {string} colour rgb(...) @param {number} alpha */
const faded = (colour, alpha) => colour.replace(/^rgb\(/, "rgba(").replace(/\)$/, `, ${alpha})`);

/** The one template of enlarged charts, made from the tokens. */
function layout() {
  const axis = { gridcolor: resolved("var(--line)"), zerolinecolor: resolved("var(--line-control)"), linecolor: resolved("var(--line)"), tickfont: { color: resolved("var(--faint)"), size: 11 } };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 56, r: 16, t: 8, b: 40 }, hovermode: "x unified",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: resolved("var(--text)") },
    hoverlabel: { bgcolor: resolved("var(--raised)"), bordercolor: resolved("var(--line)"), font: { color: resolved("var(--text)") } },
    xaxis: { ...axis, title: { text: "step", font: { size: 12, color: resolved("var(--muted)") } } }, yaxis: axis,
    legend: { orientation: "h", y: 1.08, x: 0 }, showlegend: true,
  };
}

const DASHES = { "6 3": "dash", "2 3": "dot", "8 3 2 3": "dashdot", "1 3": "dot", "10 4": "longdash", "3 2": "dash" };

/** A series of ours as Plotly traces: the band first, the line on it. @param {any} series */
function traces(series) {
  const colour = resolved(series.colour ?? "var(--text)");
  const out = [];
  if (series.band?.length > 1) {
    const [steps, low, high] = [0, 1, 2].map((i) => series.band.map((b) => b[i]));
    out.push({
      x: [...steps, ...[...steps].reverse()], y: [...high, ...[...low].reverse()], fill: "toself", fillcolor: faded(colour, 0.14),
      line: { width: 0 }, mode: "lines", hoverinfo: "skip", showlegend: false, name: `${series.name}, 95 %`,
    });
  }
  out.push({
    x: series.points.map((p) => p[0]), y: series.points.map((p) => p[1]), name: series.name, connectgaps: false, opacity: series.opacity ?? 1,
    mode: series.dots ? "lines+markers" : "lines", line: { color: colour, width: series.width ?? 1.75, dash: DASHES[series.dash] ?? "solid" }, marker: { color: colour, size: 5 },
  });
  return out;
}

/** The figures as a table that a spreadsheet reads. @param {any[]} series */
function asCsv(series) {
  const steps = [...new Set(series.flatMap((s) => s.points.map((p) => p[0])))].sort((a, b) => a - b);
  const columns = series.map((s) => new Map(s.points));
  const quote = (/** @type {string} */ text) => `"${text.replace(/"/g, '""')}"`;
  const lines = steps.map((step) => [step, ...columns.map((c) => c.get(step) ?? "")].join(","));
  return [["step", ...series.map((s) => quote(s.name))].join(","), ...lines].join("\n");
}

function save(name, text) {
  const link = el("a", { download: `${name.replace(/[^\w]+/g, "-").toLowerCase()}.csv`, href: URL.createObjectURL(new Blob([text], { type: "text/csv" })) });
  link.click();
  URL.revokeObjectURL(link.href);
}

/** @param {string} title @param {{series: any[], label: string}} spec */
export async function enlarge(title, spec) {
  const host = el("div", { class: "big-plot", "data-testid": "big-chart" }, el("p", { class: "meta muted", role: "status" }, "Loading the chart"));
  const shown = dialog(title, () => [host, el("div", { class: "row dialog-f" }, el("span", { class: "meta muted grow" }, spec.label),
    button("Save as CSV", { size: "sm", onclick: () => save(title, asCsv(spec.series)) }))], { wide: true });
  host.closest("dialog")?.classList.add("huge");
  try {
    const library = await plotly();
    fill(host);
    await library.newPlot(host, spec.series.flatMap(traces), layout(), { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"], topojsonURL: "" });
    host.dataset.ready = "yes";
  } catch (error) {
    fill(host, note("The enlarged chart did not open", error.message, {}));
  }
  await shown;
}
