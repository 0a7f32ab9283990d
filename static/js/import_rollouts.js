/** Import rollouts: an archive of pictures and rows that another trainer wrote becomes a run. */

import { button, el, fill, fmt, note } from "/static/js/lib.js";
import { watchJob } from "/static/js/jobs.js";
import { problems } from "/static/js/study_data.js";
import { send, upload } from "/static/js/upload.js";

const LAYOUTS = [
  ["flow_grpo and its kin", '{"epoch": 40, "prompt": "a red fox", "image": "40/3.jpg",\n "rewards": {"ocr": 0.5, "pickscore": 0.8, "avg": 0.71}, "advantages": 1.2}'],
  ["TRL, its completions", '{"step": 40, "prompt": "a red fox", "completion": "…", "image": "40/3.jpg",\n "aesthetic": 5.1, "count": 1.0, "advantage": 0.4}'],
];

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  let stop = () => {};
  const host = el("div", { "data-testid": "import-said" });
  const name = el("input", { class: "inp", id: "run-name", maxlength: 200, "data-testid": "run-name", oninput: ready });
  const file = el("input", { type: "file", class: "file", accept: ".zip,.jsonl,.json,.parquet", "aria-label": "Archive of rollouts", "data-testid": "import-file", onchange: () => { if (!name.value && file.files.length) name.value = file.files[0].name.replace(/\.\w+$/, ""); ready(); } });
  const go = button("Import", { kind: "primary", testid: "import-go", disabled: true, onclick: begin });
  fill(main, el("div", { class: "scroll" }, el("section", { class: "sec", style: "max-width:760px" }, el("div", { class: "stack" },
    el("p", null, "A ZIP of pictures with rows that say their step, prompt and rewards becomes a run whose groups the Rollouts page shows: a group for each step and prompt, its samples by advantage, its rewards stacked."),
    el("div", { class: "field" }, el("label", { for: "run-name" }, "Name of the run"), name), file, el("div", { class: "row" }, go), host)),
  el("section", { class: "sec", style: "max-width:760px" }, el("div", { class: "sec-h" }, el("h2", null, "What a row says")), LAYOUTS.map(([title, text]) => [el("h3", { style: "margin:8px 0 4px" }, title), el("pre", { class: "mono meta scroll-x" }, text)]),
    el("p", { class: "meta muted", style: "margin-top:8px" }, "JSON lines, a JSON array or Parquet. Pictures are named from where the rows lie. Without advantages they are worked out in each group, and the page says so. A row that cannot be read is told by its line while the rest comes in; the same archive again adds nothing."),
    el("p", { class: "meta muted" }, "On the command line: ", el("code", null, "palate import rollouts FOLDER"))), replaySection()));
  return () => stop();

  function ready() { go.disabled = !file.files.length || !name.value.trim(); }

  async function begin() {
    const given = file.files[0];
    const address = `imports/rollouts?${new URLSearchParams({ name: name.value.trim(), filename: given.name })}`;
    go.disabled = true;
    try {
      const { job_id: job } = await send(host, address, given);
      const alive = el("div");
      const faults = el("div");
      fill(host, alive, faults);
      stop();
      stop = watchJob(alive, job, { title: "Importing", done: (row) => brought(row.result), onend: (row) => { fill(faults, problems(row.result?.problems, row.result?.broken)); ready(); } });
    } catch (error) {
      fill(host, note("Not imported", error.message));
      ready();
    }
  }

  function brought(found) {
    const said = found.samples ? `${fmt.count(found.samples, "rollout")} in ${fmt.count(found.groups, "new group")}.` : "Nothing new.";
    return [el("p", { class: "meta" }, said, found.already ? ` ${fmt.int(found.already)} were here already.` : "", found.computed ? ` ${fmt.count(found.computed, "group")} had no advantages; they were worked out.` : ""),
      el("a", { class: "btn", href: `/runs/${found.run_id}/rollouts`, "data-testid": "open-rollouts", onclick: (e) => { e.preventDefault(); page.go(`/runs/${found.run_id}/rollouts`); } }, "Look at the rollouts")];
  }
}

/** A bundle that a studio wrote becomes a run that is trained again, in a project of its own. */
function replaySection() {
  const said = el("div", { "data-testid": "replay-said" });
  const file = el("input", { type: "file", class: "file", accept: ".zip", "aria-label": "Bundle of a run", "data-testid": "replay-file", onchange: () => { go.disabled = !file.files.length; } });
  const go = button("Replay", { icon: "play", testid: "replay-go", disabled: true, onclick: begin });
  return el("section", { class: "sec", style: "max-width:760px" }, el("div", { class: "sec-h" }, el("h2", null, "Replay a bundle")), el("div", { class: "stack" },
    el("p", null, "The bundle of a run (its page, More, Bundle that replays) is trained again with the same settings, prompts and seeds, in a new project that is opened."),
    file, el("div", { class: "row" }, go), said,
    el("p", { class: "meta muted" }, "To check that it went the same way, to the bit: ", el("code", null, "palate replay BUNDLE --against RUN"))));

  async function begin() {
    const given = file.files[0];
    const bar = el("b", { style: "width:0" });
    const sending = upload(`runs/replay?${new URLSearchParams({ filename: given.name })}`, given, (share) => { bar.style.width = `${100 * share}%`; });
    go.disabled = true;
    fill(said, el("div", { class: "job" }, el("b", { class: "strong" }, `Sending ${given.name}`), el("span", { class: "meter go" }, bar)));
    try {
      const run = await sending.done;
      location.assign(`/runs/${run.id}`);
    } catch (error) {
      fill(said, note("Not replayed", error.message));
      go.disabled = false;
    }
  }
}
