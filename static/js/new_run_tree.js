/** One prompt's tree as the settings will grow it: asked of the server, so that the drawing is the real plan. */

import { api, el, fill } from "/static/js/lib.js";
import { count, num } from "/static/js/svg.js";
import { drawPlan } from "/static/js/tree.js";
import { fromPlan, summary } from "/static/js/tree_model.js";

const QUIET_MS = 150;
const WIDEST = 900;

export class PlanPanel {
  /** @param {{onCosts: (costs: any) => void}} options told what probes would cost with these settings */
  constructor({ onCosts }) {
    this.onCosts = onCosts;
    this.update = 0;
    this.asked = 0;
    this.timer = 0;
    this.note = el("span", { class: "meta muted", role: "status", "data-testid": "plan-note" });
    this.when = el("span", { class: "meta muted tn nowrap" });
    this.slider = el("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Update whose tree is drawn", "data-testid": "plan-update", oninput: (e) => { this.update = Number(e.target.value); this.sayWhen(); this.ask(this.config); } });
    this.host = el("div", { class: "plan-host", tabindex: "0", role: "group", "aria-label": "One prompt's tree", "data-testid": "plan" });
    this.node = el("div", { class: "plan" }, el("div", { class: "sec-h" }, el("h3", null, "One prompt's tree"), this.note, el("span", { class: "grow" }), this.when, this.slider), this.host);
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.host);
  }

  close() {
    window.clearTimeout(this.timer);
    this.sizes.disconnect();
  }

  /** @param {any} config */
  ask(config) {
    this.config = config;
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.read(), QUIET_MS);
  }

  async read() {
    const ask = ++this.asked;
    try {
      const plan = await api("runs/plan", { body: { config: this.config, update: this.update } });
      if (ask !== this.asked) return;
      this.plan = plan;
      this.update = plan.update;
      this.slider.max = String(Math.max(0, (this.config.num_steps ?? 1) - 1));
      this.slider.value = String(plan.update);
      this.slider.hidden = !plan.moves;
      this.host.classList.remove("stale");
      this.sayWhen();
      this.draw();
      this.onCosts(plan.probes);
    } catch {
      if (ask !== this.asked) return;
      this.host.classList.add("stale");
      fill(this.note, "These settings make no tree; the preflight says why. Drawn is the last one that did.");
      this.onCosts(null);
    }
  }

  sayWhen() {
    fill(this.when, this.slider.hidden ? "" : `update ${count(this.update)}`);
  }

  draw() {
    if (!this.plan) return;
    const { plan } = this;
    const width = Math.max(420, Math.min(WIDEST, (this.host.clientWidth || 720) - 2));
    if (plan.given) {
      fill(this.note, "nothing is drawn: a stored pair takes the place of a tree");
      fill(this.host, el("p", { class: "meta muted" }, "The winner and the loser of a judged pair are made noisy alike, and the policy learns at those points."));
      return;
    }
    const tree = fromPlan(plan);
    fill(this.note, `${summary(tree)} · NFE ${count(plan.nfe)}`);
    fill(this.host, drawPlan(tree, { width, sometimes: plan.sometimes, say: (step) => sentence(plan, step), more: Math.max(0, plan.leaves - plan.shown) }));
  }
}

/** What a step does, for the pointer. @param {any} plan @param {number} step */
export function sentence(plan, step) {
  const at = plan.by_step[step];
  const parts = [`Step ${step}: σ ${num(plan.sigmas[step], 3)} → ${num(plan.sigmas[step + 1], 3)}`];
  if (at.fork) parts.push(`forks into ${at.fork}`);
  if (at.explored) {
    parts.push(`noise of standard deviation ${num(at.std, 3)}`);
    parts.push(at.trained === at.explored ? `${count(at.explored)} edges, all trained on` : `${count(at.trained)} of ${count(at.explored)} edges trained on`);
  } else parts.push(plan.sometimes.includes(step) ? "without noise here, other prompts or updates explore it" : "without noise");
  return `${parts.join("; ")}.`;
}
