/** The audit of a judge: its eight tests with their marks, and the button that asks for it. */

import { button, el, fmt, icon, note } from "/static/js/lib.js";
import { num } from "/static/js/svg.js";

const AT_MOST = ["order flips", "master keys", "cheap edits"];

/** The mark beside a judge wherever it appears; nothing for what is no judge. @param {string} audit */
export function auditMark(audit) {
  if (!audit) return null;
  const passed = audit === "passed";
  const word = passed ? "audited" : audit === "unaudited" ? "unaudited" : "audit failed";
  return el("span", { class: "pill", "data-testid": "audit-mark", title: audit }, icon(passed ? "check" : "warn", passed ? "ok" : "warn"), word);
}

/** @param {any} row @param {() => Promise<void>} onAudit */
export function auditSection(row, onAudit) {
  if (!row.audit) return null;
  const report = row.figures?.audit;
  return el("div", { class: "sec", "data-testid": "audit" },
    el("div", { class: "sec-h" }, el("h2", null, "Audit"), auditMark(row.audit), el("span", { class: "grow" }),
      button(report ? "Audit again" : "Audit", { size: "sm", testid: "audit-judge", onclick: onAudit })),
    report ? table(report) : note("Nobody has tested this judge", "Eight tests say whether it contradicts itself, falls for tricks and sees what people see. Until then what it teaches may be its own habit.", { tone: "warn" }));
}

function table(report) {
  const { accuracy } = report;
  return el("div", { style: "overflow-x:auto" },
    el("table", { class: "tbl audit" },
      el("thead", null, el("tr", null, el("th", null, el("span", { class: "vh" }, "passed or failed")), el("th", null, "Test"), el("th", { class: "num" }, "Value"), el("th", { class: "num" }, "Mark"), el("th", null, "What lies behind it"))),
      el("tbody", null, report.tests.map((test) => el("tr", { "data-testid": "audit-test", "data-pass": String(test.pass) },
        el("td", null, el("span", { class: "pill" }, icon(test.pass ? "check" : "fail", test.pass ? "ok" : "bad"), test.pass ? "passed" : "failed")), el("td", { class: "nowrap" }, test.name),
        el("td", { class: "num" }, test.value === null ? "–" : num(test.value, 2)),
        el("td", { class: "num muted nowrap" }, `${AT_MOST.includes(test.name) ? "≤" : "≥"} ${num(test.threshold, 2)}`), el("td", { class: "muted wrap" }, test.detail))))),
    el("p", { class: "meta muted", style: "margin-top:6px" }, `${num(100 * accuracy.value, 1)} % right (${num(100 * accuracy.low, 1)} to ${num(100 * accuracy.high, 1)}) on ${fmt.count(accuracy.pairs, "pair")} whose better picture is known.`));
}
