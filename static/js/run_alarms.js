/** Alarms of a run: each with a way to what it is about, put away when somebody has looked, and the rules behind them. */

import { api, button, dialog, el, fill, fmt, icon, toast } from "/static/js/lib.js";

/** @typedef {import("/static/js/run_state.js").RunState} RunState */

/** @param {RunState} state @param {HTMLElement} host */
export function drawAlarms(state, host) {
  const alarms = state.run?.alarms ?? [];
  fill(host, el("div", { class: "pane-h" }, el("h2", null, "Alarms"),
    alarms.length ? el("span", { class: "badge warn" }, `${alarms.length} open`) : el("span", { class: "meta muted" }, "none"),
    el("span", { class: "grow" }), button("Rules", { kind: "quiet", size: "sm", testid: "alarm-rules", onclick: () => showRules(state) })),
  alarms.map((alarm) => row(state, alarm)));
}

/** @param {RunState} state @param {any} alarm */
function row(state, alarm) {
  const bad = alarm.level === "error" || alarm.level === "bad";
  const upto = alarm.last_step > alarm.step ? ` to ${alarm.last_step}` : "";
  const told = alarm.told ?? {};
  return el("div", { class: "al", "data-testid": "alarm", "data-rule": alarm.rule }, icon(bad ? "fail" : "warn", bad ? "bad" : "warn"), el("div", null,
    el("b", null, alarm.title ?? alarm.text),
    alarm.id !== undefined && el("span", { class: "meta muted" }, upto ? `steps ${alarm.step}${upto}` : `step ${alarm.step}`),
    alarm.title && el("p", { class: "meta" }, alarm.text),
    told.text && el("p", { class: `meta ${told.ok ? "muted" : "bad"}`, "data-testid": "alarm-told" }, told.ok ? `Webhook told (${told.text}).` : `Webhook not told: ${told.text}`),
    el("span", { class: "row al-do" },
      alarm.url && el("a", { class: "link meta", href: alarm.url, "data-testid": "alarm-link" }, alarm.action ?? "Show"),
      alarm.id !== undefined && el("button", { class: "link meta as-link", type: "button", "data-testid": "close-alarm", onclick: () => close(state, alarm) }, "Put away"))));
}

/** @param {RunState} state @param {any} alarm */
async function close(state, alarm) {
  const turn = async (/** @type {string} */ verb) => {
    try {
      await api(`runs/${state.id}/alarms/${alarm.id}/${verb}`, { method: "POST" });
      state.ask("run");
    } catch (error) {
      toast(error.message, { sign: "fail", tone: "bad" });
    }
  };
  await turn("close");
  toast(`Put away: ${alarm.title}`, { action: "Undo", onaction: () => turn("open") });
}

/** Every rule, what it has found in this run, and what the run does on it. @param {RunState} state */
async function showRules(state) {
  const [rules, found] = await Promise.all([api("alarm-rules"), api(`runs/${state.id}/alarms`)]);
  const { stop_on: stops = [], webhook = "" } = state.run.config?.alarms ?? {};
  const of = (/** @type {string} */ rule) => found.filter((/** @type {any} */ alarm) => alarm.rule === rule);
  const told = (/** @type {any} */ alarm) => `step ${alarm.step}${alarm.about ? `, ${alarm.about}` : ""}${alarm.closed_at ? `, put away by ${alarm.closed_by}` : ""}`;
  await dialog("What this run is watched for", () => [
    el("div", { class: "config-table", tabindex: "0" }, el("table", { class: "tbl rules", "data-testid": "rules-table" },
      el("thead", null, el("tr", null, el("th", null, "sign"), el("th", null, "fires when"), el("th", null, "in this run"))),
      el("tbody", null, rules.map((/** @type {any} */ rule) => el("tr", null,
        el("td", null, el("span", { class: "row" }, icon(rule.level === "error" ? "fail" : "warn", rule.level === "error" ? "bad" : "warn"), el("span", null, rule.title, stops.includes(rule.rule) ? el("span", { class: "meta muted" }, " · stops the run") : null))),
        el("td", { class: "wrap" }, rule.looks), el("td", { class: "wrap" }, of(rule.rule).map(told).join("; ") || "–")))))),
    el("p", { class: "meta muted" }, webhook ? `New alarms are told to ${hostOf(webhook)}. ` : "No webhook is told. ",
      "Settings alarms.webhook and alarms.stop_on say what an alarm does; the limits were set on runs of the pocket world."),
    found.some((/** @type {any} */ alarm) => alarm.told?.at) ? el("p", { class: "meta muted" }, `Last told ${fmt.ago(Math.max(...found.map((/** @type {any} */ a) => a.told?.at ?? 0)))}.`) : null,
  ], { wide: true });
}

/** @param {string} address */
const hostOf = (address) => { try { return new URL(address).host; } catch { return address; } };
