/** One line of the list of runs, and what can be done to it there: pick it, move it in the queue, send it to a place. */

import { button, el, fmt, icon, kept } from "/static/js/lib.js";
import { spark } from "/static/js/charts.js";
import { gainText, isQueued, methodName, statusPill, stepMeter, whenText } from "/static/js/run_parts.js";

/** @typedef {import("/static/js/run_parts.js").RunRow} RunRow */

/**
 * @typedef {object} Deeds
 * @property {(id: number) => void} toggle
 * @property {(id: number, by: number) => void} shift   one place up or down among those that wait
 * @property {(id: number, before: number) => void} drop   in front of another that waits
 * @property {(id: number, place: string) => void} send
 * @property {(tag: string) => void} tag                show only these
 * @property {(dragging: boolean) => void} drag
 */

/** @param {RunRow & any} run @param {{picked: boolean, current: boolean, places: any[], queue: number[], owners: boolean}} how @param {Deeds} deeds */
export function runRow(run, { picked, current, places, queue, owners }, deeds) {
  const waits = isQueued(run);
  const row = el("tr", { "data-testid": "run-row", "data-run": run.id, "data-status": run.status, "aria-selected": String(picked), class: [current && "current", waits && "waits"].filter(Boolean).join(" "), draggable: waits ? "true" : null, tabindex: "-1", "data-id": `row-${run.id}` },
    el("td", null, el("label", { class: "hit" }, el("input", { type: "checkbox", checked: picked, "aria-label": `Select ${kept(run.name)}`, "data-id": `pick-${run.id}`, onchange: () => deeds.toggle(run.id) }))),
    el("td", null, statusPill(run)),
    el("td", { class: "name" }, el("a", { href: `/runs/${run.id}`, class: "strong", translate: "no", "data-id": `open-${run.id}`, title: run.note || null }, run.name),
      run.tags.map((tag) => el("button", { class: "tag", title: `Show only runs tagged ${tag}`, onclick: () => deeds.tag(tag) }, tag))),
    el("td", { class: "muted" }, methodName(run)),
    el("td", null, stepMeter(run)),
    el("td", null, run.spark?.length > 1 ? spark(run.spark) : el("span", { class: "faint", title: "No iteration has ended yet." }, "–")),
    el("td", { class: "num" }, gainText(run.gain)),
    el("td", { class: "num" }, gainText(run.judge)),
    el("td", null, trouble(run)),
    el("td", { class: "muted clip where", title: run.worker ?? "" }, waits ? placeSelect(run, places, deeds) : whereText(run)),
    owners && el("td", { class: "muted", translate: "no" }, run.owner),
    el("td", { class: "num" }, waits ? queueCell(run, queue, deeds) : whenText(run)));
  if (waits) wireDrag(row, run, deeds);
  return row;
}

/** What went wrong: the sentence of a failed or crashed run, or how many alarms are open. */
function trouble(run) {
  if (run.status === "failed" || run.status === "crashed") return el("span", { class: "pill bad clip", style: "max-width:240px", title: run.error, "data-testid": "run-error" }, icon("fail", "bad"), el("span", { class: "clip" }, run.error || run.status));
  const count = Array.isArray(run.alarms) ? run.alarms.length : Number(run.alarms ?? 0);
  return count > 0 ? el("span", { class: "pill", title: run.alarms.map?.((alarm) => alarm.title).join("\n") ?? null }, icon("warn", "warn"), String(count)) : null;
}

/** A run that was begun again says so. */
function whereText(run) {
  const place = run.place || (run.status === "running" ? run.worker ?? "" : "");
  return [place, run.status === "running" && run.attempt > 1 ? `${place ? ", " : ""}begun ${run.attempt} times` : ""].join("");
}

function placeSelect(run, places, deeds) {
  const names = [...new Set([...places.map((worker) => worker.place), run.place].filter(Boolean))];
  if (!names.length) return el("span", { class: "faint" }, "no worker");
  return el("select", { class: "sel sm-sel", "aria-label": `Where ${run.name} is done`, "data-testid": `place-${run.id}`, "data-id": `place-${run.id}`, onchange: (e) => deeds.send(run.id, e.target.value) },
    el("option", { value: "" }, "any worker"), names.map((name) => el("option", { value: name, selected: name === run.place }, placeWord(name, places))));
}

/** "box:0 is busy". @param {string} name @param {any[]} places workers that train */
export function placeWord(name, places) {
  const here = places.filter((worker) => worker.place === name);
  return !here.length ? `${name} is gone` : here.some((worker) => worker.state === "idle") ? `${name} is free` : `${name} is busy`;
}

function queueCell(run, queue, deeds) {
  const at = queue.indexOf(run.id);
  const move = (by, word, off) => {
    const node = button("", { kind: "quiet", size: "sm icon", icon: "down", title: word, testid: `queue-${by < 0 ? "up" : "down"}-${run.id}`, disabled: off, onclick: () => deeds.shift(run.id, by) });
    node.setAttribute("aria-label", `${word}: ${run.name}`);
    node.dataset.id = `queue${by}-${run.id}`;
    return node;
  };
  return el("span", { class: "row q" }, el("span", { class: "muted", "data-testid": "queue-place" }, at < 0 ? "waits" : at === 0 ? "next" : `${fmt.int(at + 1)} in line`),
    move(-1, "Sooner", at <= 0), move(1, "Later", at < 0 || at === queue.length - 1));
}

/** Drag a waiting row onto another: it goes in front of it. */
function wireDrag(row, run, deeds) {
  row.addEventListener("dragstart", (event) => { event.dataTransfer.setData("text/plain", String(run.id)); event.dataTransfer.effectAllowed = "move"; deeds.drag(true); });
  row.addEventListener("dragend", () => deeds.drag(false));
  row.addEventListener("dragover", (event) => { event.preventDefault(); row.classList.add("over"); });
  row.addEventListener("dragleave", () => row.classList.remove("over"));
  row.addEventListener("drop", (event) => { event.preventDefault(); row.classList.remove("over"); deeds.drop(Number(event.dataTransfer.getData("text/plain")), run.id); });
}
