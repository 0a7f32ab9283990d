/** Steering a run that goes on: settings that may change, what was asked and by whom, and a menu of rarer wishes. */

import { api, button, dialog, el, fill, fmt, icon, note } from "/static/js/lib.js";
import { language, LANGUAGES } from "/static/js/languages.js";
import { figure } from "/static/js/svg.js";

/** @typedef {import("/static/js/run_state.js").RunState} RunState */

const WHAT = { sample: "pictures", checkpoint: "checkpoint" };

/** @param {RunState} state @param {HTMLElement} host */
export function drawSteering(state, host) {
  const changed = state.orders.filter((order) => order.kind === "setting");
  host.hidden = state.run.status === "done" && !state.orders.length;
  fill(host, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, "While it runs"),
    state.run.status !== "done" && state.settings.length ? button("Change", { kind: "quiet", size: "sm", icon: "sliders", testid: "change-settings", onclick: () => showChange(state) }) : null),
  state.orders.length
    ? el("ol", { class: "orders", "data-testid": "orders" }, [...state.orders].reverse().slice(0, 8).map((order) => el("li", { class: "meta" },
      el("span", { class: order.step === null ? "muted" : "faint mono" }, order.step === null ? "waits" : `step ${order.step}`), " ",
      order.kind === "setting" ? [el("span", { class: "mono" }, order.key), " ", el("s", { class: "faint" }, text(order.was)), " ", el("b", null, text(order.value))] : WHAT[order.kind] ?? order.kind,
      el("span", { class: "muted", title: fmt.ago(order.asked_at) }, ` by ${order.by}`))))
    : el("p", { class: "meta muted" }, changed.length ? "" : "Nothing was changed."));
}

const text = (/** @type {any} */ value) => (typeof value === "number" ? figure(value, 3) : String(value));

/** @param {RunState} state */
function showChange(state) {
  return dialog(`Change ${state.run.name} from the next update on`, (close) => {
    const told = el("div", { "aria-live": "polite" });
    const fields = state.settings.map((setting) => ({ setting, input: el("input", { class: "inp mono", type: "text", inputmode: "decimal", value: String(setting.value), id: `set-${setting.key}`, "data-testid": `set-${setting.key}` }) }));
    const send = async (/** @type {Event} */ event) => {
      event.preventDefault();
      fill(told);
      const changes = fields.map(({ setting, input }) => ({ key: setting.key, was: setting.value, input, value: Number(input.value.trim().replace("−", "-")) })).filter((c) => c.value !== c.was);
      for (const { key, value, input } of changes) {
        if (!Number.isFinite(value)) { fill(told, note("This is not a number", `${key} was given '${input.value}'.`)); input.focus(); return; }
        try {
          await api(`runs/${state.id}/changes`, { body: { key, value } });
          await state.fetchOrders();
        } catch (error) {
          fill(told, note("Not changed", error.message));
          input.focus();
          return;
        }
      }
      state.ask("orders");
      close();
    };
    return el("form", { class: "steer-form", onsubmit: send },
      el("p", { class: "muted" }, "Everything else is part of what the run's checkpoints mean: clone the run to change it. A change is kept with its step and your name, and a resumed run makes it again."),
      fields.map(({ setting, input }) => el("div", { class: "form-row" }, el("label", { for: input.id }, setting.title), el("div", { class: "row" }, input,
        setting.value !== setting.given ? el("span", { class: "meta muted nowrap" }, `begun with ${text(setting.given)}`) : null))),
      told,
      el("div", { class: "row dialog-f" }, el("span", { class: "grow" }), button("Cancel", { onclick: () => close() }), el("button", { class: "btn primary", type: "submit", "data-testid": "send-changes" }, "Change")));
  });
}

/** What can be taken away of a run, as downloads. @param {number} id @param {any} run */
export function takeaway(id, run) {
  const get = (what) => () => location.assign(`/api/v1/runs/${id}/${what}`);
  const others = LANGUAGES.filter(([tag]) => tag !== language());
  return [{ label: "Page to send", icon: "send", testid: "take-report", run: get("report") },
    ...others.map(([tag, name]) => ({ label: `Page to send · ${name}`, icon: "send", testid: `take-report-${tag}`, run: get(`report?language=${tag}`) })), { label: "Bundle that replays", icon: "save", testid: "take-bundle", run: get("bundle") },
    ...(run.tuned_policy_id || run.checkpoints?.length ? [{ label: "Adapter", icon: "down", testid: "take-adapter", run: get("adapter") }] : [])];
}

/**
 * A button that opens a short list of actions.
 * @param {string} label @param {{label: string, icon: string, testid: string, run: () => void}[]} items
 */
export function menu(label, items) {
  const list = el("div", { class: "menu", role: "menu", hidden: true }, items.map((item) => el("button", { type: "button", class: "btn quiet", role: "menuitem", "data-testid": item.testid, onclick: () => { shut(); item.run(); } }, icon(item.icon), item.label)));
  const opener = el("button", { type: "button", class: "btn quiet icon", "aria-label": label, title: label, "aria-haspopup": "menu", "aria-expanded": "false", "data-testid": "more-actions", onclick: () => (list.hidden ? open() : shut()) }, icon("more"));
  const node = el("span", { class: "menu-host" }, opener, list);
  const away = (/** @type {Event} */ event) => { if (!node.contains(/** @type {Node} */ (event.target))) shut(); };
  function open() {
    list.hidden = false;
    const box = opener.getBoundingClientRect();
    list.style.top = `${box.bottom + 4}px`;
    list.style.right = `${Math.max(8, window.innerWidth - box.right)}px`;
    opener.setAttribute("aria-expanded", "true");
    list.querySelector("button")?.focus();
    document.addEventListener("pointerdown", away);
  }
  function shut() {
    list.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", away);
  }
  node.addEventListener("keydown", (event) => { if (event.key === "Escape" && !list.hidden) { event.stopPropagation(); shut(); opener.focus(); } });
  return node;
}
