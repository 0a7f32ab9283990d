/** How one thing looks wherever it stands: pills of work and workers, saved state, a pair of small pictures, intervals. */
import { el, fmt, icon } from "/static/js/lib.js";

export { gainText, methodName, stepMeter, statusPill as runPill, whenText } from "/static/js/run_parts.js";

/** job status → [sign, tone, word] */
const JOBS = {
  due: ["clock", "muted", "waiting"], running: ["dot", "ok", "running"], paused: ["pause", "muted", "paused"],
  done: ["check", "ok", "done"], failed: ["fail", "bad", "failed"], stopped: ["stop", "muted", "stopped"],
  drawing: ["clock", "muted", "drawing"], ready: ["check", "ok", "ready"],
};
const WORKERS = { idle: ["clock", "muted", "idle"], busy: ["dot", "ok", "working"], gone: ["fail", "bad", "gone"] };
const SAVED = { saved: ["check", "ok"], saving: ["clock", "muted"], kept: ["plug", "warn"], refused: ["fail", "bad"] };

/** Sign, word and colour. */
function pill([sign, tone, word], testid) {
  const mark = sign === "dot" ? el("span", { class: "dot", style: `background:var(--${tone})` }) : icon(sign, tone);
  return el("span", { class: "pill", "data-testid": testid }, mark, word);
}

/** kind of job → what is being done */
const KINDS = {
  generate: "Drawing pictures", cells: "Drawing a board", compare: "Drawing a comparison", study: "Drawing a study", untrained: "Drawing without training", latents: "Decoding latents",
  choose: "Choosing pairs", score: "Scoring", score_set: "Scoring", edits: "Trying cheap edits", audit: "Auditing a judge", look: "Looking at pictures", glance: "Trying a reward", judge: "Judging", judge_rollouts: "Judging rollouts",
  simulate: "Simulated annotators", learn: "Learning a reward", references: "Keeping references", import_rows: "Importing", import_rollouts: "Importing rollouts", notify: "Telling a webhook", probe: "Probing", train: "Training a run",
};

/** @param {string} kind of a job */
export const jobWord = (kind) => KINDS[kind] || kind;

/** @param {string} status of a job or a comparison */
export const jobPill = (status) => pill(JOBS[status] || ["info", "muted", status], "job-status");

/** @param {string} state of a worker @param {number | null} age seconds since it was last heard */
export const workerPill = (state, age) => pill(state !== "gone" && age > 30 ? ["warn", "warn", "silent"] : WORKERS[state] || ["info", "muted", state], "worker-state");

/** Saved, Saving, "5 kept here", Not saved. @param {{saved: string, kept: number, reason: string}} state */
export function savedPill(state) {
  const words = { saved: "Saved", saving: "Saving", kept: `${state.kept} kept here`, refused: "Not saved" };
  const [sign, tone] = SAVED[state.saved];
  const titles = { kept: "No connection. They are kept in this browser and sent when it is back.", refused: state.reason };
  return el("span", { class: `pill ${tone}`, "data-testid": "saved-state", "data-state": state.saved, title: titles[state.saved] || null }, icon(sign), words[state.saved]);
}

/** 63 % with half of its 95 % interval. @param {number | null} value @param {number} low @param {number} high */
export function share(value, low, high) {
  if (!Number.isFinite(value)) return el("span", { class: "faint" }, "–");
  return [el("b", { class: "strong" }, fmt.pct(value, 0)),
    Number.isFinite(low) ? el("span", { class: "faint", title: "95 % interval" }, ` ${Math.round(low * 100)}–${Math.round(high * 100)} %`) : null];
}

/** A share done with its words. @param {number} value 0 to 1 @param {string} text @param {boolean} [going] */
export function meter(value, text, going = false) {
  return el("span", { class: "pb" }, el("span", { class: `meter ${going ? "go" : ""}` },
    el("b", { style: `width:${(100 * Math.max(0, Math.min(1, value || 0))).toFixed(1)}%` })), el("span", { class: "meta muted" }, text));
}

/** The largest size in CSS pixels at which a picture fits, small pictures at whole multiples of their device pixels.
 * @param {number} width @param {number} height the picture's @param {number} roomX @param {number} roomY */
export function fit(width, height, roomX, roomY) {
  const dpr = window.devicePixelRatio || 1;
  let scale = Math.min(roomX / width, roomY / height) * dpr;
  const small = Math.max(width, height) <= 256;
  if (small && scale >= 1) scale = Math.floor(scale);
  return { width: (width * scale) / dpr, height: (height * scale) / dpr, small };
}
