/** A job of the workers as it goes: share done, what it says, a way to stop it. */
import { api, button, el, fill, icon, note, poll, redraw } from "/static/js/lib.js";
import { jobPill } from "/static/js/views.js";

/** Watch a job in `host` until it ends. @param {HTMLElement} host @param {number} id
 * @param {{title: string, done?: (job: any) => any, onend?: (job: any) => void}} options @returns {() => void} ends the watch */
export function watchJob(host, id, { title, done, onend }) {
  let stop = () => {};
  const body = el("div", { style: "display:contents" }, el("p", { class: "meta muted" }, icon("clock"), " Asking the workers"));
  const draw = async () => {
    const job = await api(`jobs/${id}`);
    const live = ["due", "running", "paused"].includes(job.status);
    redraw(body, job, () => fill(body, el("div", { class: "job", "data-testid": "job", "data-status": job.status },
      job.status === "failed" ? note(`${title} failed`, job.error) : [
        el("div", { class: "row" }, el("b", { class: "strong grow" }, title), live ? el("span", { class: "tn" }, `${Math.floor(job.progress * 100)} %`) : jobPill(job.status)),
        live && el("span", { class: "meter go", role: "progressbar", "aria-label": title, "aria-valuenow": Math.floor(job.progress * 100), "aria-valuemin": 0, "aria-valuemax": 100 }, el("b", { style: `width:${job.progress * 100}%` })),
        live && el("div", { class: "row meta muted" }, el("span", { class: "grow" }, job.status === "due" ? "Waiting for a worker" : job.message || "Starting"),
          button("Stop", { kind: "quiet", size: "sm", icon: "stop", onclick: async () => { await api(`jobs/${id}/stop`, { method: "POST" }); await draw(); } })),
        job.status === "done" && done?.(job)])));
    if (!live) { stop(); onend?.(job); }
  };
  fill(host, body);
  stop = poll(draw, 1);
  return () => stop();
}
