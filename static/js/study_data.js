/** A study's data: out in any format, with what it has no place for; in from a file, with every row that cannot be read. */
import { api, button, el, fill, fmt, note } from "/static/js/lib.js";
import { watchJob } from "/static/js/jobs.js";
import { ROWS } from "/static/js/study_parts.js";
import { send } from "/static/js/upload.js";

const SHOWN = 100;

/** @param {any} study @param {any[]} formats of /labels/formats @param {() => any} onimported @param {number} [importing] job that is at it
 * @returns {{nodes: HTMLElement[], close: () => void}} */
export function dataSections(study, formats, onimported, importing) {
  let stop = () => {};
  return { nodes: [out(), into()], close: () => stop() };

  function out() {
    const written = formats.filter((format) => format.writes && format.file !== "folder");
    const choose = el("select", { class: "sel", id: "export-format", "data-testid": "export-format", "aria-describedby": "export-help", onchange: draw }, written.map((format) => el("option", { value: format.name }, format.title)));
    choose.value = "jsonl";
    const simulated = el("input", { type: "checkbox", onchange: draw });
    const help = el("p", { class: "meta muted", id: "export-help", "data-testid": "export-help" });
    const counted = el("p", { class: "meta", role: "status", "data-testid": "export-counted" });
    const link = el("a", { class: "btn", download: "", "data-testid": "export-link" }, "Download");
    const query = () => `format=${choose.value}&study_id=${study.id}${simulated.checked ? "&simulated=true" : ""}`;
    draw();
    return el("section", { class: "sec", "aria-label": "Export" }, el("div", { class: "sec-h" }, el("h2", null, "Export")), el("div", { class: "stack" }, el("div", { class: "field" }, el("label", { for: "export-format" }, "Format"), choose), help,
      el("label", { class: "check" }, simulated, "Simulated annotators too"), counted, el("div", { class: "row" }, link, button("What would be lost?", { kind: "quiet", testid: "export-count", onclick: count }))));

    function draw() {
      const format = written.find((one) => one.name === choose.value);
      fill(help, format.summary.replaceAll("`", ""), " ", format.loses.length ? [el("b", { class: "strong" }, "No place for: "), `${format.loses.join(", ").replaceAll("_", " ")}.`] : "Holds everything.");
      fill(counted);
      link.href = `/api/v1/labels/export?${query()}`;
    }

    async function count() {
      fill(counted, el("span", { class: "muted" }, "Counting"));
      try {
        const found = await api(`labels/export/summary?${query()}`);
        fill(counted, `${fmt.count(found.written, "label")} would be written. ${found.sentence || "Nothing is lost."}`);
      } catch (error) { fill(counted, el("span", { class: "bad" }, error.message)); }
    }
  }

  function into() {
    const what = el("select", { class: "sel", id: "import-what", "data-testid": "import-what" }, el("option", { value: "pairs" }, "Items to be judged"), el("option", { value: "labels" }, "Labels, with their items"));
    const format = el("select", { class: "sel", id: "import-format", "data-testid": "import-format" }, el("option", { value: "auto" }, "As its columns say"), formats.map((one) => el("option", { value: one.name }, one.title)));
    const formatField = el("div", { class: "field" }, el("label", { for: "import-format" }, "Format"), format);
    const file = el("input", { type: "file", class: "file", "aria-label": "File to import", "data-testid": "import-file", onchange: () => { go.disabled = !file.files.length; } });
    const host = el("div", { "data-testid": "import-said" });
    const go = button("Import", { testid: "import-go", disabled: true, onclick: begin });
    what.addEventListener("change", () => { formatField.hidden = what.value === "pairs"; });
    formatField.hidden = true;
    if (importing) watch(importing);
    return el("section", { class: "sec", "aria-label": "Import" }, el("div", { class: "sec-h" }, el("h2", null, "Import")), el("div", { class: "stack" }, el("p", { class: "meta muted" }, "A file of rows, or a ZIP of rows and pictures. The same file again adds nothing. ", el("b", { class: "strong" }, "An item: "), el("code", { class: "mono row-like", translate: "no" }, ROWS[study.kind])),
      el("div", { class: "field" }, el("label", { for: "import-what" }, "It holds"), what), formatField, file, el("div", { class: "row" }, go), host));

    async function begin() {
      const given = file.files[0];
      const address = `imports?${new URLSearchParams({ what: what.value, format: what.value === "pairs" ? "auto" : format.value, filename: given.name, study_id: String(study.id) })}`;
      go.disabled = true;
      try {
        const { job_id: job } = await send(host, address, given);
        watch(job);
      } catch (error) {
        fill(host, note("Not imported", error.message), problems(error.problems));
        go.disabled = false;
      }
    }

    function watch(job) {
      const live = el("div");
      const faults = el("div");
      fill(host, live, faults);
      stop();
      stop = watchJob(live, job, { title: "Importing", done: (row) => el("p", { class: "meta" }, counts(row.result)),
        onend: (row) => { fill(faults, row.status === "stopped" && el("p", { class: "meta" }, `${counts(row.result)} Send the same file again to go on.`), problems(row.result?.problems, row.result?.broken)); go.disabled = false; onimported(); } });
    }
  }
}

/** What an import brought, in words. @param {any} result */
function counts(result) {
  if (!result) return "Nothing yet.";
  return [result.labels && fmt.count(result.labels, "label"), result.pairs && fmt.count(result.pairs, "pair"), result.pictures && fmt.count(result.pictures, "picture")].filter(Boolean).join(", ").replace(/^$/, "Nothing new") + (result.already ? `; ${fmt.int(result.already)} here already.` : ".");
}

/** @param {{file?: string, line: number, column?: string, reason: string}[] | undefined} found @param {number} [number] how many there are, when not all are told */
export function problems(found, number = found?.length ?? 0) {
  if (!found?.length) return null;
  return el("div", { class: "faults" }, el("p", { class: "meta strong" }, `${fmt.count(number, "row")} could not be read`), el("table", { class: "tbl", "data-testid": "import-problems" }, el("thead", null, el("tr", null, el("th", { class: "num" }, "line"), el("th", null, "column"), el("th", null, "reason"))),
    el("tbody", null, found.slice(0, SHOWN).map((problem) => el("tr", { title: problem.file || null }, el("td", { class: "num" }, fmt.int(problem.line)), el("td", { class: "mono" }, problem.column ?? ""), el("td", { class: "wrap" }, problem.reason))))),
  number > SHOWN && el("p", { class: "meta muted" }, `The first ${SHOWN} are listed.`));
}
