/** The versions of a reward: what changed from one to the next, and which runs used each. */

import { api, el, fill, fmt, note } from "/static/js/lib.js";
import { num } from "/static/js/svg.js";

const SHORT = 12;

/** @param {HTMLElement} host @param {any} row @param {(id: number) => void} onOpen */
export async function drawVersions(host, row, onOpen) {
  const versions = await api(`rewards/${row.id}/versions`).catch((error) => error);
  if (versions instanceof Error) return fill(host, note("Its versions could not be read", versions.message));
  return fill(host, el("div", { class: "sec-h" }, el("h2", null, "Versions and their runs")), el("div", { style: "overflow-x:auto" }, el("table", { class: "tbl audit", "data-testid": "versions" },
    el("thead", null, el("tr", null, ["version", "made", "what changed", "runs"].map((word) => el("th", null, word)))),
    el("tbody", null, versions.map((one) => el("tr", { "data-testid": "version-row", "aria-current": one.id === row.id ? "true" : null },
      el("td", null, one.id === row.id ? el("b", { class: "strong" }, one.version) : el("button", { class: "link", type: "button", onclick: () => onOpen(one.id) }, one.version), Number.isFinite(one.accuracy) && el("span", { class: "faint" }, ` ${num(100 * one.accuracy, 0)} %`)),
      el("td", { class: "muted" }, fmt.ago(one.created_at)), el("td", { class: "wrap" }, changes(one)), el("td", { class: "wrap" }, runs(one))))))));
}

function changes(one) {
  if (!one.changed.length) return el("span", { class: "faint" }, "–");
  return one.changed.map(({ setting, was, now }) => el("div", { class: "mono", translate: "no" }, `${setting} ${short(was)} → ${short(now)}`));
}

const short = (value) => {
  const text = value === null || value === undefined ? "none" : String(value);
  return text.length > SHORT + 8 ? `${text.slice(0, SHORT)}…` : text;
};

function runs(one) {
  if (!one.runs.length) return el("span", { class: "faint" }, "none");
  return one.runs.map((run) => el("div", null, el("a", { class: "link", href: `/runs/${run.id}`, translate: "no" }, run.name), el("span", { class: "muted" }, run.role === "trained" ? ` trained, weight ${num(run.weight)}` : " watched")));
}
