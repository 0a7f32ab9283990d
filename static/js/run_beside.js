/** What a run's base gains without training, beside what the run has gained: the baseline that it has to beat. */

import { el, fmt } from "/static/js/lib.js";

/** @param {{way: string, rounds: number}} row */
export const wayName = (row) => ({ best: `best of ${row.rounds}`, again: "drawn again in the same words", refine: "drawn again in other words" })[row.way] ?? row.way;

/** A line of the Run page; nothing where nobody measured it on the same prompts by this reward.
 * @param {{reward: string, way: string, rounds: number, calls: number, gain: number, se: number|null, job_id: number, verdict: string|null}[]} told @param {string} reward */
export function besideRun(told, reward) {
  const row = told.find((one) => one.reward === reward);
  if (!row) return null;
  const gain = `${fmt.signed(row.gain)} ± ${fmt.num(fmt.ci(row.se ?? 0))}`;
  return el("p", { class: "meta muted run-beside", "data-testid": "run-beside", "data-verdict": row.verdict },
    el("a", { class: "link", href: `/best-of-n?view=untrained&measured=${row.job_id}`, title: `${row.calls.toFixed(2)} pictures a prompt on the same prompts, 95 % interval` }, `${wayName(row)} without training: ${gain}`));
}
