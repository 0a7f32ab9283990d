/** Rollouts: groups as the trainer compared them, the tree of the chosen one, and its rewards in full. */

import { api, button, el, fill, fmt, kbd, keys, live, note, poll, setQuery } from "/static/js/lib.js";
import { drawDetail } from "/static/js/rollout_detail.js";
import { groupRow, lines, markRow } from "/static/js/rollout_row.js";
import { Ahead } from "/static/js/rollouts_ahead.js";
import { treePane } from "/static/js/rollouts_tree.js";
import { FilterBar, address, nothing, query, read } from "/static/js/rollouts_filter.js";
import { WindowedList } from "/static/js/rollouts_list.js";
import { Selection, askAboutPair, askJudge, selectionBar } from "/static/js/rollouts_send.js";
import { rewardColour } from "/static/js/svg.js";

/** @typedef {import("/static/js/rollout_row.js").Group} Group */

const PAGE = 20;
const FRESH_S = 4;
const TREE_GROUPS = 12;
/** Groups kept in full; walking on and back does not ask again. */
const KEPT = 60;
/** So long a group is looked at before it counts as seen, and its neighbours are fetched. */
const LOOK_MS = 600;

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
    this.main = main;
    this.page = page;
    this.id = Number(page.params.run_id);
    this.wanted = { group: Number(q.get("group")) || null, leaf: q.has("leaf") ? Number(q.get("leaf")) : null };
    this.chosen = new Selection(q.get("sel"));
    this.bar = new FilterBar({ wanted: read(q), names: () => this.names, judges: () => this.judges, onChange: (changes) => this.refine(changes), onJudge: () => askJudge(this.run, () => this.load(true)) });
    /** @type {Group[]} */
    this.groups = [];
    this.next = null;
    this.total = 0;
    this.samples = 0;
    /** @type {Map<number, Promise<any>>} groups with their nodes */
    this.reading = new Map();
    /** @type {Map<number, any>} the same, those that have come */
    this.full = new Map();
    /** @type {Group|null} */
    this.group = null;
    this.leaf = null;
    /** @type {string[]} rewards in the sum, and those that are only watched */
    this.names = [];
    this.judges = [];
    this.ahead = new Ahead((group) => this.panes(group));
    this.busy = false;
    this.asked = 0;
    this.stops = [];
  }

  get filter() { return this.bar.wanted; }

  async start() {
    const first = api(`runs/${this.id}/rollouts?${this.query(null)}`).catch((error) => error);
    try {
      this.run = await api(`runs/${this.id}`);
    } catch (error) {
      fill(this.main, el("div", { class: "sec" }, note("The rollouts could not be read", error.message, { actions: [el("a", { class: "btn sm", href: "/runs" }, "All runs")] })));
      return;
    }
    this.names = (this.run.config?.rewards ?? []).map((term) => term.name);
    if ([...(this.run.config?.rewards ?? []), ...(this.run.config?.watch ?? [])].some((term) => term.kind === "win-rate")) api(`runs/${this.id}/win-rates`).then((found) => { this.byIndex = found; if (this.group && this.leaf) this.drawDetailPane(this.group, this.leaf, this.full.get(this.group.id)); }, () => {});
    this.page.title("Rollouts", [["Runs", "/runs"], [this.run.name, `/runs/${this.id}`]]);
    this.layout();
    this.stops.push(this.bindKeys());
    await this.load(true, first);
    this.stops.push(poll(() => this.fresh(), FRESH_S));
  }

  close() {
    this.list?.close();
    clearTimeout(this.looking);
    cancelAnimationFrame(this.growing);
    this.stops.forEach((stop) => stop());
  }

  layout() {
    this.host = el("div", { class: "list scroll", "data-testid": "group-list" });
    this.tree = el("section", { class: "pane tree-pane", "aria-label": "Tree" });
    this.detail = el("div", { class: "scroll grow-y", role: "region", tabindex: "0", "aria-label": "Sample in full" });
    this.foot = el("div", { class: "sec pair-foot" });
    this.list = new WindowedList(this.host, (group) => this.row(group), () => this.load(false));
    fill(this.main, this.bar.node, el("div", { class: "panes rollout-panes" },
      el("section", { class: "pane", "aria-label": "Groups" }, el("div", { class: "pane-h", style: "gap:12px" }, this.key = el("span", { class: "row", style: "gap:12px" }),
        el("span", { class: "grow" }), el("span", { class: "row meta faint nowrap hints", style: "gap:4px" }, kbd("j"), kbd("k"), "group", kbd("h"), kbd("l"), "sample")), this.host),
      this.tree, el("aside", { class: "pane", "aria-label": "Sample" }, this.detail, this.foot)));
    this.drawKey();
    this.bar.draw();
  }

  /** Names and colours of the rewards whose shares the bars draw. */
  drawKey() {
    fill(this.key, this.names.map((name, i) => el("span", { class: "row meta nowrap", style: "gap:5px" }, el("i", { class: "sw", style: `background:${rewardColour(i)}` }), el("span", { translate: "no" }, name))));
  }

  drawCount() {
    fill(this.bar.counter, `${fmt.count(this.total, "group")} · ${fmt.count(this.samples, "sample")}`);
  }

  /** @param {Record<string, string>} changes */
  async refine(changes) {
    Object.assign(this.filter, changes);
    setQuery({ ...address(this.filter), group: null, leaf: null });
    this.wanted = { group: null, leaf: null };
    this.bar.draw();
    await this.load(true);
  }

  query(after) {
    const asked = query(this.filter);
    asked.set("limit", String(PAGE));
    if (after !== null) asked.set("after", String(after));
    return asked;
  }

  /** @param {boolean} first @param {Promise<any>|null} [asked] */
  async load(first, asked = null) {
    if (this.busy && !first) return;
    if (!first && !this.next) return;
    this.setBusy(true);
    const ask = ++this.asked;
    try {
      const answer = await (asked ?? api(`runs/${this.id}/rollouts?${this.query(first ? null : this.next)}`));
      if (answer instanceof Error) throw answer;
      if (ask !== this.asked) return;
      this.groups = first ? answer.groups : [...this.groups, ...answer.groups];
      Object.assign(this, { next: answer.next, total: answer.total, samples: answer.samples });
      this.drawCount();
      this.learnNames(answer.groups);
      fill(this.bar.newer);
      if (!first) this.list?.show(this.groups, Boolean(this.next));
      else await this.begin();
      this.main.dataset.loads = String(ask);
    } catch (error) {
      if (ask === this.asked) fill(this.host, el("div", { class: "sec" }, note("The groups could not be read", error.message, { actions: [button("Try again", { size: "sm", onclick: () => this.load(true) })] })));
    } finally {
      if (ask === this.asked) this.setBusy(false);
    }
  }

  /** @param {boolean} on groups are on their way */
  setBusy(on) {
    this.busy = on;
    this.host.setAttribute("aria-busy", String(on));
  }

  /** Show the first page, with the group that the address names: it may stand on a later page. */
  async begin() {
    const { group: id, leaf } = this.wanted;
    let at = this.groups.find((group) => group.id === id) ?? null;
    if (id && !at) {
      at = await this.read(id).catch(() => null);
      if (at && at.run_id !== this.id) at = null;
      if (at) { this.groups = [at, ...this.groups]; this.learnNames([at]); }
    }
    this.group = null;
    this.list?.forget();
    this.list?.show(this.groups, Boolean(this.next));
    await this.choose(at ?? this.groups[0] ?? null, leaf);
  }

  /** A run without a trained reward learns from verdicts, which the groups name; what is only watched stands there too. */
  learnNames(groups) {
    const said = [...new Set(groups.flatMap((group) => Object.keys(group.leaves[0]?.rewards ?? {})))];
    const before = this.names.length + this.judges.length;
    if (!this.names.length) this.names = said;
    this.judges = [...new Set([...this.judges, ...said.filter((name) => !this.names.includes(name))])];
    if (before !== this.names.length + this.judges.length) { this.drawKey(); this.bar.draw(); this.drawCount(); }
  }

  /** A running trainer adds groups: say so, and let people decide when the list moves. */
  async fresh() {
    if (this.run.status !== "running" || this.busy) return;
    const asked = this.query(null);
    asked.set("limit", "1");
    const answer = await api(`runs/${this.id}/rollouts?${asked}`);
    if (!this.groups.length && answer.total) { await this.load(true); return; }
    const more = answer.total - this.total;
    if (more > 0) fill(this.bar.newer, button(`${fmt.count(more, "newer group")}`, { size: "sm", kind: "quiet", testid: "show-newer", onclick: () => this.load(true) }));
  }

  /** @param {Group} group */
  row(group) {
    const current = group.id === this.group?.id;
    return groupRow(group, this.names, { current, leaf: current ? this.leaf?.idx ?? null : null, picked: this.chosen.of(group.id), onSelect: (leaf) => this.choose(group, leaf) });
  }

  /** @param {Group|null} group @param {number|null} [leaf] */
  async choose(group, leaf = null) {
    if (!group) return this.drawEmpty();
    const before = this.group;
    this.group = group;
    this.leaf = group.leaves.find((l) => l.idx === leaf) ?? first(group);
    const ready = this.ahead.take(group.id, this.stamp(group, this.leaf));
    setQuery({ group: group.id, leaf: this.leaf?.idx });
    if (before && before.id !== group.id) this.list?.mark(before, (row) => markRow(row, before, { current: false, leaf: null }));
    this.list?.mark(group, (row) => markRow(row, group, { current: true, leaf: this.leaf?.idx ?? null }));
    this.list?.reveal(group);
    this.drawSide(ready);
    this.lookAt(group);
    await this.loadTree(group);
    return undefined;
  }

  /** After a moment the group counts as looked at, and what J and K would show is fetched. */
  lookAt(group) {
    clearTimeout(this.looking);
    this.makeReady(group).catch(() => {});
    this.looking = setTimeout(async () => {
      if (!group.seen) {
        await api(`rollouts/${group.id}/seen`, { method: "POST" }).catch(() => {});
        group.seen = true;
        this.list?.again(group);
      }
      if (!group.neighbours) {
        const asked = [api(`rollouts/${group.id}/neighbours`).catch(() => []), api(`rollouts/${group.id}/ranking`).catch(() => ({}))];
        [group.neighbours, group.ranking] = await Promise.all(asked);
        if (this.group?.id === group.id && this.leaf) this.drawDetailPane(group, this.leaf, this.full.get(group.id));
      }
    }, LOOK_MS);
  }

  /** Read what J and K would show, and have it made. */
  async makeReady(group) {
    const at = this.groups.findIndex((one) => one.id === group.id);
    const near = [this.groups[at + 1], this.groups[at - 1]].filter(Boolean);
    await Promise.all(near.map((one) => this.readTree(one.id)));
    if (this.group?.id === group.id) this.ahead.want(near);
  }

  /** What the panes of a group depend on. */
  stamp(group, leaf) {
    return [leaf?.idx, this.tree.clientWidth, this.tree.clientHeight, this.names, this.judges, Boolean(group.neighbours), Boolean(this.byIndex), Boolean(group.ranking)].join("|");
  }

  /** The panes of a group as they are when it is chosen. */
  panes(group) {
    const [full, leaf, detail] = [this.full.get(group.id), first(group), document.createElement("div")];
    if (!full || !leaf) return null;
    drawDetail(detail, group, leaf, full, this.names, (id) => this.open(id), this.byIndex ?? {}, this.run?.audits);
    return { stamp: this.stamp(group, leaf), detail: [...detail.childNodes], tree: this.treeParts(group, leaf, full) };
  }

  /** A group and those of its tree. @param {number} id */
  async readTree(id) {
    const full = await this.read(id);
    await Promise.all(this.othersOf(full).map((other) => this.read(other)));
    return full;
  }

  othersOf(full) {
    return (full.groups_of_tree ?? []).filter((id) => id !== full.id).slice(0, TREE_GROUPS - 1);
  }

  /** One group with its nodes, asked for once. @param {number} id */
  read(id) {
    let reading = this.reading.get(id);
    if (!reading) {
      reading = api(`rollouts/${id}`).then((full) => { this.full.set(id, full); return full; });
      reading.catch(() => this.reading.delete(id));
      this.reading.set(id, reading);
      for (const old of [...this.reading.keys()].slice(0, Math.max(0, this.reading.size - KEPT))) { this.reading.delete(old); this.full.delete(old); }
    }
    return reading;
  }

  async loadTree(group) {
    try {
      const known = this.full.get(group.id);
      const had = known && this.othersOf(known).every((id) => this.full.has(id));
      await this.readTree(group.id);
      if (this.group?.id === group.id && !had) this.drawSide();
    } catch (error) {
      if (this.group?.id === group.id) fill(this.tree, el("div", { class: "sec" }, note("The tree could not be read", error.message, { actions: [button("Try again", { size: "sm", onclick: () => this.loadTree(group) })] })));
    }
  }

  /** @param {import("/static/js/rollouts_ahead.js").Panes|null} [ready] made ahead */
  drawSide(ready = null) {
    const { group, leaf } = this;
    if (!group || !leaf) return;
    const full = this.full.get(group.id);
    cancelAnimationFrame(this.growing);
    if (ready) {
      fill(this.tree, ready.tree);
      fill(this.detail, ready.detail);
    } else {
      this.growing = requestAnimationFrame(() => this.drawTreeAgain(group, full));  // the row is seen first, and a held key draws one tree
      this.drawDetailPane(group, leaf, full);
    }
    const pair = this.pair();
    const said = this.chosen.of(group.id).length === 2 ? "the two chosen" : "best and worst of the group";
    fill(this.foot, this.chosen.size ? selectionBar(this.id, this.chosen, { go: this.page.go, onClear: () => this.pick(null) }) : null,
      el("p", { class: "meta muted" }, said, el("span", { class: "hints" }, " · ", kbd("x"), " chooses a sample")),
      button("Ask people about this pair", { kind: "primary", key: "p", testid: "send-pair", disabled: !pair, title: pair ? "" : "A pair needs two samples whose pictures were kept", onclick: () => this.ask() }));
    this.main.dataset.group = String(group.id);
  }

  /** The tree anew; who walks it keeps their place. */
  drawTreeAgain(group, full) {
    if (this.group?.id !== group.id) return;
    const walking = this.tree.contains(document.activeElement) ? document.activeElement?.getAttribute("data-node") : null;
    this.drawTreePane(group, full);
    if (walking) /** @type {SVGElement|null} */ (this.tree.querySelector(`.spot[data-node="${walking}"]`))?.focus();
  }

  drawDetailPane(group, leaf, full) {
    drawDetail(this.detail, group, leaf, full, this.names, (id) => this.open(id), this.byIndex ?? {}, this.run?.audits);
  }

  /** Another group by its number, put before the others where it is not in the list. @param {number} id */
  async open(id) {
    let group = this.groups.find((one) => one.id === id);
    if (!group) {
      group = await this.read(id);
      this.groups = [group, ...this.groups];
      this.list?.show(this.groups, Boolean(this.next));
    }
    await this.choose(group);
  }

  drawTreePane(group, full) {
    fill(this.tree, this.treeParts(group, this.leaf, full));
  }

  /** The tree of a group with one of its leaves chosen. */
  treeParts(group, leaf, full) {
    const choose = (id, other) => this.choose(this.groups.find((g) => g.id === id) ?? this.full.get(id), other);
    const others = full ? [full, ...this.othersOf(full).map((id) => this.full.get(id)).filter(Boolean)] : [];
    return treePane({ group, leaf, full, groups: others, choose, width: this.tree.clientWidth, height: this.tree.clientHeight });
  }

  drawEmpty() {
    this.group = null;
    cancelAnimationFrame(this.growing);
    fill(this.tree);
    fill(this.detail);
    fill(this.foot);
    this.list?.forget();
    fill(this.host, nothing(this.filter, this.id, (changes) => this.refine(changes)));
  }

  /** The two samples that P would send: the two chosen ones of the group, else its best and worst. */
  pair() {
    const leaves = this.group?.leaves ?? [];
    const chosen = this.group ? this.chosen.of(this.group.id) : [];
    const picked = leaves.filter((l) => chosen.includes(l.idx));
    const siblings = (this.group ? lines(this.group) : []).find((line) => line.stride === this.leaf?.stride)?.leaves ?? leaves;
    const [best, worst] = picked.length === 2 ? picked : [siblings[0], siblings.at(-1)];
    return best && worst && best !== worst && best.tile !== null && worst.tile !== null ? { best: best.idx, worst: worst.idx } : null;
  }

  ask() {
    const pair = this.pair();
    if (pair && this.group) askAboutPair(this.group, pair, { go: this.page.go, said: (id) => { this.main.dataset.pair = String(id); } });
  }

  /** @param {number} by */
  moveGroup(by) {
    const at = this.groups.findIndex((g) => g.id === this.group?.id);
    const to = this.groups[Math.max(0, Math.min(this.groups.length - 1, at + by))];
    if (this.next && at + by >= this.groups.length - 3) this.load(false);
    if (to && to !== this.group) this.choose(to);
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

  /** Choose a sample or let it go; null lets all go. @param {{group: number, leaf: number}|null} one */
  pick(one) {
    if (one) this.chosen.toggle(one.group, one.leaf);
    else this.chosen.clear();
    setQuery({ sel: this.chosen.text });
    if (one) live(`${fmt.count(this.chosen.size, "sample")} chosen`);
    for (const group of this.groups) this.list?.again(group);
    this.drawSide();
  }

  bindKeys() {
    const at = (id, names, label, run, repeat = true) => ({ id: `rollouts.${id}`, keys: names, label, repeat, run });
    return keys.bind("Rollouts", [
      at("next", ["j"], "Next group", () => this.moveGroup(1)), at("previous", ["k"], "Previous group", () => this.moveGroup(-1)),
      at("left", ["h"], "Sample before", () => this.moveLeaf(-1)), at("right", ["l"], "Sample after", () => this.moveLeaf(1)),
      at("earlier", ["["], "Step before", () => this.moveStep(-1)), at("later", ["]"], "Step after", () => this.moveStep(1)),
      at("pick", ["x"], "Choose a sample", () => this.group && this.leaf && this.pick({ group: this.group.id, leaf: this.leaf.idx }), false), at("pair", ["p"], "Ask people about this pair", () => this.ask(), false),
    ]);
  }
}

/** The leaf that is shown when none is named. @param {Group} group */
const first = (group) => lines(group)[0]?.leaves[0] ?? null;
