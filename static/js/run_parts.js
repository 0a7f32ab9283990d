/** How a run looks wherever it stands in a line: status, recipe, step, gain, time. */

import { el, fmt, icon, kept, pm } from "/static/js/lib.js";
import { num } from "/static/js/svg.js";

/**
 * @typedef {object} RunRow  a run as the API lists it
 * @property {number} id
 * @property {string} name
 * @property {string} status     waiting | running | crashed | paused | done | stopped | failed
 * @property {string} wanted     run | pause | stop
 * @property {string} recipe
 * @property {string} method
 * @property {string} [method_title]
 * @property {number} step
 * @property {number} num_steps
 * @property {Record<string, number|null>} reward
 * @property {(number|null)[]} spark
 * @property {{name: string, value: number, se: number}|null} gain
 * @property {number} created_at
 * @property {number|null} started_at
 * @property {number|null} ended_at
 * @property {number|null} seconds_per_step
 * @property {number|null} eta_s
 * @property {string} error
 * @property {number|null} parent_id
 * @property {number|null} tuned_policy_id
 * @property {any[]} [alarms]
 * @property {{name: string, value: number, se: number}|null} [judge]   a watched reward's change
 * @property {string[]} [tags]
 * @property {string} [place]    the one place that must do it
 * @property {string|null} [worker]
 * @property {number} [attempt]
 */

/** status → [sign, tone, word] */
export const STATUSES = {
  running: ["dot", "ok", "running"],
  waiting: ["clock", "muted", "waiting"],
  crashed: ["fail", "bad", "crashed"],
  paused: ["pause", "muted", "paused"],
  done: ["check", "ok", "done"],
  stopped: ["stop", "muted", "stopped"],
  failed: ["fail", "bad", "failed"],
};

const ASKED = { pause: "pausing", stop: "stopping", halt: "stopping" };

/** Does the run still move? @param {Pick<RunRow, "status">} run */
export const isLive = (run) => run.status === "running" || isQueued(run);

/** Does the run wait for a worker? One whose worker died goes on by itself. @param {Pick<RunRow, "status">} run */
export const isQueued = (run) => run.status === "waiting" || run.status === "crashed";

/** What the status says in one word, a request that is on its way included. @param {RunRow} run */
const statusWord = (run) => (isLive(run) && ASKED[run.wanted]) || STATUSES[run.status]?.[2] || run.status;

/** Sign and word of a run's status. @param {RunRow} run */
export function statusPill(run, { strong = false } = {}) {
  const [sign, tone] = STATUSES[run.status] ?? ["info", "muted"];
  const mark = sign === "dot" ? el("span", { class: "dot", style: "background:var(--ok);margin:0 3px" }) : icon(sign, tone);
  const word = statusWord(run);
  return el("span", { class: `pill ${run.status === "waiting" ? "muted" : ""}`, "data-testid": "run-status", "data-status": run.status },
    mark, strong ? el("b", { class: "strong" }, word[0].toUpperCase() + word.slice(1)) : word);
}

/** The method's title; its key while nobody said it. @param {{method: string, method_title?: string}} run */
export const methodName = (run) => run.method_title ?? run.method;

/** A meter with "214 / 400" beside it. @param {RunRow} run */
export function stepMeter(run) {
  const share = run.num_steps ? Math.min(1, run.step / run.num_steps) : 0;
  return el("span", { class: "pb" },
    el("span", { class: `meter ${run.status === "running" ? "go" : ""}` }, el("b", { style: `width:${(share * 100).toFixed(1)}%` })),
    el("span", { class: "meta muted" }, `${run.step} / ${run.num_steps}`));
}

/** Change of the held-out reward with half its 95 % interval. @param {RunRow["gain"]} gain */
export function gainText(gain) {
  if (!gain || !Number.isFinite(gain.value)) return el("span", { class: "faint", title: "Not evaluated on held-out prompts yet." }, "–");
  const half = Number.isFinite(gain.se) ? num(fmt.ci(gain.se), 3) : null;
  return el("span", { title: `${kept(gain.name)} on held-out prompts, against step 0, 95 % interval` }, pm(num(gain.value, 3, { sign: true }), half));
}

/** "6 min left", "14:02", "waiting". @param {RunRow} run */
export function whenText(run) {
  if (run.status === "running") return Number.isFinite(run.eta_s) ? `${fmt.span(run.eta_s)} left` : "starting";
  if (isQueued(run)) return "in the queue";
  if (run.status === "paused") return `paused at ${run.step}`;
  return run.ended_at ? fmt.clock(run.ended_at) : fmt.clock(run.created_at);
}

/** A picture out of a strip of square tiles. @param {string} url @param {number} tiles @param {number} index @param {number} size */
export function sheetTile(url, tiles, index, size, label = "") {
  return el("span", {
    class: "shot", role: label ? "img" : null, "aria-label": label || null, "aria-hidden": label ? null : "true",
    style: `width:${size}px;height:${size}px;background-image:url("${url}");background-size:${tiles * size}px ${size}px;background-position:${-index * size}px 0`,
  });
}
