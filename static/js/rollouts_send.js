/** From rollouts to people: best and worst of a group as a blind pair, and what is done with several that were chosen. */

import { api, button, dialog, el, fill, icon, live, toast } from "/static/js/lib.js";
import { watchJob } from "/static/js/jobs.js";
import { sheetTile } from "/static/js/run_parts.js";

/** Pocket pictures at whole multiples; two beside each other on a phone too. */
const side = () => (innerWidth > 640 ? 192 : 128);

/** Where pairs can go: the queue, and open studies of pictures. */
async function places() {
  const rows = await api("studies").catch(() => []);
  return rows.filter((study) => study.kind === "images" && study.status === "open");
}

/** A choice of where pairs go: the usual place, which is "", or a study's id. @param {string} [usual] */
export function choosePlace(usual = "the queue of Label") {
  const select = el("select", { class: "sel", id: "pair-place", "data-testid": "pair-place" }, el("option", { value: "" }, usual));
  places().then((studies) => select.append(...studies.map((study) => el("option", { value: study.id }, `the study “${study.name}”`))));
  return select;
}

/**
 * Show the two pictures as they will be judged, without names or figures; Enter sends them.
 * @param {import("/static/js/rollout_row.js").Group} group @param {{best: number, worst: number}} pair
 * @param {{go: (path: string) => void, said: (id: number) => void}} page
 */
export async function askAboutPair(group, pair, page) {
  const shot = (idx) => {
    const leaf = group.leaves.find((one) => one.idx === idx);
    return el("span", { class: "stage pair-side" }, sheetTile(String(group.sheet_url), group.tiles, Number(leaf?.tile), side(), ""));
  };
  const sent = await dialog("Ask people which is better", (close) => {
    const place = choosePlace();
    const said = el("div");
    const send = button("Send", { kind: "primary", key: "Enter", testid: "pair-go", onclick: async () => {
      send.disabled = true;
      try {
        const body = { ...pair, study_id: place.value ? Number(place.value) : null };
        const { pair_id: id } = await api(`rollouts/${group.id}/pair`, { body });
        close({ id, study: body.study_id });
      } catch (error) { fill(said, el("p", { class: "bad meta", role: "alert" }, error.message)); send.disabled = false; }
    } });
    send.setAttribute("autofocus", "");
    return el("div", { class: "stack", "data-testid": "pair-dialog" }, el("p", { translate: "no" }, group.prompt), el("div", { class: "row pair-sides" }, shot(pair.best), shot(pair.worst)),
      el("p", { class: "meta muted" }, "Who judges sees these two in a random order and nothing else of the run."),
      el("div", { class: "field" }, el("label", { for: "pair-place" }, "Into"), place), said, el("div", { class: "row dialog-f" }, el("span", { class: "grow" }), send));
  }, { wide: true });
  if (!sent) return;
  page.said(sent.id);
  const path = sent.study ? `/label/${sent.study}` : "/label";
  live("The pair waits in Label");
  toast("The pair waits in Label", { action: "Label", onaction: () => page.go(path) });
}

/** Rollouts that were chosen, over all groups: [group, leaf] in the order of choosing. */
export class Selection {
  /** @param {string|null} text as the address has it: "12.3,12.5" */
  constructor(text) {
    /** @type {Map<string, [number, number]>} */
    this.all = new Map();
    for (const part of (text ?? "").split(",")) {
      const found = /^(\d+)\.(\d+)$/.exec(part);
      if (found) this.all.set(part, [Number(found[1]), Number(found[2])]);
    }
  }

  get size() { return this.all.size; }
  get list() { return [...this.all.values()]; }
  get text() { return [...this.all.keys()].join(",") || null; }

  /** @param {number} group @param {number} leaf */
  toggle(group, leaf) {
    const key = `${group}.${leaf}`;
    if (!this.all.delete(key)) this.all.set(key, [group, leaf]);
  }

  /** Those of one group. @param {number} group */
  of(group) { return this.list.filter(([id]) => id === group).map(([, leaf]) => leaf); }
  clear() { this.all.clear(); }
}

/**
 * What can be done with the chosen ones.
 * @param {number} run @param {Selection} chosen @param {{go: (path: string) => void, onClear: () => void}} page
 */
export function selectionBar(run, chosen, page) {
  const rollouts = chosen.list;
  const failing = (task) => async () => { try { await task(); } catch (error) { toast(error.message, { sign: "fail", tone: "bad" }); } };
  return el("div", { class: "row chosen-bar", "data-testid": "selection" }, el("b", { class: "strong nowrap" }, `${rollouts.length} chosen`),
    button("Label", { size: "sm", testid: "send-label", title: "Those of one prompt as pairs, each against the next best", onclick: () => toPeople(run, rollouts, page.go) }),
    button("Compare", { size: "sm", testid: "send-compare", title: "The run at these steps beside where it began, on this prompt", onclick: failing(async () => page.go((await api(`runs/${run}/rollouts/board`, { body: { rollouts } })).address)) }),
    button("Prompts", { size: "sm", testid: "send-prompts", title: "A new prompt set of their prompts", onclick: () => toPrompts(run, rollouts, page.go) }),
    el("span", { class: "grow" }), el("button", { class: "btn sm quiet icon", "aria-label": "Choose none", "data-testid": "clear-selection", onclick: page.onClear }, icon("x")));
}

async function toPeople(run, rollouts, go) {
  const sent = await dialog("Ask people about the chosen", (close) => {
    const place = choosePlace();
    const said = el("div");
    const send = button("Send", { kind: "primary", key: "Enter", testid: "label-go", onclick: async () => {
      try { close(await api(`runs/${run}/rollouts/pairs`, { body: { rollouts, study_id: place.value ? Number(place.value) : null } })); } catch (error) { fill(said, el("p", { class: "bad meta", role: "alert" }, error.message)); }
    } });
    send.setAttribute("autofocus", "");
    return el("div", { class: "stack" }, el("p", { class: "muted" }, `${rollouts.length} rollouts become pairs of their prompts, each against the next best by its reward.`), el("div", { class: "field" }, el("label", { for: "pair-place" }, "Into"), place), said, el("div", { class: "row dialog-f" }, el("span", { class: "grow" }), send));
  });
  if (!sent) return;
  const alone = sent.alone ? ` ${sent.alone} had no partner.` : "";
  toast(`${sent.pairs.length} ${sent.pairs.length === 1 ? "pair waits" : "pairs wait"} in Label.${alone}`, { action: "Label", onaction: () => go("/label") });
}

async function toPrompts(run, rollouts, go) {
  const made = await dialog("A prompt set of the chosen", (close) => {
    const name = el("input", { class: "inp", id: "set-name", "data-testid": "set-name", autofocus: true, maxlength: 200, value: `from run ${run}` });
    const said = el("div");
    const save = button("Make it", { kind: "primary", testid: "set-go", onclick: async () => {
      try { close(await api(`runs/${run}/rollouts/prompts`, { body: { rollouts, name: name.value } })); } catch (error) { fill(said, el("p", { class: "bad meta", role: "alert" }, error.message)); }
    } });
    return el("form", { class: "stack", onsubmit: (e) => { e.preventDefault(); save.click(); } }, el("div", { class: "field" }, el("label", { for: "set-name" }, "Name"), name), said, el("div", { class: "row dialog-f" }, el("span", { class: "grow" }), save));
  });
  if (made) toast(`A set of ${made.num_prompts} ${made.num_prompts === 1 ? "prompt" : "prompts"} was made.`, { action: "Prompts", onaction: () => go("/prompts") });
}

/** Have a reward that was not trained on judge the recorded rollouts. @param {any} run @param {() => void} onDone */
export async function askJudge(run, onDone) {
  const trained = new Set((run.config?.rewards ?? []).map((term) => term.name));
  const rewards = await api("rewards").catch(() => []);
  const watched = (run.config?.watch ?? []).map((term) => [`watch:${term.name}`, `${term.name}, watched by this run`]);
  const known = (rewards.items ?? rewards).filter((reward) => !trained.has(reward.name)).map((reward) => [String(reward.id), reward.name]);
  let stop = () => {};
  await dialog("Ask a judge", (close) => {
    const options = [...watched, ...known];
    if (!options.length) return el("p", { class: "muted" }, "There is no reward that this run was not trained on. Watch one in the next run, or add one on the Rewards page.");
    const which = el("select", { class: "sel", id: "judge-which", "data-testid": "judge-which" }, options.map(([value, word]) => el("option", { value }, word)));
    const host = el("div");
    const go = button("Ask", { kind: "primary", testid: "judge-go", onclick: async () => {
      go.disabled = true;
      try {
        const body = which.value.startsWith("watch:") ? { name: which.value.slice(6) } : { reward_id: Number(which.value) };
        const { job_id: job } = await api(`runs/${run.id}/rollouts/judge`, { body });
        stop = watchJob(host, job, { title: "Judging", onend: (row) => { if (row.status === "done") { close(); onDone(); } else go.disabled = false; } });
      } catch (error) { fill(host, el("p", { class: "bad meta", role: "alert" }, error.message)); go.disabled = false; }
    } });
    return el("div", { class: "stack" }, el("p", { class: "muted" }, "It scores the pictures of the newest 200 groups that it has not seen. Its values are only shown: nothing is learned from them."),
      el("div", { class: "field" }, el("label", { for: "judge-which" }, "Judge"), which), host, el("div", { class: "row dialog-f" }, el("span", { class: "grow" }), go));
  });
  stop();
}
