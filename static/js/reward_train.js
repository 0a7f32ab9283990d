/** Training a reward from answers: what there is to learn from, the button, the job as it goes. */

import { api, button, el, fill, fmt, icon, note, toast } from "/static/js/lib.js";
import { LivePanel } from "/static/js/reward_live.js";
import { num } from "/static/js/svg.js";

const POLL_MS = 700;
const ENOUGH = 100;

export class TrainPanel {
  /** @param {HTMLElement} host @param {{onTrained: (id: number|null) => void, go: (address: string) => void}} options */
  constructor(host, { onTrained, go }) {
    Object.assign(this, { host, onTrained, go });
    this.host = host;
    this.progress = el("div", { "aria-live": "polite" });
    this.over = false;
    this.include = false;
    this.name = "people";
    this.kind = "learned";
    this.weigh = "people";
    this.head = "bayes";
    this.standing = el("div");
    this.live = new LivePanel(this.standing);
  }

  close() {
    this.over = true;
    this.live.close();
  }

  /** @param {{total: number, people: number, simulated: number}} labels @param {{open: number, total: number}} pairs */
  draw(labels, pairs) {
    Object.assign(this, { labels, pairs });
    const name = el("input", { class: "inp", id: "learn-name", type: "text", value: this.name, autocomplete: "off", "data-testid": "learn-name", oninput: (e) => { this.name = e.target.value; } });
    const include = el("input", { type: "checkbox", checked: this.include, "data-testid": "include-simulated", onchange: (e) => { this.include = e.target.checked; this.draw(this.labels, pairs); } });
    const usable = labels.people + (this.include ? labels.simulated : 0);
    fill(this.host, el("div", { class: "pane-h" }, el("h2", null, "Train a reward")),
      el("div", { class: "sec" }, el("dl", { class: "counts", "data-testid": "label-counts" },
        el("dt", null, "answers of people"), el("dd", null, fmt.int(labels.people)),
        el("dt", { class: "muted" }, "answers that are ", el("span", { class: "badge warn" }, "simulated")), el("dd", { class: "muted" }, fmt.int(labels.simulated)),
        el("dt", { class: "muted" }, "pairs that wait"), el("dd", { class: "muted" }, fmt.int(pairs?.open ?? 0))),
      el("div", { class: "fields", style: "margin-top:12px" }, el("div", { class: "field" }, el("label", { for: "learn-name" }, "Name"), name, el("span", { class: "help" }, "The same name again makes a new version.")),
        this.drawKind(), this.kind === "learned" && [this.drawHead(), this.drawWeigh()], el("label", { class: "check" }, include, "Learn from simulated answers too"))),
      el("div", { class: "sec", style: "border-top:0;padding-top:0" },
        button(`Train on ${fmt.count(usable, "answer")}`, { kind: "primary lg", testid: "train-reward", disabled: usable < 2, onclick: () => this.learn() }),
        usable < ENOUGH && el("p", { class: "meta muted", style: "margin-top:8px" }, usable < 2 ? "Nothing to learn from yet. " : `With ${usable} the interval will be wide; ${ENOUGH} and more is better. `, el("a", { class: "link", href: "/label" }, "Label pairs"))),
      this.progress, this.standing, this.simulate(pairs));
    this.live.look(this.include);
  }

  /** What is learned: a model of taste, or one direction in which every prompt is bent. */
  drawKind() {
    const kinds = [["learned", "Taste: a model of its own"], ["directional", "One direction of taste (D²-Align)"]];
    return el("div", { class: "field" }, el("label", { for: "learn-kind" }, "What"),
      el("select", { class: "sel", id: "learn-kind", "data-testid": "learn-kind", onchange: (e) => { this.kind = e.target.value; this.draw(this.labels, this.pairs); } },
        kinds.map(([value, text]) => el("option", { value, selected: value === this.kind }, text))));
  }

  /** What stands on the features. */
  drawHead() {
    const heads = [["bayes", "Bayesian fit: from the first label"], ["neural", "Small networks: some thousand labels"]];
    return el("div", { class: "field" }, el("label", { for: "learn-head" }, "Model"),
      el("select", { class: "sel", id: "learn-head", "data-testid": "learn-head", onchange: (e) => { this.head = e.target.value; } }, heads.map(([value, text]) => el("option", { value, selected: value === this.head }, text))));
  }

  /** How the answers of different people count. */
  drawWeigh() {
    const ways = [["people", "By a model of people"], ["alike", "All alike"]];
    return el("div", { class: "field" }, el("label", { for: "learn-weigh" }, "Answers of different people count"),
      el("select", { class: "sel", id: "learn-weigh", "data-testid": "learn-weigh", onchange: (e) => { this.weigh = e.target.value; } }, ways.map(([value, text]) => el("option", { value, selected: value === this.weigh }, text))));
  }

  simulate(pairs) {
    const field = (id, label, value) => el("div", { class: "field" }, el("label", { for: id }, label), el("input", { class: "inp", id, "data-testid": id, type: "text", inputmode: "numeric", value }));
    const open = pairs?.open ?? 0;
    return el("div", { class: "sec", style: "border-top:1px solid var(--line)", "data-testid": "simulate" },
      el("div", { class: "sec-h" }, el("h2", null, "Simulated annotators"), el("span", { class: "badge warn" }, "simulated")),
      el("p", { class: "meta muted", style: "margin-bottom:10px" }, "Programs that judge by a written taste: right by the prompt, saturated, centred, with noise. For trying things out. Their answers are kept apart from people's and marked wherever they count."),
      el("div", { class: "fields" }, field("sim-annotators", "Annotators", "3"), field("sim-labels", "Answers", String(Math.min(400, Math.max(50, open))))),
      el("div", { class: "row", style: "margin-top:12px" }, button("Simulate answers", { testid: "simulate-labels", disabled: open === 0, onclick: () => this.runSimulation() }), open === 0 && el("p", { class: "meta muted" }, "No pair waits. ", el("a", { class: "link", href: "/prompts" }, "Draw pairs"))));
  }

  async runSimulation() {
    const value = (id) => Number.parseInt(/** @type {HTMLInputElement} */ (this.host.querySelector(`#${id}`)).value, 10);
    const [annotators, labels] = [value("sim-annotators"), value("sim-labels")];
    if (!(annotators > 0 && labels > 0)) return toast("Annotators and answers are whole numbers above 0.", { sign: "fail", tone: "bad" });
    try {
      const { job_id: id } = await api("simulate", { body: { annotators, labels, seed: 0 } });
      await this.watch(id, "Simulated annotators are answering");
      this.include = true;
      this.onTrained(null);
    } catch (error) {
      toast(error.message, { sign: "fail", tone: "bad" });
    }
    return undefined;
  }

  async learn() {
    try {
      const { job_id: id } = await api("rewards/learn", { body: { name: this.name.trim(), kind: this.kind, weigh: this.weigh, head: this.head, include_simulated: this.include, seed: 0 } });
      const job = await this.watch(id, `Learning ${this.name.trim()}`);
      if (job?.status === "done") this.onTrained(job.result?.reward_id ?? null);
    } catch (error) {
      toast(error.message, { sign: "fail", tone: "bad" });
    }
  }

  /** Show a job until it ends; resolves to its last row. @param {number} id @param {string} title */
  async watch(id, title) {
    const stop = () => api(`jobs/${id}/stop`, { method: "POST" }).catch((error) => toast(error.message, { sign: "fail", tone: "bad" }));
    for (;;) {
      const job = await api(`jobs/${id}`);
      if (this.over) return null;
      this.drawJob(job, title, stop);
      if (["done", "failed", "stopped"].includes(job.status)) {
        if (job.status === "done") fill(this.progress);
        return job;
      }
      await new Promise((resolve) => { window.setTimeout(resolve, POLL_MS); });
    }
  }

  drawJob(job, title, stop) {
    if (job.status === "failed") return fill(this.progress, el("div", { class: "sec" }, note(`${title}: it failed`, `${job.error} Nothing was changed.`)));
    if (job.status === "stopped") return fill(this.progress, el("div", { class: "sec meta muted" }, icon("stop"), " Stopped; what was there before still stands."));
    return fill(this.progress, el("div", { class: "sec", "data-testid": "job-progress" }, el("div", { class: "row" }, el("b", { class: "strong grow" }, title), el("span", null, job.status === "due" ? "waiting for a worker" : `${num(100 * (job.progress ?? 0), 0)} %`)),
      el("span", { class: "meter go", style: "margin:6px 0", role: "progressbar", "aria-valuenow": Math.round(100 * (job.progress ?? 0)), "aria-label": title }, el("b", { style: `width:${100 * (job.progress ?? 0)}%` })),
      el("div", { class: "row meta muted" }, el("span", { class: "grow" }, job.message ?? ""), button("Stop", { size: "sm", onclick: stop }))));
  }
}
