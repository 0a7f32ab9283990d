/** The audit of a judge: its eight tests with their marks, and the button that asks for it. */

import { button, el, fmt, icon, note } from "/static/js/lib.js";
import { num } from "/static/js/svg.js";

const AT_MOST = ["order flips", "master keys", "cheap edits", "ties"];

/** The mark beside a judge wherever it appears; nothing for what is no judge. @param {string} audit */
export function auditMark(audit) {
  if (!audit) return null;
  const passed = audit === "passed";
  const word = passed ? "audited" : audit === "unaudited" ? "unaudited" : "audit failed";
  return el("span", { class: "pill", "data-testid": "audit-mark", title: audit }, icon(passed ? "check" : "warn", passed ? "ok" : "warn"), word);
}

/** @param {any} row @param {(body: {own: boolean, simulated?: boolean}) => Promise<void>} onAudit */
export function auditSection(row, onAudit) {
  if (!row.audit) return null;
  const { audit: pocket, audit_own: own } = row.figures ?? {};
  const simulated = el("input", { type: "checkbox", "data-testid": "audit-simulated" });
  return el("div", { class: "sec", "data-testid": "audit" },
    el("div", { class: "sec-h" }, el("h2", null, "Audit"), auditMark(row.audit)),
    pocket || own ? null : note("Nobody has tested this judge", "Tests say whether it contradicts itself, falls for tricks and sees what people see. Until then what it teaches may be its own habit.", { tone: "warn" }),
    part("On pairs of the pocket world", pocket, "There it is known which picture is better: all eight tests.", button(pocket ? "Audit again" : "Audit", { size: "sm", testid: "audit-judge", onclick: () => onAudit({ own: false }) })),
    part("On pairs that people decided here", own, "Your own pictures: six tests that need no more than people's answers.", el("label", { class: "check meta" }, simulated, "Simulated too"),
      button(own ? "Audit again" : "Audit", { size: "sm", testid: "audit-own", onclick: () => onAudit({ own: true, simulated: simulated.checked }) })));
}

function part(title, report, about, ...controls) {
  return el("div", { class: "audit-part" }, el("div", { class: "sec-h" }, el("h3", { class: "grow" }, title), controls), report ? table(report) : el("p", { class: "meta muted" }, about));
}

function table(report) {
  const { accuracy } = report;
  return el("div", { style: "overflow-x:auto" },
    el("table", { class: "tbl audit tests" },
      el("thead", null, el("tr", null, el("th", null, el("span", { class: "vh" }, "passed or failed")), el("th", null, "test"), el("th", { class: "num" }, "value"), el("th", { class: "num" }, "pass mark"), el("th", null, "what lies behind it"))),
      el("tbody", null, report.tests.map((test) => el("tr", { "data-testid": "audit-test", "data-pass": String(test.pass) },
        el("td", null, el("span", { class: "pill" }, icon(test.pass ? "check" : "fail", test.pass ? "ok" : "bad"), test.pass ? "passed" : "failed")), el("td", { class: "nowrap" }, test.name),
        el("td", { class: "num" }, test.value === null ? "–" : num(test.value, 2)),
        el("td", { class: "num muted nowrap" }, `${AT_MOST.includes(test.name) ? "≤" : "≥"} ${num(test.threshold, 2)}`), el("td", { class: "muted wrap" }, test.detail))))),
    el("p", { class: "meta muted", style: "margin-top:6px" }, `${num(100 * accuracy.value, 1)} % right (${num(100 * accuracy.low, 1)} to ${num(100 * accuracy.high, 1)}) on ${fmt.count(accuracy.pairs, "pair")} ${report.own ? "by what most people chose" : "whose better picture is known"}.`));
}
