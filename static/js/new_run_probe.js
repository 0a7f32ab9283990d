/** Where should it fork? A short sampling run measures it; what it found and what follows stand here, to be taken or not. */

import { api, button, el, fill, fmt, icon, live, note } from "/static/js/lib.js";
import { watchJob } from "/static/js/jobs.js";
import { count, figure, num } from "/static/js/svg.js";

const KINDS = {
  spread: ["Where should it fork?", "Measures, for each step and some levels of noise, how much the reward differs between siblings."],
  psi: ["How much noise does each step bear?", "Calibrates ψ: noise rises while as many steps gain as lose."],
};

/** The value at a dotted path. @param {any} data @param {string} path */
const at = (data, path) => path.split(".").reduce((inside, key) => inside?.[key], data);

export class ProbePanel {
  /** @param {{config: () => any, accepts: (path: string) => boolean, onApply: (changes: Record<string, any>) => void}} options
   *   accepts: whether the form has a field of that path */
  constructor({ config, accepts, onApply }) {
    Object.assign(this, { config, accepts, onApply });
    this.costs = null;
    this.running = false;
    this.stop = () => {};
    this.ask = el("div", { class: "probe-ask" });
    this.found = el("div", { "aria-live": "polite", "data-testid": "probe-result" });
    this.node = el("div", { class: "probe" }, this.ask, this.found);
  }

  close() {
    this.stop();
  }

  /** What each kind of probe would cost with the settings as they are. @param {Record<string, any>|null} costs */
  offer(costs) {
    this.costs = costs;
    if (!this.running) this.draw();
  }

  draw() {
    const kinds = Object.keys(KINDS).filter((kind) => this.costs?.[kind]);
    fill(this.ask, kinds.map((kind) => {
      const [title, about] = KINDS[kind];
      const cost = this.costs[kind];
      if (cost.reason) return kind === "spread" && el("p", { class: "row meta muted" }, icon("warn", "muted"), el("span", null, `${title} ${cost.reason}`));
      return el("div", { class: "row" }, button(title, { size: "sm", icon: "tree", testid: `probe-${kind}`, disabled: this.running, title: about, onclick: () => this.start(kind) }),
        el("span", { class: "meta muted", "data-testid": `probe-cost-${kind}` }, `costs ${count(cost.nfe)} evaluations and ${count(cost.pictures)} pictures${Number.isFinite(cost.seconds) ? `, about ${fmt.span(cost.seconds)}` : ""}; nothing is trained`));
    }));
  }

  /** @param {string} kind */
  async start(kind) {
    this.stop();
    this.running = true;
    this.draw();
    try {
      const job = await api("runs/probe", { body: { config: this.config(), kind } });
      this.stop = watchJob(this.found, job.id, {
        title: kind === "psi" ? "Calibrating ψ" : "Probing the spread", done: (ended) => this.result(kind, ended.result),
        onend: (ended) => {
          this.running = false;
          this.draw();
          if (ended.status === "stopped") fill(this.found, el("p", { class: "row meta muted" }, icon("stop"), "The probe was stopped; nothing was changed."));
        },
      });
    } catch (error) {
      this.running = false;
      this.draw();
      fill(this.found, note("The probe could not begin", error.message));
    }
  }

  result(kind, result) {
    const { proposal, rows = [] } = result ?? {};
    if (!rows.length) return note("The probe found nothing", "No group had two rewards to compare; look at the rewards first.", { tone: "warn" });
    const changes = Object.fromEntries(Object.entries(proposal.changes).filter(([path]) => this.accepts(path)));
    const apply = button("Apply", { testid: "probe-apply", title: Object.entries(changes).map(([path, value]) => `${path} = ${JSON.stringify(value)}`).join("\n"), onclick: () => {
      this.onApply(changes);
      apply.disabled = true;
      fill(apply, "Applied");
      live("The proposal is laid over the form");
    } });
    const known = Object.keys(changes).length;
    const there = known > 0 && Object.entries(changes).every(([path, value]) => JSON.stringify(at(this.config(), path)) === JSON.stringify(value));
    return el("div", { class: "probe-found" },
      kind === "psi" ? psiTable(rows) : spreadTable(rows, result.independent, proposal.changes),
      el("div", { class: "probe-said" }, el("p", { "data-testid": "probe-text" }, proposal.text),
        el("p", { class: "meta faint" }, `${count(result.nfe)} evaluations, ${count(result.pictures)} pictures, ${fmt.span(result.seconds)}.`),
        there ? el("p", { class: "row meta ok" }, icon("check"), "The form says so already.") : known ? apply
          : el("p", { class: "meta muted" }, "This method has no setting for it, so there is nothing to apply.")));
  }
}

/** Step by noise: how much of what independent samples vary a fork decides; darker is more. */
function spreadTable(rows, independent, proposed) {
  const steps = [...new Set(rows.map((row) => row.step))].sort((a, b) => a - b);
  const etas = [...new Set(rows.map((row) => row.eta))].sort((a, b) => a - b);
  const most = Math.max(1e-9, ...rows.map((row) => row.share ?? 0));
  const forks = proposed["method.settings.fork_steps"] ?? [];
  const chosen = (row) => forks.includes(row.step) && proposed["method.settings.eta"] === row.eta;
  const cell = (row) => {
    if (!row || row.share === null) return el("td", { class: "faint", title: "This fork gave no group with two rewards." }, "–");
    const said = `step ${row.step}, η ${row.eta}: spread ${figure(row.spread)} ± ${figure(1.96 * row.spread_se, 2)}, ${num(100 * row.share, 0)} % of the variance of independent samples; the noise costs ${figure(row.drop, 2)}`;
    return el("td", { class: chosen(row) ? "on" : "", title: said, style: `--heat:${(row.share / most).toFixed(3)}` }, el("span", null, num(100 * row.share, 0)));
  };
  return el("table", { class: "heat", "data-testid": "probe-table" },
    el("caption", { class: "meta muted" }, "spread inside a fork, % of the variance of independent samples", independent && el("span", { class: "faint" }, ` (sd ${figure(independent.spread)})`)),
    el("thead", null, el("tr", null, el("th", { scope: "col" }, "step"), steps.map((step) => el("th", { scope: "col" }, String(step))))),
    el("tbody", null, etas.map((eta) => el("tr", null, el("th", { scope: "row" }, `η ${num(eta, 2)}`), steps.map((step) => cell(rows.find((row) => row.step === step && row.eta === eta)))))));
}

/** The noise of each step before and after its calibration, and the signs of the gains in the last round. */
function psiTable(rows) {
  const line = (word, of) => el("tr", null, el("th", { scope: "row" }, word), rows.map((row) => el("td", null, of(row))));
  return el("table", { class: "heat plain", "data-testid": "probe-table" },
    el("caption", { class: "meta muted" }, "noise by step, and how many steps gained and lost in the last round"),
    el("thead", null, el("tr", null, el("th", { scope: "col" }, "step"), rows.map((row) => el("th", { scope: "col" }, String(row.step))))),
    el("tbody", null, line("before", (row) => num(row.start)), line("ψ", (row) => el("b", { class: "strong" }, num(row.psi))), line("+ / −", (row) => `${row.positive.at(-1)}/${row.negative.at(-1)}`)));
}
