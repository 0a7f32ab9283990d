/**
 * Asking people about a selection of the lab. Pictures of one prompt become pairs; one that is alone in the selection is put beside
 * the sibling outside it that the two rewards order most clearly against one another.
 */

import { api, button, dialog, el, fill, fmt, live, toast } from "/static/js/lib.js";
import { choosePlace } from "/static/js/rollouts_send.js";

/**
 * Which pictures of a set must be sent so that the selected ones are judged.
 * @param {number[]} rows the selected
 * @param {{prompt: number[], urls: string[], x: (number|null)[], y: (number|null)[]}} set by columns, two rewards' values among them
 * @returns {{rows: number[], pairs: number, partners: number, alone: number}} pairs: how many they make; partners: how many were
 *   not selected; alone: how many have no other picture of their prompt and are left out
 */
function forPeople(rows, { prompt, urls, x, y }) {
  const mine = byPrompt(rows, prompt);
  const there = byPrompt(prompt.map((_, i) => i), prompt);
  const width = (column) => Math.max(...rows.map((i) => column[i] ?? 0)) - Math.min(...rows.map((i) => column[i] ?? 0)) || 1;
  const [across, up] = [width(x), width(y)];
  /** Below 0 where the rewards order the two against one another. */
  const accord = (i, j) => (((x[i] ?? 0) - (x[j] ?? 0)) / across) * (((y[i] ?? 0) - (y[j] ?? 0)) / up);
  const found = { rows: /** @type {number[]} */ ([]), pairs: 0, partners: 0, alone: 0 };
  for (const [of, chosen] of mine) {
    const group = [...chosen];
    if (new Set(group.map((i) => urls[i])).size < 2) {
      const others = (there.get(of) ?? []).filter((j) => urls[j] !== urls[group[0]]);
      if (!others.length) { found.alone += group.length; continue; }
      group.push(others.reduce((best, j) => (accord(group[0], j) < accord(group[0], best) ? j : best)));
      found.partners += 1;
    }
    found.rows.push(...group);
    for (let a = 0; a < group.length; a += 1) for (let b = a + 1; b < group.length; b += 1) if (urls[group[a]] !== urls[group[b]]) found.pairs += 1;
  }
  return found;
}

/** @param {number[]} rows @param {number[]} prompt @returns {Map<number, number[]>} */
function byPrompt(rows, prompt) {
  const found = new Map();
  for (const i of rows) (found.get(prompt[i]) ?? found.set(prompt[i], []).get(prompt[i])).push(i);
  return found;
}

/** The button beside a selection. @param {number[]} rows @param {any} lab @param {{x: any, y: any}} axes columns and words of the plot */
export function askButton(rows, lab, axes) {
  return button("Ask people", { size: "sm", icon: "label", testid: "ask-people", onclick: () => ask(rows, lab, axes) });
}

async function ask(rows, lab, { x, y, xWord, yWord }) {
  const { prompt, urls, ids } = lab.values;
  const sent = forPeople(rows, { prompt, urls, x, y });
  const study = await dialog("Ask people about the selected", (close) => {
    const place = choosePlace("a new study");
    const name = el("input", { class: "inp", id: "ask-name", maxlength: 200, "data-testid": "ask-name", value: `${xWord} × ${yWord}` });
    const named = el("div", { class: "field" }, el("label", { for: "ask-name" }, "Name"), name);
    place.addEventListener("change", () => { named.hidden = place.value !== ""; });
    const said = el("div");
    const go = button("Ask", { kind: "primary", key: "Enter", testid: "ask-go", disabled: !sent.pairs, onclick: async () => {
      go.disabled = true;
      const samples = sent.rows.map((i) => ids[i]);
      try {
        close(place.value ? await api(`studies/${place.value}/items`, { body: { sample_ids: samples } }) : await api("studies", { body: { name: name.value, kind: "images", sample_ids: samples } }));
      } catch (error) { fill(said, el("p", { class: "bad meta", role: "alert" }, error.message)); go.disabled = false; }
    } });
    go.setAttribute("autofocus", "");
    return el("form", { class: "stack", "data-testid": "ask-dialog", "data-pairs": sent.pairs, onsubmit: (e) => { e.preventDefault(); go.click(); } },
      el("p", null, sent.pairs ? `${fmt.count(sent.pairs, "pair")}: each picture beside the others of its prompt.` : "No other picture of these prompts is in this set, so there is nothing to compare them with."),
      sent.partners > 0 && el("p", { class: "meta muted" }, `${fmt.count(sent.partners, "picture")} outside the box came along: the sibling that the two rewards see most differently, for one that is alone in it.`),
      sent.pairs > 0 && sent.alone > 0 && el("p", { class: "meta muted" }, `${fmt.count(sent.alone, "picture")} left out: nothing else of the prompt is in this set.`),
      el("p", { class: "meta muted" }, "Who judges sees neither reward nor value."),
      el("div", { class: "field" }, el("label", { for: "pair-place" }, "Into"), place), named, said, el("div", { class: "row dialog-f" }, el("span", { class: "grow" }), go));
  });
  if (!study) return;
  live("The pairs wait in Label");
  toast("The pairs wait in Label", { action: "Label", onaction: () => lab.page.go(`/label/${study.id}`) });
}
