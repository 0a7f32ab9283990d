/**
 * One study: what is asked with its settings, how it will look on Label while the form changes, its items with the verdicts they
 * got, how far it is, and its data out and in.
 */
import { api, button, el, fill, fmt, keys, live, note, poll, toast } from "/static/js/lib.js";
import { watchJob } from "/static/js/jobs.js";
import { dataSections } from "/static/js/study_data.js";
import { itemsPart } from "/static/js/study_items.js";
import { KINDS, overlapText, studyPill, workText } from "/static/js/study_parts.js";
import { preview } from "/static/js/study_preview.js";
import { settings } from "/static/js/study_settings.js";

const REFRESH_S = 3;

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const id = Number(page.params.study_id);
  let study;
  let asked;
  try {
    [study, ...asked] = await Promise.all([api(`studies/${id}`), api("studies/form"), api("studies/choosers"), api("studies/people"), api("labels/formats")]);
  } catch (error) {
    fill(main, el("div", { class: "sec" }, note(error.status === 404 ? "There is no such study" : "The study could not be read", error.message,
      { actions: [el("a", { class: "btn sm", href: "/studies" }, "All studies"), button("Try again", { size: "sm", onclick: () => location.reload() })] })));
    return () => {};
  }
  const [spec, choosers, people, formats] = asked;
  let seen = "";
  let stopJob = () => {};
  const bar = el("div", { class: "bar study-bar", role: "toolbar", "aria-label": "Study" });
  const trouble = el("div", { "aria-live": "polite" });
  const view = preview(study.kind);
  const items = itemsPart(id, study.kind, page, (item) => view.show(item), (now) => { study = now; draw(); });
  const far = el("section", { class: "sec", "data-testid": "study-progress", "aria-label": "How far it is" });
  const form = settings({ study, spec, choosers, people, onchange: (config) => view.ask(config), onstate: drawBar, onsaved: saved });
  const data = dataSections(study, formats, () => Promise.all([refresh(), items.load()]), Number(page.query.get("import")) || 0);
  fill(main, bar, trouble, el("div", { class: "panes study" }, form.node,
    el("section", { class: "pane scroll study-mid", "aria-label": "As people see it" }, view.node, items.node),
    el("aside", { class: "pane scroll", "aria-label": "How far it is, and its data" }, far, sources(), data.nodes)));
  page.title(study.name, [["Studies", "/studies"]], true);
  view.ask(study.config);
  draw();
  await items.load();
  if (study.status === "drawing") follow();
  const unbind = keys.bind("Study", [{ id: "study.label", keys: ["l"], label: "Label this study", run: () => { if (study.status === "open") page.go(`/label/${id}`); } }]);
  const stop = poll(refresh, REFRESH_S);
  return () => { stop(); stopJob(); unbind(); data.close(); view.dispose(); page.subtitle(""); };

  async function refresh() {
    const before = study.status;
    study = await api(`studies/${id}`);
    const isOver = before === "drawing" && study.status !== "drawing";
    if (isOver) { stopJob(); fill(trouble); }
    draw();
    if (isOver) await items.load();
  }

  function draw() {
    const text = JSON.stringify(study);
    if (text === seen) return;
    seen = text;
    page.subtitle(`${KINDS[study.kind]} at a time`);
    drawBar();
    drawFar();
    if (study.status === "failed") fill(trouble, el("div", { class: "run-error" }, note("Its pictures were not drawn", `${study.error} Make it anew from Studies; nothing else is touched.`, { actions: [el("a", { class: "btn sm", href: "/studies" }, "Studies")] })));
  }

  /** While pictures are drawn, the job stands above all. */
  function follow() {
    const host = el("div", { class: "sec drawing" });
    fill(trouble, host);
    stopJob = watchJob(host, study.job_id, { title: "Drawing its pictures", onend: () => refresh() });
  }

  function drawBar() {
    const { status } = study;
    const can = status === "open";
    const primary = form.isChanged() ? "" : "primary";
    fill(bar, studyPill(study), study.items > 0 && el("span", { class: "meta muted not-phone" }, `${fmt.count(study.items, "item")}, judged by ${overlapText(study.config)}`), el("span", { class: "grow" }),
      el("a", { class: "btn quiet", href: `/studies/${id}/quality` }, "Quality"), el("a", { class: "btn quiet", href: `/leaderboard?study=${id}` }, "Leaderboard"),
      can && button("Close", { title: "Nobody is asked any more; every judgement stays", testid: "close-study", onclick: () => turn("closed") }),
      status === "closed" && button("Open again", { testid: "open-study", kind: primary, onclick: () => turn("open") }),
      can && el("a", { class: `btn ${primary}`, href: `/label/${id}`, "data-testid": "label-study" }, "Label ", el("kbd", { "aria-hidden": "true" }, "L")));
  }

  async function turn(status) {
    try {
      study = await api(`studies/${id}`, { method: "PATCH", body: { status } });
      live(status === "open" ? "The study is open." : "The study is closed; every judgement stays.");
      draw();
    } catch (error) { toast(error.message, { sign: "fail", tone: "bad" }); }
  }

  function saved(now) {
    study = now;
    page.title(study.name, [["Studies", "/studies"]], true);
    seen = "";
    draw();
    items.load();
  }

  function drawFar() {
    const left = Math.max(0, study.wanted - study.labels);
    fill(far, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, "How far it is"), el("span", { class: "meta muted" }, left ? `≈ ${workText(left)} of work left` : study.items ? "everything is judged" : "")),
      el("span", { class: "meter go" }, el("b", { style: `width:${((100 * study.labels) / Math.max(1, study.wanted)).toFixed(1)}%` })),
      el("dl", { class: "kv", style: "margin-top:10px" }, term("judgements by people", [fmt.int(study.labels), el("span", { class: "faint" }, ` of ${fmt.int(study.wanted)}`)]),
        term("items settled", [fmt.int(study.settled), el("span", { class: "faint" }, ` of ${fmt.int(study.items)}`)]), term("begun", fmt.ago(study.created_at))));
  }

  function sources() {
    if (!study.sources.length) return null;
    return el("section", { class: "sec", "aria-label": "Sources" }, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, "Sources"), el("span", { class: "meta muted" }, "hidden from annotators")),
      el("table", { class: "tbl", "data-testid": "study-sources" }, el("thead", null, el("tr", null, el("th", null, "drawn by"), el("th", { class: "num" }, "times shown"))),
        el("tbody", null, study.sources.map((source) => el("tr", null, el("td", { class: "clip", translate: "no" }, source.name), el("td", { class: "num" }, fmt.int(source.items)))))));
  }
}

const term = (word, value) => [el("dt", null, word), el("dd", null, value)];
