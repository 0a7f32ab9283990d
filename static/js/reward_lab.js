/**
 * The Reward lab: rewards on a set of pictures. Left the mix, in the middle two rewards against each other, the pairs that change
 * places as a weight moves and what a transform does, right whether people agree and which cheap edit buys a reward.
 */

import { api, button, dialog, el, empty, fill, fmt, icon, kept, live, note, setQuery, toast } from "/static/js/lib.js";
import { watchJob } from "/static/js/jobs.js";
import { newestVersions } from "/static/js/new_run_mix.js";
import { agreeing, siblings, totals } from "/static/js/reward_flips.js";
import { askButton } from "/static/js/reward_lab_ask.js";
import { EditsPanel } from "/static/js/reward_lab_edits.js";
import { FlipsPanel } from "/static/js/reward_lab_flips.js";
import { addressOf, composeOf, MixPanel, readMix, termOf, usualMix, writeMix } from "/static/js/reward_lab_mix.js";
import { PeoplePanel } from "/static/js/reward_lab_people.js";
import { correlation, Scatter } from "/static/js/reward_lab_scatter.js";
import { StagesPanel } from "/static/js/reward_lab_stages.js";

const FIRST = 4;
const ASK_MS = 120;

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const lab = new Lab(main, page);
  await lab.start();
  return () => lab.close();
}

class Lab {
  /** @param {HTMLElement} main @param {any} page */
  constructor(main, page) {
    Object.assign(this, { main, page });
    /** @type {any} what rewards have said of the set, by columns */
    this.values = null;
    /** @type {any} every stage of composition, of the terms that count */
    this.stages = null;
    this.problem = "";
    this.stopJob = () => {};
    this.asked = 0;
    this.frame = 0;
  }

  close() {
    this.stopJob();
    this.scatter?.close();
    this.edits?.close();
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
  }

  async start() {
    try {
      const [sets, rows, studies] = await Promise.all([api("rewards/lab/sets"), api("rewards"), api("studies")]);
      Object.assign(this, { sets, rows, studies: studies.filter((study) => study.kind === "images") });
    } catch (error) {
      fill(this.main, el("div", { class: "sec" }, note("The lab cannot be opened now", error.message, { actions: [button("Try again", { size: "sm", onclick: () => this.start() })] })));
      return;
    }
    if (!this.sets.length || !this.rows.length) {
      fill(this.main, empty({ title: "Nothing to look at yet", text: "The lab needs pictures and a reward that scores them.", actions: [el("a", { class: "btn primary", href: this.rows.length ? "/prompts" : "/rewards" }, this.rows.length ? "Draw pictures" : "Add a reward")] }));
      return;
    }
    const query = this.page.query;
    this.set = this.sets.some((set) => set.key === query.get("set")) ? query.get("set") : this.sets[0].key;
    this.study = Number(query.get("study")) || 0;
    this.simulated = query.get("simulated") === "1";
    this.mix = readMix(query, this.rows) ?? this.usual();
    this.axes = { x: Number(query.get("x")) || 0, y: Number(query.get("y")) || 0 };
    this.layout();
    await this.load();
  }

  /** Without a mix in the address: what was learned from people first, then what needs no judge. */
  usual() {
    const order = (row) => (["learned", "directional"].includes(row.kind) ? 0 : row.kind.includes("judge") || row.kind === "win-rate" ? 2 : 1);
    const first = newestVersions(this.rows).sort((a, b) => order(a) - order(b) || b.id - a.id).slice(0, FIRST);
    return usualMix(first.map((row) => termOf(row, 1)));
  }

  layout() {
    this.bar = el("div", { class: "bar lab-bar" });
    this.job = el("div", { class: "jobhost lab-job", "data-testid": "lab-job" });
    this.left = el("section", { class: "pane scroll", "aria-label": "Mix" });
    this.head = el("div", { class: "pane-h lab-head" });
    const [plot, flips, stages, faults] = [0, 1, 2, 3].map(() => el("div"));
    this.faults = faults;
    faults.classList.add("lab-faults");
    this.about = el("div", { class: "lab-about" });
    this.middle = el("section", { class: "pane scroll", "aria-label": "Pictures" }, faults, this.head, this.about, plot, flips, stages);
    const [people, edits] = [el("div"), el("div")];
    this.right = el("aside", { class: "pane scroll", "aria-label": "People and edits" }, people, edits);
    this.mixPanel = new MixPanel(this.left, this);
    this.scatter = new Scatter(plot, { thumb: (i, caption) => this.thumb(i, caption), act: (rows) => askButton(rows, this, this.scatter.data) });
    this.flips = new FlipsPanel(flips, this);
    this.stagesPanel = new StagesPanel(stages, this);
    this.people = new PeoplePanel(people, this);
    this.edits = new EditsPanel(edits, this);
    fill(this.main, this.bar, this.job, el("div", { class: "panes lab-panes" }, this.left, this.middle, this.right));
  }

  // what is known --------------------------------------------------------------------------------------

  /** The stored reward of a term. */
  row(term) {
    return this.rows.find((row) => row.id === term.reward_id);
  }

  /** What was said by a reward. */
  said(id) {
    return this.values?.rewards.find((one) => one.id === id);
  }

  /** The terms that count: switched on, with values in this set. */
  get active() {
    return this.mix.terms.filter((term) => term.on && this.said(term.reward_id)?.values.some((v) => v !== null));
  }

  async load() {
    this.keep();
    this.drawBar();
    try {
      const ids = this.mix.terms.map((term) => `reward_id=${term.reward_id}`).join("&");
      this.values = await api(`rewards/lab/values?set=${encodeURIComponent(this.set)}&simulated=${this.simulated}&${ids}`);
    } catch (error) {
      this.values = null;
      fill(this.faults, el("div", { class: "sec" }, note("This set cannot be read", error.message)));
      return;
    }
    this.drawBar();
    this.drawFaults();
    this.drawScatter();
    await this.compose(true);
    await Promise.all([this.people.load(), this.edits.load()]);
  }

  /** Ask for every stage of the mix. @param {boolean} [anew] the mix as it stands is what flips are counted from */
  async compose(anew = false) {
    const number = ++this.asked;
    const terms = this.active;
    this.stages = null;
    this.problem = "";
    if (terms.length) {
      try {
        const said = await api("rewards/lab/mix", { body: { set: this.set, base: this.mix.base, stage: this.mix.stage, done: this.mix.done, only_whole: true, compose: { ...composeOf(this.mix), floor: 0 }, terms: terms.map((term) => ({ reward_id: term.reward_id, weight: term.weight, ...term.set })) } });
        if (number !== this.asked) return;
        this.stages = { ...said, of: terms };
      } catch (error) {
        if (number !== this.asked) return;
        this.problem = error.message;
      }
    }
    this.contribute();
    this.paired = undefined;
    if (anew || !this.startTotals || this.startTotals.length !== (this.values?.ids.length ?? 0)) this.begin();
    this.drawMix();
    this.stagesPanel.draw();
  }

  /** What each term adds to a picture for a weight of one, from the stages. */
  contribute() {
    const { stages } = this;
    this.columns = [];
    this.summed = [];
    if (!stages || this.mix.combine === "pareto") return;
    this.summed = stages.of.filter((term) => stages.terms[this.row(term).name].share.some((v) => v !== null));
    this.columns = this.summed.map((term) => {
      const { z, factor } = stages.terms[this.row(term).name];
      return z.map((v, i) => (v === null || !stages.used[i] ? null : v * (factor?.[i] ?? 1)));
    });
  }

  get weights() {
    return this.summed.map((term) => term.weight);
  }

  /** The totals of all pictures under the present weights. */
  get now() {
    if (this.mix.combine === "pareto") return Float64Array.from(this.stages?.total ?? [], (v) => v ?? Number.NaN);
    return totals(this.columns, this.weights);
  }

  /** From here on flips are counted. */
  begin() {
    this.startTotals = this.now;
    this.startWeights = new Map(this.mix.terms.map((term) => [term.reward_id, term.weight]));
    this.moved = this.moved && this.active.some((term) => term.reward_id === this.moved) ? this.moved : this.active[0]?.reward_id;
  }

  // what is done ---------------------------------------------------------------------------------------

  /** One weight took another value: everything that follows is worked out here. @param {any} term @param {number} weight */
  weigh(term, weight) {
    term.weight = weight;
    this.moved = term.reward_id;
    if (this.mix.combine === "pareto") this.later(false);
    else this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.drawMix(); this.keep(); });
  }

  /** Another transform, another way to combine, another base. */
  change() {
    this.keep();
    this.mixPanel.draw();
    this.later(true);
  }

  later(anew) {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.compose(anew), ASK_MS);
  }

  /** A reward joins or leaves. */
  async choose() {
    this.mixPanel.draw();
    await this.load();
  }

  async score(again = false) {
    const ids = this.mix.terms.map((term) => term.reward_id);
    try {
      const { job_id: id } = await api("rewards/lab/score", { body: { set: this.set, reward_ids: ids, again } });
      this.stopJob();
      this.stopJob = watchJob(this.job, id, { title: "Scoring the set", onend: (job) => this.scored(job) });
    } catch (error) {
      toast(error.message, { sign: "fail", tone: "bad" });
    }
  }

  async scored(job) {
    if (job.status !== "done") return;
    const failed = job.result.rewards.filter((one) => one.missing === job.result.pictures && one.reason);
    fill(this.job, failed.map((one) => note(`${one.name} has scored nothing`, one.reason, { tone: "warn" })));
    live("The set is scored");
    this.sets = await api("rewards/lab/sets").catch(() => this.sets); // pictures may have been drawn meanwhile
    await this.load();
  }

  keep() {
    setQuery({ set: this.set, study: this.study || null, simulated: this.simulated ? 1 : null, x: this.axes.x || null, y: this.axes.y || null, ...writeMix(this.mix) });
  }

  // drawing --------------------------------------------------------------------------------------------

  drawBar() {
    const groups = [["project", ""], ["model", "Drawn by"], ["run", "Held-out pictures of runs"], ["study", "Items of studies"], ["imported", "From outside"]];
    const option = (set) => el("option", { value: set.key, selected: set.key === this.set, translate: "no" }, `${set.title}, ${fmt.int(set.pictures)}`);
    const select = el("select", { class: "sel", "aria-label": "Pictures", "data-testid": "lab-set", onchange: (e) => { this.set = e.target.value; this.startTotals = null; this.load(); } },
      groups.map(([kind, title]) => { const rows = this.sets.filter((set) => set.kind === kind).map(option); return rows.length ? (title ? el("optgroup", { label: title }, rows) : rows) : null; }));
    const study = el("select", { class: "sel", "aria-label": "People", "data-testid": "lab-study", onchange: (e) => { this.study = Number(e.target.value); this.keep(); this.people.load(); } },
      el("option", { value: 0 }, "All pairs that were judged"), this.studies.map((one) => el("option", { value: one.id, selected: one.id === this.study, translate: "no" }, one.name)));
    const simulated = el("label", { class: "check meta" }, el("input", { type: "checkbox", checked: this.simulated, "data-testid": "lab-simulated", onchange: (e) => { this.simulated = e.target.checked; this.load(); } }), "Simulated too");
    const unasked = this.values?.rewards.reduce((sum, one) => sum + one.unasked + one.stale, 0) ?? 0;
    const link = el("a", { class: `btn ${unasked ? "" : "primary"}`, href: addressOf(this), "data-testid": "lab-use" }, "Use in a new run");
    this.use = link;
    const named = (word, control) => el("span", { class: "row" }, el("span", { class: "meta muted nowrap", "aria-hidden": "true" }, word), control);
    fill(this.bar, named("Pictures", select), named("People", study), simulated, el("span", { class: "grow" }),
      unasked > 0 ? el("span", { class: "meta muted nowrap", "data-testid": "unasked" }, `${fmt.count(unasked, "value")} missing`) : null,
      button(unasked > 0 ? "Score the set" : "Score again", { kind: unasked > 0 ? "primary" : "", testid: "lab-score", onclick: () => this.score(unasked === 0) }), link);
  }

  drawFaults() {
    const rows = this.values.rewards.filter((one) => one.faults.length);
    fill(this.faults, rows.map((one) => el("div", { class: "sec", "data-testid": "lab-faults", "data-reward": one.name }, el("div", { class: "sec-h" }, icon("warn", "warn"), el("h2", null, `${kept(one.name)} has no value for ${fmt.count(one.missing, "picture")}`)),
      el("div", { class: "lab-thumbs" }, one.faults.map((fault) => this.thumb(fault.row, el("span", { class: "warn clip", title: fault.detail }, fault.status), fault.detail))), el("p", { class: "meta muted clip", title: one.faults[0].detail }, one.faults[0].detail))));
  }

  drawScatter() {
    const rewards = this.values.rewards;
    const known = rewards.filter((one) => one.values.some((v) => v !== null));
    const there = (id) => rewards.find((one) => one.id === id);
    const x = there(this.axes.x) ?? known[0] ?? rewards[0];
    const y = there(this.axes.y) ?? known.find((one) => one !== x) ?? rewards.find((one) => one !== x) ?? x;
    const pick = (axis, chosen) => el("select", { class: "sel sm-sel", "aria-label": axis === "x" ? "Across" : "Up", "data-testid": `axis-${axis}`, translate: "no", onchange: (e) => { this.axes[axis] = Number(e.target.value); this.keep(); this.drawScatter(); } },
      rewards.map((one) => el("option", { value: one.id, selected: one.id === chosen.id }, one.name)));
    const found = this.values.correlations.find((one) => [one.a, one.b].includes(x.id) && [one.a, one.b].includes(y.id));
    fill(this.about, found && el("p", { class: "meta muted", "data-testid": "correlation" }, `Rank correlation ${correlation(found.ranks)}, among siblings alone ${correlation(found.inside)}; 95 % over prompts.`));
    fill(this.head, el("h2", { class: "nowrap" }, "Where two rewards part"), el("span", { class: "grow" }), el("span", { class: "row" }, pick("x", x), el("span", { class: "faint" }, "×"), pick("y", y)));
    this.scatter.show({ x: x.values, y: y.values, xWord: x.name, yWord: y.name });
  }

  /** All that follows from the weights. */
  drawMix() {
    const now = this.now;
    if (this.paired !== this.stages) { // who has a value changes with the stages, never with a weight
      this.pairs = siblings(this.values.prompt, (i) => Number.isFinite(now[i]));
      this.paired = this.stages;
    }
    this.mixPanel.drawShares();
    this.flips.draw(now);
    this.people.drawMix(now.length ? agreeing(this.values.judged, now) : null);
    this.use?.setAttribute("href", addressOf(this));
  }

  /** A picture of the set with its values; it opens large. @param {number} i @param {any} caption @param {string} [more] */
  thumb(i, caption, more = "") {
    const { urls, widths, prompts, prompt } = this.values;
    const text = prompts[prompt[i]];
    const shown = widths[i] > 128 ? `${urls[i]}?side=128` : urls[i];
    return el("figure", null, el("button", { class: "lab-thumb", type: "button", "aria-label": `Open the picture of: ${text}`, onclick: () => this.open(i, more) },
      el("img", { src: shown, width: 64, height: 64, alt: "", loading: "lazy", class: widths[i] <= 128 ? "px" : null })), el("figcaption", null, caption));
  }

  open(i, more) {
    const { urls, widths, prompts, prompt, rewards } = this.values;
    return dialog("Picture", () => [el("img", { src: urls[i], width: 256, height: 256, alt: prompts[prompt[i]], class: widths[i] <= 128 ? "px" : null }), el("p", { style: "margin-top:8px", translate: "no" }, prompts[prompt[i]]), more && el("p", { class: "meta warn" }, more),
      el("dl", { class: "kv", style: "margin-top:8px" }, rewards.map((one) => [el("dt", { translate: "no" }, one.name), el("dd", null, fmt.num(one.values[i], 4))]))]);
  }
}
