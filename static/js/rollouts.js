/** Rollouts: groups as the trainer compared them, the tree of the chosen one, and its rewards in full. */

import { api, button, el, empty, fill, fmt, icon, kbd, keys, live, note, poll, setQuery, toast } from "/static/js/lib.js";
import { drawDetail } from "/static/js/rollout_detail.js";
import { bySteps, groupRow, lines } from "/static/js/rollout_row.js";
import { drawTree } from "/static/js/tree.js";
import { fromGroups, summary } from "/static/js/tree_model.js";
import { drawPair } from "/static/js/rollout_pair.js";
import { count, figure, rewardColour } from "/static/js/svg.js";

/** @typedef {import("/static/js/rollout_row.js").Group} Group */

const PAGE = 20;
const FRESH_S = 4;
const TREE_GROUPS = 12;

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const view = new RolloutsView(main, page);
  await view.start();
  return () => view.close();
}

class RolloutsView {
  /** @param {HTMLElement} main @param {any} page */
  constructor(main, page) {
    const q = page.query;
    const step = q.get("step");
    Object.assign(this, { main, page });
    this.main = main;
    this.page = page;
    this.id = Number(page.params.run_id);
    this.filter = {
      step_min: q.get("step_min") ?? step ?? "", step_max: q.get("step_max") ?? step ?? "", prompt: q.get("prompt") ?? "",
      kept: q.get("kept") ?? "", sort: q.get("sort") ?? "newest",
    };
    this.wanted = { group: Number(q.get("group")) || null, leaf: q.has("leaf") ? Number(q.get("leaf")) : null };
    /** @type {Group[]} */
    this.groups = [];
    this.next = null;
    this.total = 0;
    this.samples = 0;
    /** @type {Map<number, any>} groups with their nodes */
    this.full = new Map();
    this.group = null;
    this.leaf = null;
    /** @type {number[]} */
    this.picked = [];
    /** @type {string[]} */
    this.names = [];
    this.busy = false;
    this.asked = 0;
    this.stops = [];
  }

  async start() {
    try {
      this.run = await api(`runs/${this.id}`);
    } catch (error) {
      fill(this.main, el("div", { class: "sec" }, note("The rollouts could not be read", error.message, { actions: [el("a", { class: "btn sm", href: "/runs" }, "All runs")] })));
      return;
    }
    this.names = (this.run.config?.rewards ?? []).map((term) => term.name);
    this.page.title("Rollouts", [["Runs", "/runs"], [this.run.name, `/runs/${this.id}`]]);
    this.layout();
    this.stops.push(this.bindKeys());
    await this.load(true);
    this.stops.push(poll(() => this.fresh(), FRESH_S));
  }

  close() {
    this.stops.forEach((stop) => stop());
  }

  layout() {
    this.bar = el("div", { class: "bar", role: "toolbar", "aria-label": "Filter" });
    this.list = el("div", { class: "list scroll", "data-testid": "group-list" });
    this.tree = el("section", { class: "pane tree-pane", "aria-label": "Tree" });
    this.detail = el("div", { class: "scroll grow-y" });
    this.foot = el("div", { class: "sec pair-foot" });
    this.list.addEventListener("scroll", () => {
      if (this.next && this.list.scrollTop + this.list.clientHeight > this.list.scrollHeight - 600) this.load(false);
    });
    fill(this.main, this.bar, el("div", { class: "panes rollout-panes" },
      el("section", { class: "pane", "aria-label": "Groups" }, el("div", { class: "pane-h", style: "gap:12px" }, this.key = el("span", { class: "row", style: "gap:12px" }),
        el("span", { class: "grow" }), el("span", { class: "row meta faint nowrap hints", style: "gap:4px" }, kbd("j"), kbd("k"), "group", kbd("h"), kbd("l"), "sample")), this.list),
      this.tree, el("aside", { class: "pane", "aria-label": "Sample" }, this.detail, this.foot)));
    this.drawKey();
    this.drawBar();
  }

  /** Names and colours of the rewards whose shares the bars draw. */
  drawKey() {
    fill(this.key, this.names.map((name, i) => el("span", { class: "row meta nowrap", style: "gap:5px" }, el("i", { class: "sw", style: `background:${rewardColour(i)}` }), name)));
  }

  drawBar() {
    const f = this.filter;
    const field = (key, label, width, mode = "numeric") => el("input", {
      class: "inp sm-inp", style: `width:${width}px`, type: "search", value: f[key], placeholder: label, "aria-label": label, inputmode: mode, "data-testid": `filter-${key}`,
      onchange: (e) => this.refine({ [key]: e.target.value.trim() }),
    });
    const kinds = [["", "all"], ["1", "kept"], ["0", "skipped"]];
    const filtered = f.step_min || f.step_max || f.prompt || f.kept;
    this.counter = el("span", { class: "meta muted nowrap", "data-testid": "rollout-count" });
    this.newer = el("span");
    fill(this.bar, icon("filter", "muted"), el("span", { class: "meta muted" }, "step"), field("step_min", "from", 64), el("span", { class: "faint" }, "–"), field("step_max", "to", 64),
      field("prompt", "words in the prompt", 176, "text"),
      el("span", { class: "seg", role: "group", "aria-label": "Kept or skipped" }, kinds.map(([value, word]) => el("button", {
        "aria-pressed": String(f.kept === value), "data-testid": `kept-${word}`, onclick: () => this.refine({ kept: value }) }, word))),
      filtered && button("Clear", { kind: "quiet", size: "sm", icon: "x", testid: "clear-filter", onclick: () => this.refine({ step_min: "", step_max: "", prompt: "", kept: "" }) }),
      el("span", { class: "grow" }), this.newer, this.counter, el("span", { class: "vsep" }),
      el("select", { class: "sel sm-sel", "aria-label": "Order", "data-testid": "sort", onchange: (e) => this.refine({ sort: e.target.value }) },
        [["newest", "Newest first"], ["spread", "Widest spread first"], ["mean", "Highest mean first"]].map(([value, word]) => el("option", { value, selected: value === f.sort }, word))));
    this.drawCount();
  }

  drawCount() {
    if (this.counter) fill(this.counter, `${fmt.count(this.total, "group")} · ${fmt.count(this.samples, "sample")}`);
  }

  /** @param {Record<string, string>} changes */
  async refine(changes) {
    Object.assign(this.filter, changes);
    const { step_min: a, step_max: b } = this.filter;
    setQuery({ ...this.filter, sort: this.filter.sort === "newest" ? null : this.filter.sort, step: a && a === b ? a : null, ...(a && a === b ? { step_min: null, step_max: null } : {}), group: null, leaf: null });
    this.wanted = { group: null, leaf: null };
    this.drawBar();
    await this.load(true);
  }

  query(after) {
    const query = new URLSearchParams({ limit: String(PAGE), sort: this.filter.sort });
    for (const key of ["step_min", "step_max", "prompt", "kept"]) if (this.filter[key] !== "") query.set(key, this.filter[key]);
    if (after !== null) query.set("after", String(after));
    return query;
  }

  /** @param {boolean} first */
  async load(first) {
    if (this.busy && !first) return;
    this.busy = true;
    const ask = ++this.asked;
    try {
      const answer = await api(`runs/${this.id}/rollouts?${this.query(first ? null : this.next)}`);
      if (ask !== this.asked) return;
      this.groups = first ? answer.groups : [...this.groups, ...answer.groups];
      Object.assign(this, { next: answer.next, total: answer.total, samples: answer.samples });
      this.drawCount();
      this.learnNames();
      fill(this.newer);
      if (first) await this.choose(this.groups.find((g) => g.id === this.wanted.group) ?? this.groups[0] ?? null, this.wanted.leaf);
      else this.drawList();
    } catch (error) {
      fill(this.list, el("div", { class: "sec" }, note("The groups could not be read", error.message, { actions: [button("Try again", { size: "sm", onclick: () => this.load(true) })] })));
    } finally {
      this.busy = false;
    }
  }

  /** A run without a trained reward learns from verdicts, which the groups name. */
  learnNames() {
    if (this.names.length || !this.groups.length) return;
    this.names = Object.keys(this.groups[0].leaves[0]?.rewards ?? {});
  }

  /** A running trainer adds groups: say so, and let people decide when the list moves. */
  async fresh() {
    if (this.run.status !== "running" || this.busy) return;
    const answer = await api(`runs/${this.id}/rollouts?${this.query(null).toString().replace(/limit=\d+/, "limit=1")}`);
    if (!this.groups.length && answer.total) { await this.load(true); return; }
    const more = answer.total - this.total;
    if (more > 0) fill(this.newer, button(`${fmt.count(more, "newer group")}`, { size: "sm", kind: "quiet", testid: "show-newer", onclick: () => this.load(true) }));
  }

  /** @param {Group|null} group @param {number|null} [leaf] */
  async choose(group, leaf = null) {
    if (!group) return this.drawEmpty();
    if (this.group?.id !== group.id) this.picked = [];
    this.group = group;
    this.leaf = group.leaves.find((l) => l.idx === leaf) ?? lines(group)[0]?.leaves[0] ?? null;
    setQuery({ group: group.id, leaf: this.leaf?.idx });
    this.drawList();
    this.drawSide();
    await this.loadTree(group);
    return undefined;
  }

  async loadTree(group) {
    const read = async (id) => {
      if (!this.full.has(id)) this.full.set(id, await api(`rollouts/${id}`));
      return this.full.get(id);
    };
    try {
      const full = await read(group.id);
      await Promise.all((full.groups_of_tree ?? []).filter((id) => id !== group.id).slice(0, TREE_GROUPS - 1).map(read));
      if (this.group?.id === group.id) this.drawSide();
    } catch (error) {
      if (this.group?.id === group.id) fill(this.tree, el("div", { class: "sec" }, note("The tree could not be read", error.message, { actions: [button("Try again", { size: "sm", onclick: () => this.loadTree(group) })] })));
    }
  }

  drawList() {
    const top = this.list.scrollTop;
    const inside = this.list.contains(document.activeElement);
    fill(this.list, this.groups.map((group) => {
      const current = group.id === this.group?.id;
      return groupRow(group, this.names, { current, leaf: this.leaf?.idx ?? null, picked: current ? this.picked : [], onSelect: (leaf) => this.choose(group, leaf) });
    }), this.next && el("p", { class: "meta muted more-groups", role: "status" }, "More groups come as you scroll."));
    this.list.scrollTop = top;
    const row = /** @type {HTMLElement|null} */ (this.list.querySelector(".grp.on"));
    row?.scrollIntoView({ block: "nearest" });
    if (inside) /** @type {HTMLElement|null} */ (row?.querySelector('.tile[aria-current="true"]'))?.focus({ preventScroll: true });
  }

  drawSide() {
    const { group, leaf } = this;
    if (!group || !leaf) return;
    const full = this.full.get(group.id);
    this.drawTreePane(group, full);
    drawDetail(this.detail, group, leaf, full, this.names);
    const pair = this.pair();
    const said = this.picked.length === 2 ? "2 picked" : "best and worst of the group";
    fill(this.foot, el("p", { class: "meta muted" }, said, el("span", { class: "hints" }, " · ", kbd("x"), " picks a sample")),
      button("Ask people about this pair", { kind: "primary", key: "p", testid: "send-pair", disabled: !pair, title: pair ? "" : "A pair needs two samples whose pictures were kept", onclick: () => this.sendPair() }));
    this.main.dataset.group = String(group.id);
  }

  drawTreePane(group, full) {
    if (!full) return fill(this.tree, el("div", { class: "pane-h" }, el("h2", null, "Tree of this prompt")), el("div", { class: "sec meta muted", role: "status" }, "Reading the tree"));
    const choose = (id, leaf) => { const other = this.groups.find((g) => g.id === id) ?? this.full.get(id); this.choose(other, leaf); };
    if (group.given) return fill(this.tree, el("div", { class: "pane-h" }, el("h2", null, "Judged pair"), el("span", { class: "meta muted" }, "nothing was drawn")), drawPair(group, this.leaf.idx, choose));
    const groups = [group.id, ...(full.groups_of_tree ?? []).filter((id) => id !== group.id)].map((id) => this.full.get(id)).filter(Boolean);
    const sorted = [...groups].sort((a, b) => (a.fork_step ?? 0) - (b.fork_step ?? 0) || a.id - b.id);
    const tree = fromGroups(groups);
    return fill(this.tree,
      el("div", { class: "pane-h" }, el("h2", { class: "nowrap" }, "Tree of this prompt"), el("span", { class: "meta muted clip", title: summary(tree) }, summary(tree)), el("span", { class: "grow" }),
        full.detail?.nfe !== undefined && el("span", { class: "meta nowrap" }, `NFE ${count(full.detail.nfe)}`)),
      el("div", { class: "tree-host scroll" }, drawTree({ groups, selected: { group: group.id, leaf: this.leaf.idx }, room: this.tree.clientHeight - 36 - 42 - 32 - 12, width: Math.max(472, this.tree.clientWidth - 16), onSelect: choose })),
      el("div", { class: "fork-facts meta" }, sorted.map((g) => el("span", null, el("b", { class: "strong" }, comparison(g)), el("span", { class: "muted" }, " spread "), figure(g.spread),
        el("span", { class: "muted" }, g.kept ? " kept" : " skipped"))), full.groups_of_tree?.length > TREE_GROUPS && el("span", { class: "faint" }, `${TREE_GROUPS} of ${full.groups_of_tree.length} forks are drawn`)),
      legend(tree));
  }

  drawEmpty() {
    this.group = null;
    fill(this.tree);
    fill(this.detail);
    fill(this.foot);
    const filtered = this.filter.step_min || this.filter.step_max || this.filter.prompt || this.filter.kept;
    fill(this.list, filtered
      ? empty({ title: "No group matches", text: "Of this run no recorded group fits the filter. A run keeps some of its groups, not all.", actions: [button("Clear the filter", { onclick: () => this.refine({ step_min: "", step_max: "", prompt: "", kept: "" }) })] })
      : empty({ title: "No rollouts yet", text: "They appear with the first iteration of the run: every sample, its rewards and its advantage.", actions: [el("a", { class: "btn", href: `/runs/${this.id}` }, "Open the run")] }));
  }

  /** The two samples that P would send: the picked ones, else best and worst. */
  pair() {
    const leaves = this.group?.leaves ?? [];
    const picked = leaves.filter((l) => this.picked.includes(l.idx));
    const siblings = (this.group ? lines(this.group) : []).find((line) => line.stride === this.leaf?.stride)?.leaves ?? leaves;
    const [best, worst] = picked.length === 2 ? picked : [siblings[0], siblings.at(-1)];
    return best && worst && best !== worst && best.tile !== null && worst.tile !== null ? { best: best.idx, worst: worst.idx } : null;
  }

  async sendPair() {
    const pair = this.pair();
    if (!pair || !this.group) return;
    try {
      const { pair_id: id } = await api(`rollouts/${this.group.id}/pair`, { body: pair });
      this.main.dataset.pair = String(id);
      live("The pair waits in Label");
      toast("The pair waits in Label", { action: "Label", onaction: () => this.page.go("/label") });
    } catch (error) {
      toast(error.message, { sign: "fail", tone: "bad" });
    }
  }

  /** @param {number} by */
  moveGroup(by) {
    const at = this.groups.findIndex((g) => g.id === this.group?.id);
    const to = this.groups[Math.max(0, Math.min(this.groups.length - 1, at + by))];
    if (this.next && at + by >= this.groups.length - 3) this.load(false);
    if (to) this.choose(to);
  }

  /** @param {number} by */
  moveLeaf(by) {
    const leaves = this.group ? lines(this.group).flatMap((line) => line.leaves) : [];
    const at = leaves.findIndex((l) => l.idx === this.leaf?.idx);
    const to = leaves[Math.max(0, Math.min(leaves.length - 1, at + by))];
    if (to) this.choose(this.group, to.idx);
  }

  /** @param {number} by */
  moveStep(by) {
    const from = Number(this.filter.step_min || this.group?.step || this.run.step);
    const to = String(Math.max(0, Math.min(this.run.step, from + by)));
    this.refine({ step_min: to, step_max: to });
  }

  togglePick() {
    if (!this.leaf) return;
    const { idx } = this.leaf;
    this.picked = this.picked.includes(idx) ? this.picked.filter((i) => i !== idx) : [...this.picked, idx].slice(-2);
    this.drawList();
    this.drawSide();
  }

  bindKeys() {
    const at = (id, names, label, run, repeat = true) => ({ id: `rollouts.${id}`, keys: names, label, repeat, run });
    return keys.bind("Rollouts", [
      at("next", ["j"], "Next group", () => this.moveGroup(1)), at("previous", ["k"], "Previous group", () => this.moveGroup(-1)),
      at("left", ["h"], "Sample before", () => this.moveLeaf(-1)), at("right", ["l"], "Sample after", () => this.moveLeaf(1)),
      at("earlier", ["["], "Step before", () => this.moveStep(-1)), at("later", ["]"], "Step after", () => this.moveStep(1)),
      at("pick", ["x"], "Pick a sample for a pair", () => this.togglePick(), false), at("pair", ["p"], "Ask people about this pair", () => this.sendPair(), false),
    ]);
  }
}

/** What a group compared, before its spread. */
const comparison = (group) => (group.fork_step !== null ? `fork ${group.fork_step}` : bySteps(group) ? "gains of each step" : "all paths");

function legend(tree) {
  const tones = ["n3", "n2", "n1", "0", "p1", "p2", "p3"];
  const noisy = tree.explored.size > 0;
  const idle = tree.nodes.some((n) => n.explored && !n.trained);
  return el("div", { class: "row meta faint tree-legend" }, el("span", null, "advantage"),
    el("span", { class: "row", style: "gap:1px", "aria-hidden": "true" }, tones.map((tone) => el("i", { style: `width:15px;height:10px;background:var(--adv-${tone})` }))),
    el("span", { class: "nowrap" }, "−1.2 to +1.2"), el("span", { class: "grow" }), el("span", { class: "nowrap" }, !noisy ? "no step draws noise" : idle ? "dotted: not learned from" : "steps with noise drawn wide"));
}
