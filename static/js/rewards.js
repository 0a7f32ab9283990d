/** Rewards: the list, one of them in full, and training a new one from people's answers. */

import { api, button, dialog, el, empty, fill, live, note, setQuery, toast } from "/static/js/lib.js";
import { form } from "/static/js/form.js";
import { auditMark } from "/static/js/reward_audit.js";
import { about, newestVersions } from "/static/js/new_run_mix.js";
import { drawReward } from "/static/js/reward_detail.js";
import { TrainPanel } from "/static/js/reward_train.js";
import { num } from "/static/js/svg.js";

/** The kind that the form for a reward begins with: everybody sees what it looks for. */
const FIRST = "pocket-verifier";

/** Where the values of a kind lie. @param {[number | null, number | null]} range */
function bounds([low, high]) {
  if (low === null) return high === null ? "Its values have no bounds." : `Its values are at most ${num(high, 0)}.`;
  return high === null ? `Its values are at least ${num(low, 0)}.` : `Its values lie between ${num(low, 0)} and ${num(high, 0)}.`;
}

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const view = new RewardsView(main, page);
  await view.load();
  return () => view.train.close();
}

class RewardsView {
  /** @param {HTMLElement} main @param {any} page */
  constructor(main, page) {
    this.page = page;
    this.wanted = Number(page.query.get("reward")) || null;
    this.list = el("section", { class: "pane", "aria-label": "Rewards" });
    this.detail = el("section", { class: "pane scroll", "aria-label": "Reward" });
    this.side = el("aside", { class: "pane scroll", "aria-label": "Train a reward" });
    this.train = new TrainPanel(this.side, { onTrained: (id) => this.load(id), go: page.go });
    fill(main, el("div", { class: "panes reward-panes" }, this.list, this.detail, this.side));
  }

  /** @param {number|null} [choose] */
  async load(choose = null) {
    try {
      const [rows, kinds, counts] = await Promise.all([api("rewards"), api("reward-kinds"), api("today")]);
      this.rows = rows;
      this.kinds = new Map(kinds.map((kind) => [kind.kind, kind]));
      this.shown = newestVersions(rows);
      this.train.draw(counts.labels, counts.pairs);
      const order = (row) => (row.kind === "learned" ? 0 : 1);
      this.shown.sort((a, b) => order(a) - order(b) || a.name.localeCompare(b.name));
      this.current = rows.find((row) => row.id === (choose ?? this.wanted)) ?? this.shown[0] ?? null;
      this.drawList();
      await this.open(this.current);
    } catch (error) {
      fill(this.detail, el("div", { class: "sec" }, note("The rewards could not be read", error.message, { actions: [button("Try again", { size: "sm", onclick: () => this.load(choose) })] })));
    }
  }

  drawList() {
    fill(this.list, el("div", { class: "pane-h" }, el("h2", null, "Rewards"), el("span", { class: "meta muted" }, String(this.shown.length)), el("span", { class: "grow" }),
      el("a", { class: "btn sm quiet", href: "/rewards/lab", "data-testid": "open-lab" }, "Reward lab"), button("Add", { size: "sm", icon: "plus", testid: "add-reward", onclick: () => this.add() })),
    el("div", { class: "scroll grow-y", "data-testid": "reward-list" }, this.shown.map((row) => this.item(row))));
  }

  item(row) {
    const accuracy = row.figures?.accuracy;
    return el("button", { class: "rw", type: "button", "data-testid": "reward-row", "data-reward": row.id, "aria-pressed": String(row.name === this.current?.name), onclick: () => this.open(row) },
      el("span", { class: "row" }, el("b", { class: "strong", translate: "no" }, row.name), el("span", { class: "meta faint clip grow" }, about(row)),
        Number.isFinite(accuracy) ? el("span", { class: "nowrap" }, num(100 * accuracy, 0), el("span", { class: "pm faint" }, ` ± ${num((100 * (row.figures.high - row.figures.low)) / 2, 0)} %`)) : null),
      el("span", { class: "meta muted", style: "display:block;margin-top:2px" }, this.kinds.get(row.kind)?.title ?? row.kind, " ", auditMark(row.audit)));
  }

  async open(row) {
    if (!row) return fill(this.detail, empty({ title: "No rewards yet", text: "A reward says how good a picture is. Add one that is built in, or train one from people's answers.", actions: [button("Add a reward", { icon: "plus", testid: "add-first-reward", onclick: () => this.add() })] }));
    this.current = row;
    setQuery({ reward: row.id });
    this.drawList();
    return drawReward(this.detail, row, {
      kind: this.kinds.get(row.kind), versions: this.rows.filter((other) => other.name === row.name), others: this.shown.filter((other) => other.name !== row.name),
      onVersion: (other) => this.open(other), onScore: () => this.score(row), onAudit: (body) => this.audit(row, body),
    });
  }

  async audit(row, body) {
    try {
      const { job_id: id } = await api(`rewards/${row.id}/audit`, { body });
      await this.train.watch(id, `${row.name} is being audited`);
      live(`The audit of ${row.name} is done`);
      await this.load(row.id);
    } catch (error) {
      toast(error.message, { sign: "fail", tone: "bad" });
    }
  }

  async score(row) {
    try {
      const { job_id: id } = await api(`rewards/${row.id}/score`, { body: { policy_id: null, limit: 512 } });
      await this.train.watch(id, `${row.name} is scoring samples`);
      live(`${row.name} has scored the samples`);
      await this.open(row);
    } catch (error) {
      toast(error.message, { sign: "fail", tone: "bad" });
    }
  }

  /** A form for a reward that is built in. */
  async add() {
    const kinds = [...this.kinds.values()].filter((kind) => !["learned", "directional"].includes(kind.kind));
    const made = await dialog("Add a reward", (close) => {
      const name = el("input", { class: "inp", type: "text", id: "reward-name", autocomplete: "off", "data-testid": "reward-name" });
      const summary = el("p", { class: "meta muted" });
      const host = el("div");
      const trouble = el("div");
      let fields = form([]);
      const pick = (key) => {
        const kind = this.kinds.get(key);
        name.value = key;
        fields = form(kind.fields ?? []);
        fill(summary, kind.summary, " ", bounds(kind.range));
        fill(host, fields.node);
      };
      const select = el("select", { class: "sel", id: "reward-kind", "data-testid": "reward-kind", onchange: (e) => pick(e.target.value) }, kinds.map((kind) => el("option", { value: kind.kind }, kind.title)));
      const first = kinds.find((kind) => kind.kind === FIRST) ?? kinds[0];
      if (first) { select.value = first.kind; pick(first.kind); }
      const save = async () => {
        if (!fields.check()) return;
        try {
          close(await api("rewards", { body: { name: name.value.trim(), kind: select.value, config: fields.read() } }));
        } catch (error) {
          if (!error.field || !fields.setError(error.field.replace(/^config\./, ""), error.message)) fill(trouble, note("The reward was not added", error.message));
        }
      };
      return [el("div", { class: "fields" }, el("div", { class: "field" }, el("label", { for: "reward-kind" }, "Kind"), select), summary, el("div", { class: "field" }, el("label", { for: "reward-name" }, "Name"), name), host, trouble),
        el("div", { class: "row dialog-f" }, el("span", { class: "grow" }), button("Add the reward", { kind: "primary", testid: "save-reward", onclick: save }))];
    });
    if (made) await this.load(made.id);
  }
}

