/** Who is better in a group, by the judge and by people in one fit; and over the run, whether a sample's place decides. */

import { el, fmt } from "/static/js/lib.js";
import { frame, intervalLine } from "/static/js/plots.js";
import { auditMark } from "/static/js/reward_audit.js";
import { sheetTile } from "/static/js/run_parts.js";
import { num, svg } from "/static/js/svg.js";

const WIDTH = 296;
const HEIGHT = 130;
const Z95 = 1.96;

/** @param {any} group with `ranking`, when it has come @param {Record<string, any>} byIndex of the run, by reward
 * @param {Record<string, string>} [audits] what the audit of each judge of the run says */
export function rankingSection(group, byIndex, audits = {}) {
  const { judges = [], votes = 0 } = group.ranking ?? {};
  if (!judges.length && !Object.keys(byIndex).length) return null;
  return el("div", { class: "sec", "data-testid": "ranking" },
    judges.map((judge) => fit(group, judge, votes, audits[judge.name])),
    Object.entries(byIndex).map(([name, told]) => places(name, told)));
}

/** Samples by falling strength, each with its deviation; what the judge alone says stands beside it. */
function fit(group, judge, votes, audit) {
  const ranked = [...judge.samples].sort((a, b) => b.both - a.both);
  const reach = Math.max(0.5, ...ranked.map((one) => Math.abs(one.both) + Z95 * one.sd));
  const counts = judge.spread === null || judge.mark === null ? null : judge.spread >= judge.mark;
  return [
    el("div", { class: "sec-h" }, el("h3", null, "Who is better here"), el("span", { class: "meta muted clip", translate: "no" }, judge.name), auditMark(audit)),
    el("p", { class: "meta muted", style: "margin-bottom:6px" }, said(judge, votes)),
    el("table", { class: "tbl dt", "data-testid": "ranking-table" },
      el("thead", null, el("tr", null, el("th", null, el("span", { class: "vh" }, "picture")), el("th", { class: "num" }, "win rate"), votes > 0 && el("th", { class: "num" }, "judge"), el("th", { class: "num" }, votes ? "with people" : "strength"), el("th", null, el("span", { class: "vh" }, "interval")))),
      el("tbody", null, ranked.map((one) => el("tr", { "data-tile": one.tile },
        el("td", null, group.sheet_url ? sheetTile(group.sheet_url, group.tiles, one.tile, 24) : String(one.tile)),
        cell(one.rate, 2), votes > 0 && cell(one.judge, 2), cell(one.both, 2),
        el("td", { title: `95 % ${num(one.both - Z95 * one.sd)} to ${num(one.both + Z95 * one.sd)}` }, intervalLine(one.both, one.both - Z95 * one.sd, one.both + Z95 * one.sd, { width: 92, from: -reach, to: reach, chance: 0 })))))),
    counts === null ? null : el("p", { class: "micro faint", style: "margin-top:6px" }, counts
      ? `Its plain verdicts spread the rates by ${num(judge.spread)}, a coin's seldom by ${num(judge.mark)}.`
      : `Its plain verdicts spread the rates by ${num(judge.spread)}, which a coin's do too (${num(judge.mark)}).`),
  ];
}

function said(judge, votes) {
  if (!judge.bouts) return `${fmt.count(votes, "vote")} of people, and no judge.`;
  const bouts = fmt.count(judge.bouts, "verdict");
  return votes ? `${bouts} of the judge and ${fmt.count(votes, "vote")} of people in one fit.` : `${bouts} of the judge; people's votes on its pairs join the fit.`;
}

const cell = (value, digits) => el("td", { class: `num ${Number.isFinite(value) ? "" : "faint"}` }, Number.isFinite(value) ? num(value, digits) : "–");

/** Win rate by a sample's place in its group: flat where the judge does not mind who stands where. */
function places(name, told) {
  const high = Math.max(...told.places.map((p) => p.mean + Z95 * (p.se ?? 0)), 0.6);
  const low = Math.min(...told.places.map((p) => p.mean - Z95 * (p.se ?? 0)), 0.4);
  const spoken = told.places.map((p) => `${p.index + 1}: ${num(p.mean)}`).join(", ");
  const { root, x, y } = frame({ width: WIDTH, height: HEIGHT, x: [0.5, told.places.length + 0.5], y: [low, high], label: `Mean win rate by place in the group. ${spoken}`, xWord: "place in the group", yWord: "" });
  root.append(svg("path", { d: `M${x(0.5)} ${y(0.5)}H${x(told.places.length + 0.5)}`, fill: "none", style: "stroke:var(--line-control);stroke-dasharray:3 3" }));
  for (const place of told.places) {
    const at = x(place.index + 1).toFixed(1);
    if (place.se !== null) root.append(svg("path", { d: `M${at} ${y(place.mean - Z95 * place.se).toFixed(1)}V${y(place.mean + Z95 * place.se).toFixed(1)}`, style: "stroke:var(--text);stroke-width:1.5" }));
    root.append(svg("circle", { cx: at, cy: y(place.mean).toFixed(1), r: 3, style: "fill:var(--text)", "data-testid": "place" }, svg("title", {}, `place ${place.index + 1}: ${num(place.mean, 3)}`)));
  }
  const leans = told.low !== null && (told.low > 0 || told.high < 0);
  return [
    el("div", { class: "sec-h", style: "margin-top:14px" }, el("h3", null, "Win rate by place"), el("span", { class: "meta muted clip", translate: "no" }, name)),
    root,
    el("p", { class: `micro ${leans ? "warn" : "faint"}`, "data-testid": "place-slope", "data-leans": String(leans) }, verdict(told, leans)),
  ];
}

function verdict(told, leans) {
  const groups = fmt.count(told.groups, "group");
  if (told.low === null) return `From first to last ${num(told.slope, 2, { sign: true })}, in one group.`;
  const interval = `${num(told.low, 2, { sign: true })} to ${num(told.high, 2, { sign: true })}`;
  return leans
    ? `From first to last ${num(told.slope, 2, { sign: true })} (${interval}) in ${groups}: places mean nothing, so this is a habit of the judge.`
    : `From first to last ${num(told.slope, 2, { sign: true })} (${interval}) in ${groups}: no place is favoured.`;
}
