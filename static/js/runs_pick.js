/** What is done to several runs at once: compare, stop, tag, put away; and it can be undone. */

import { api, button, el, fill, fmt, toast } from "/static/js/lib.js";
import { isLive } from "/static/js/run_parts.js";

const MOST = 6;

export class PickBar {
  /** @param {{onDone: () => void, onClear: () => void, go: (address: string) => void}} options */
  constructor({ onDone, onClear, go }) {
    Object.assign(this, { onDone, onClear, go });
    this.runs = [];
    this.node = el("div", { class: "bar picks-bar", role: "toolbar", "aria-label": "Selected runs", hidden: true, "data-testid": "picked" });
  }

  /** @param {any[]} runs @param {string[]} tags that runs of the project have */
  draw(runs, tags) {
    const typed = /** @type {HTMLInputElement|null} */ (this.node.querySelector("input"));
    const same = runs.map((run) => run.id).join() === this.runs.map((run) => run.id).join();
    if (same && typed && document.activeElement === typed) return; // somebody is writing a tag
    this.runs = runs;
    this.node.hidden = !runs.length;
    if (!runs.length) return;
    const active = runs.some(isLive);
    const hidden = runs.every((run) => run.hidden);
    const why = runs.length < 2 ? "Select two runs or more" : runs.length > MOST ? `At most ${MOST} are compared at once` : "";
    const tag = el("input", { class: "inp sm-inp", style: "width:130px", list: "run-tags", placeholder: "Tag", "aria-label": "Tag the selected runs", "data-testid": "tag-runs", maxlength: "40", onkeydown: (e) => { if (e.key === "Enter" && tag.value.trim()) this.act("tag", tag.value.trim()); } });
    const worn = [...new Set(runs.flatMap((run) => run.tags))];
    fill(this.node, el("b", { class: "nowrap", "data-testid": "picked-count" }, `${fmt.count(runs.length, "run")} selected`),
      button("Compare", { icon: "compare", size: "sm", key: "Enter", testid: "compare-runs", disabled: Boolean(why), title: why || null, onclick: () => this.compare() }),
      button("Stop", { icon: "stop", size: "sm", testid: "stop-runs", disabled: !active, title: active ? "After the update each is at, with a checkpoint" : "None of them runs or waits", onclick: () => this.act("stop") }),
      el("span", { class: "row" }, tag, el("datalist", { id: "run-tags" }, tags.map((one) => el("option", { value: one })))),
      worn.map((one) => button(one, { kind: "quiet", size: "sm", icon: "x", title: `Take the tag ${one} away`, onclick: () => this.act("untag", one) })),
      button(hidden ? "Take out again" : "Put away", { size: "sm", testid: "hide-runs", title: hidden ? null : "Out of the list; nothing is deleted", onclick: () => this.act(hidden ? "show" : "hide") }),
      el("span", { class: "grow" }), button("Select none", { kind: "quiet", size: "sm", onclick: () => this.onClear() }));
  }

  compare() {
    if (this.runs.length < 2 || this.runs.length > MOST) return;
    this.go(`/runs/compare?runs=${this.runs.map((run) => run.id).join(",")}`);
  }

  /** @param {string} action @param {string} [tag] */
  async act(action, tag = "") {
    const ids = this.runs.map((run) => run.id);
    const back = { hide: "show", show: "hide", tag: "untag", untag: "tag" }[action];
    const word = { hide: "put away", show: "taken out again", tag: `tagged ${tag}`, untag: `without the tag ${tag}`, stop: "asked to stop" }[action];
    try {
      const { done, refused } = await api("runs/together", { body: { ids, action, tag } });
      if (refused.length) toast(refused.map((line) => line.reason).join(" "), { sign: "warn", tone: "warn", seconds: 10 });
      if (done.length) toast(`${fmt.count(done.length, "run")} ${word}.`, { action: back && "Undo", onaction: back && (async () => { await api("runs/together", { body: { ids: done, action: back, tag } }); this.onDone(); }) });
      this.onDone();
    } catch (error) {
      toast(error.message, { sign: "fail", tone: "bad" });
    }
  }
}
