/** Workers: who works, on what, and what waits. */
import { api, button, el, empty, fill, fmt, note, poll } from "/static/js/lib.js";
import { jobPill, jobWord, meter, workerPill } from "/static/js/views.js";

const LIVE = ["due", "running", "paused"];

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  let seen = "";
  const refresh = async () => {
    let workers;
    let jobs;
    try {
      [workers, jobs] = await Promise.all([api("workers"), api("jobs?limit=100")]);
    } catch (error) {
      seen = "";
      fill(main, el("div", { class: "sec" }, note("The workers cannot be shown", error.message, { actions: [button("Try again", { size: "sm", onclick: refresh })] })));
      throw error;
    }
    const text = JSON.stringify([workers, jobs]);
    if (text === seen) return;
    seen = text;
    const lost = workers.filter((worker) => worker.state === "gone" || worker.heartbeat_age_s > 30).length;
    page.subtitle(`${fmt.count(workers.length - lost, "worker")} answering, ${fmt.count(jobs.filter((job) => LIVE.includes(job.status)).length, "job")} open`);
    const focus = document.activeElement?.getAttribute("data-testid");
    fill(main, el("div", { class: "scroll", tabindex: 0 }, workersTable(workers, jobs), jobsTable(jobs, refresh)));
    if (focus) /** @type {HTMLElement | null} */ (main.querySelector(`[data-testid="${focus}"]`))?.focus();
  };
  const stop = poll(refresh, 2);
  return () => { stop(); page.subtitle(""); };
}

function workersTable(workers, jobs) {
  const head = el("div", { class: "pane-h" }, el("h2", null, "Workers"), el("span", { class: "meta muted" }, "each takes one kind of work, one job at a time"));
  if (!workers.length) return [head, el("div", { class: "sec" }, note("No worker is running", "Jobs wait in the store until one starts. Start the studio with “make studio”, or a worker alone with “palate worker train”.", { tone: "warn" }))];
  return [head, el("table", { class: "tbl pad", "data-testid": "workers-table" },
    el("thead", null, el("tr", null, el("th", null, "state"), el("th", null, "worker"), el("th", { class: "opt" }, "takes"), el("th", null, "job"), el("th", { class: "opt" }, "host"), el("th", { class: "num opt" }, "process"), el("th", { class: "num opt" }, "last heard"))),
    el("tbody", null, workers.map((worker) => {
      const job = jobs.find((other) => other.id === worker.job_id);
      return el("tr", null, el("td", null, workerPill(worker.state, worker.heartbeat_age_s)), el("td", { class: "strong", translate: "no" }, worker.name), el("td", { class: "muted opt" }, worker.queue.replaceAll(",", ", ")),
        el("td", null, worker.job_id ? job ? `${job.id} · ${jobWord(job.kind)}` : String(worker.job_id) : el("span", { class: "faint" }, "–")), el("td", { class: "muted opt", translate: "no" }, worker.host), el("td", { class: "num mono opt" }, String(worker.pid)),
        el("td", { class: "num opt" }, worker.heartbeat_age_s < 10 ? "now" : `${fmt.span(worker.heartbeat_age_s)} ago`));
    })))];
}

function jobsTable(jobs, refresh) {
  const head = el("div", { class: "pane-h b" }, el("h2", null, "Jobs"), el("span", { class: "meta muted" }, jobs.length ? "newest first" : ""));
  if (!jobs.length) return [head, empty({ title: "Nothing has been asked of them yet", text: "Drawing pairs, learning a reward and training a run appear here, with their progress.", actions: [el("a", { class: "btn", href: "/prompts?generate=1" }, "Draw pairs")] })];
  return [head, el("table", { class: "tbl pad", "data-testid": "jobs-table" },
    el("thead", null, el("tr", null, el("th", null, "status"), el("th", { class: "num opt" }, "job"), el("th", null, "what"), el("th", null, "done"), el("th", { class: "opt" }, "says"), el("th", { class: "num opt" }, "attempt"), el("th", { class: "num" }, "took"), el("th", { class: "num opt" }, "asked"), el("th", null, el("span", { class: "vh" }, "act")))),
    el("tbody", null, jobs.map((job) => {
      const live = LIVE.includes(job.status);
      const took = job.started_at ? (job.ended_at || Date.now() / 1000) - job.started_at : null;
      return el("tr", { "data-status": job.status }, el("td", null, jobPill(job.status)), el("td", { class: "num opt" }, String(job.id)), el("td", null, jobWord(job.kind)),
        el("td", null, live ? meter(job.progress, `${Math.floor(job.progress * 100)} %`, job.status === "running") : job.status === "done" ? "" : el("span", { class: "muted" }, `${Math.floor(job.progress * 100)} %`)),
        el("td", { class: job.status === "failed" ? "clip bad" : "clip muted opt", title: job.error || job.message || null }, job.status === "failed" ? job.error : job.message), el("td", { class: "num opt" }, String(job.attempt)),
        el("td", { class: "num" }, took === null ? "–" : fmt.span(took)), el("td", { class: "num muted opt" }, fmt.ago(job.created_at)),
        el("td", { class: "num" }, live && button(job.wanted === "stop" ? "Stopping" : "Stop", { size: "sm", testid: `stop-${job.id}`, disabled: job.wanted === "stop", onclick: async () => { await api(`jobs/${job.id}/stop`, { method: "POST" }); await refresh(); } })));
    })))];
}
