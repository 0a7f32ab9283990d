/** One rollout in full: its picture, the edge it grew on, and the way from raw rewards to its advantage. */

import { el, fill } from "/static/js/lib.js";
import { rankingSection } from "/static/js/rollout_ranking.js";
import { bySteps, cause, verdict } from "/static/js/rollout_row.js";
import { sheetTile } from "/static/js/run_parts.js";
import { advantage, advantageClass, advantageColour, figure, num, rewardColour, svg } from "/static/js/svg.js";

/** @typedef {import("/static/js/rollout_row.js").Group} Group @typedef {import("/static/js/rollout_row.js").Leaf} Leaf */

const WATERFALL = { width: 296, label: 84, pitch: 18 };

/** @param {HTMLElement} host @param {Group} group @param {Leaf} leaf @param {any} full the group with nodes, when it has come @param {string[]} names
 * @param {(group: number) => void} [onOpen] another group of the same prompt is wanted @param {Record<string, any>} [byIndex] win rates of the run by place
 * @param {Record<string, string>} [audits] what the audits of its judges say */
export function drawDetail(host, group, leaf, full, names, onOpen = () => {}, byIndex = {}, audits = {}) {
  const siblings = comparedWith(group, leaf, full);
  const rank = siblings.indexOf(leaf) + 1;
  const edge = edgeOf(full, leaf);
  const shown = [...names, ...Object.keys(leaf.rewards).filter((name) => !names.includes(name))];
  fill(host,
    el("div", { class: "pane-h" }, el("h2", null, titleOf(group, leaf, edge, rank, siblings.length)), el("span", { class: "mono faint" }, `group ${group.id}`)),
    el("div", { class: "sec", "data-testid": "sample-detail", "data-leaf": leaf.idx }, el("div", { class: "pic" },
      el("div", { class: "stage" }, group.sheet_url && leaf.tile !== null ? sheetTile(group.sheet_url, group.tiles, leaf.tile, 128, group.prompt) : leaf.text ? el("span", { class: "words", translate: "no" }, leaf.text) : el("span", { class: "gone" }, "not kept")),
      el("dl", { class: "kv" }, lines(group, leaf, edge, `${rank} of ${siblings.length}`).map(([word, value, cls]) => [el("dt", null, word), el("dd", { class: cls }, value)]))),
    trunkStrip(full)),
    el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h3", null, bySteps(group) ? "From gain to advantage" : group.given ? "From verdict to advantage" : "From raw reward to advantage")),
      table(leaf, shown, names, bySteps(group)), footline(full, leaf, names), names.some((name) => Number.isFinite(leaf.rewards[name]?.share)) ? waterfall(leaf, names, group.kept) : null),
    wordByWord(leaf, shown), granularities(group, leaf, full, names), rankingSection(group, byIndex, audits), neighbourStrip(group, onOpen));
}

/** What rewards of spans said of each word, before their mean or least became the value. */
function wordByWord(leaf, names) {
  const told = names.filter((name) => leaf.rewards[name]?.spans?.length);
  if (!told.length) return null;
  const word = ([text, right]) => el("span", { class: right < 0.5 ? "badge warn" : "badge", title: "0: missing or wrong, 1: right" }, el("span", { translate: "no" }, text), " ", num(right, 2));
  return el("div", { class: "sec", "data-testid": "words" }, el("div", { class: "sec-h" }, el("h3", null, "Word by word")),
    told.map((name) => el("div", { class: "row", style: "gap:4px;flex-wrap:wrap;margin-bottom:6px", "data-reward": name }, told.length > 1 && el("span", { class: "micro faint", translate: "no" }, name), leaf.rewards[name].spans.map(word))));
}

/** The same path finished with every stride: what each said of the edge, and their sum, its advantage. */
function granularities(group, leaf, full, names) {
  const edge = edgeOf(full, leaf);
  const strides = [...new Set(group.leaves.map((l) => l.stride))].sort((a, b) => a - b);
  if (!edge || strides.length < 2 || bySteps(group)) return null;
  const parents = new Map(full.nodes.map((n) => [n.idx, n.parent]));
  const ends = group.leaves.filter((l) => { let at = l.idx; while (at !== null && at !== undefined && at !== edge.idx) at = parents.get(at); return at === edge.idx; });
  ends.sort((a, b) => a.stride - b.stride);
  const share = (l, name) => l.rewards[name]?.share;
  const cell = (value, text) => el("td", { class: `num ${Number.isFinite(value) ? "" : "faint"}` }, Number.isFinite(value) ? text(value) : "–");
  return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h3", null, "By granularity")),
    el("table", { class: "tbl dt", "data-testid": "granularity-table" }, el("thead", null, el("tr", null, el("th", null, "stride"), names.map((name) => el("th", { class: "num" }, el("span", { class: "clip", translate: "no", title: name }, name))), el("th", { class: "num" }, "advantage"))),
      el("tbody", null, ends.map((l) => el("tr", { "aria-selected": l.idx === leaf.idx ? "true" : null }, el("td", null, String(l.stride)), names.map((name) => cell(share(l, name), advantage)), cell(l.advantage, advantage)))),
      el("tfoot", null, el("tr", null, el("td", { colspan: String(names.length + 1) }, "the edge"), el("td", { class: "num" }, advantage(edge.advantage))))));
}

/** The same prompt at the steps around: best and worst of each group. */
function neighbourStrip(group, onOpen) {
  if (!group.neighbours || group.neighbours.length < 2) return null;
  return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h3", null, "This prompt at other steps")),
    el("div", { class: "row neighbours", "data-testid": "neighbours" }, group.neighbours.map((one) => el("button", { type: "button", "aria-current": one.id === group.id ? "true" : null, title: `Best and worst at step ${one.step}: mean ${num(one.mean, 3)}, spread ${num(one.spread, 3)}`, onclick: () => onOpen(one.id) },
      [one.best, one.worst].map((tile) => (one.sheet_url && tile !== null ? sheetTile(one.sheet_url, one.tiles, tile, 36) : el("span", { class: "gone" }, "–"))), el("span", { class: "micro" }, `step ${one.step}`), el("span", { class: "micro faint" }, num(one.mean, 2))))));
}

/** Those that the leaf was compared with: of its stride, or where steps are compared, whose step ends where its own does. */
function comparedWith(group, leaf, full) {
  if (!bySteps(group)) return group.leaves.filter((l) => l.stride === leaf.stride);
  const end = (l) => edgeOf(full, l)?.step ?? null;
  const mine = full ? end(leaf) : null;
  return mine === null ? [leaf] : group.leaves.filter((l) => end(l) === mine);
}

function titleOf(group, leaf, edge, rank, num_) {
  if (group.given) return verdict(leaf) === "preferred" ? "Preferred" : "Rejected";
  if (!bySteps(group)) return `Sample ${rank} of ${num_}`;
  return edge ? `Step ${edge.step - 1}, ${rank} of ${num_}` : "Before any noise";
}

/** The last explored node before a leaf. */
function edgeOf(full, leaf) {
  if (!full?.nodes) return null;
  const byIdx = new Map(full.nodes.map((n) => [n.idx, n]));
  let at = byIdx.get(leaf.idx);
  while (at && at.kind !== "child") at = at.parent === null || at.parent === undefined ? null : byIdx.get(at.parent);
  return at ?? null;
}

function lines(group, leaf, edge, rank) {
  const sigma = edge ? num(edge.sigma, 2) : null;
  const strided = group.leaves.some((other) => other.stride !== 1);
  return [
    ["advantage", group.kept ? advantage(leaf.advantage) : "±0, skipped", `strong ${group.kept ? advantageClass(leaf.advantage) : "muted"}`],
    !group.given && !rank.endsWith(" of 1") && ["rank", rank],
    group.fork_step !== null && ["fork", sigma ? `${group.fork_step}, σ ${sigma}` : String(group.fork_step)],
    leaf.completes && ["picture", "on the way"],
    strided && ["stride", String(leaf.stride)],
    edge?.eta !== null && edge?.eta !== undefined && ["η", num(edge.eta, 2)],
    edge?.log_prob !== null && edge?.log_prob !== undefined && ["log-prob", num(edge.log_prob, 3)],
    edge?.ratio !== null && edge?.ratio !== undefined && ["ratio", edge.ratio.toFixed(3)],
    edge?.seed !== null && edge?.seed !== undefined && ["seed", el("span", { title: String(edge.seed) }, String(edge.seed)), "mono"],
  ].filter(Boolean);
}

/** Clean estimates along the trunk, as the model saw the picture coming. */
function trunkStrip(full) {
  if (!full?.trunk_url) return null;
  const trunk = full.nodes.filter((n) => n.kind === "trunk");
  const tiles = full.trunk_tiles ?? trunk.length;
  const shown = [...Array(tiles).keys()].filter((i) => tiles <= 6 || i === tiles - 1 || i % Math.ceil(tiles / 6) === 0).slice(0, 6);
  return el("div", { class: "strip" }, shown.map((i) => el("figure", null, sheetTile(full.trunk_url, tiles, i, 44, "clean estimate on the trunk"),
    el("figcaption", { class: "micro faint" }, trunk[i] ? `${i === 0 ? "σ " : ""}${trunk[i].sigma >= 0.995 ? "1" : num(trunk[i].sigma, 2)}` : ""))));
}

function table(leaf, shown, names, gains) {
  const why = (part, key) => (gains && key !== "raw" && Number.isFinite(part?.raw) ? "No step leads to the first noise, so there is no gain." : cause(part));
  const cellOf = (part, key, text) => (Number.isFinite(part?.[key]) ? el("td", { class: `num ${key === "weight" ? "faint" : ""}` }, text(part[key])) : el("td", { class: "num faint", title: why(part, key) }, "–"));
  const known = names.map((name) => leaf.rewards[name]?.share).filter((share) => Number.isFinite(share));
  const sum = known.length ? known.reduce((total, share) => total + share, 0) : null;
  return el("table", { class: "tbl dt", "data-testid": "advantage-table" },
    el("thead", null, el("tr", null, el("th", null, "reward"), ["raw", gains ? "gain" : "shaped", "z", "w", "share"].map((word) => el("th", { class: "num" }, word)))),
    el("tbody", null, shown.map((name) => {
      const part = leaf.rewards[name];
      const trained = names.indexOf(name);
      const bad = part?.status && part.status !== "ok";
      return el("tr", { "data-reward": name }, el("td", null, el("span", { class: "row", style: "gap:6px" },
        el("i", { class: "sw", style: trained >= 0 ? `background:${rewardColour(trained)}` : "background:none;border:1px solid var(--line-control)" }), el("span", { class: "clip", translate: "no", title: name }, name),
        bad && el("span", { class: "badge warn", title: cause(part) }, "no value"))),
      cellOf(part, "raw", (v) => figure(v)), cellOf(part, "shaped", (v) => figure(v)), cellOf(part, "z", advantage), cellOf(part, "weight", (v) => num(v, 2)), cellOf(part, "share", advantage));
    })),
    el("tfoot", null, el("tr", null, el("td", { colspan: "5" }, "sum"), el("td", { class: "num", "data-testid": "share-sum", "data-sum": sum }, advantage(sum)))));
}

function footline(full, leaf, names) {
  if (!names.some((name) => Number.isFinite(leaf.rewards[name]?.share))) return el("p", { class: "micro faint", style: "margin:4px 0 10px" }, "No shares: its advantage does not follow from its rewards.");
  const detail = full?.detail ?? {};
  const said = [];
  if (detail.floors && typeof detail.floors === "object") said.push(`floors ${Object.values(detail.floors).map((v) => figure(v, 2)).join(" ")}`);
  if (Number.isFinite(detail.divisor)) said.push(`÷ ${detail.scale ?? "batch"} sd ${figure(detail.divisor)}`);
  else if (detail.divisor && typeof detail.divisor === "object") said.push(`÷ sd ${Object.values(detail.divisor).map((v) => figure(v, 2)).join(" ")}`);
  if (Number.isFinite(detail.clip)) said.push(`clip ±${figure(detail.clip, 2)}`);
  return el("p", { class: "micro faint", style: "margin:4px 0 10px" }, said.join(" · ") || "The shares of a sample add up to its advantage.");
}

/** Shares one after the other, and where they end. */
function waterfall(leaf, all, kept) {
  const names = all.filter((name) => Number.isFinite(leaf.rewards[name]?.share));
  const shares = names.map((name) => leaf.rewards[name]?.share ?? 0);
  const stops = [0];
  for (const share of shares) stops.push(stops.at(-1) + share);
  const end = kept ? (leaf.advantage ?? stops.at(-1)) : 0;
  const [low, high] = [Math.min(...stops, end), Math.max(...stops, end)];
  const room = WATERFALL.width - WATERFALL.label - 46;
  const x = (/** @type {number} */ v) => WATERFALL.label + 4 + ((v - low) / (high - low || 1)) * room;
  const height = (names.length + 1) * WATERFALL.pitch + 4;
  const root = svg("svg", { class: "ch", width: WATERFALL.width, height, role: "img", "aria-label": `Shares ${names.map((n, i) => `${n} ${advantage(shares[i])}`).join(", ")} make ${advantage(end)}`, "data-testid": "waterfall" });
  root.append(svg("path", { class: "axis", d: `M${x(0).toFixed(1)} 0V${height - 4}` }));
  const bar = (from, to, row, colour, label, strong) => { // the strong one is the sum, the others are names
    const y = 3 + row * WATERFALL.pitch;
    const style = strong ? "font-weight:600" : null;
    root.append(
      svg("rect", { x: Math.min(x(from), x(to)).toFixed(1), y, width: Math.max(1, Math.abs(x(to) - x(from))).toFixed(1), height: 11, style: `fill:${colour}` }),
      svg("text", { x: 0, y: y + 10, class: strong ? "lab" : null, translate: strong ? null : "no", style }, label.length > 13 ? `${label.slice(0, 12)}…` : label),
      svg("text", { x: (Math.max(x(from), x(to)) + 5).toFixed(1), y: y + 10, class: "lab", style }, advantage(to - from)));
  };
  names.forEach((name, i) => {
    bar(stops[i], stops[i + 1], i, rewardColour(all.indexOf(name)), name, false);
    if (i) root.append(svg("path", { d: `M${x(stops[i]).toFixed(1)} ${3 + (i - 1) * WATERFALL.pitch}v${WATERFALL.pitch}`, style: "stroke:var(--line-control)" }));
  });
  bar(0, end, names.length, advantageColour(end), "advantage", true);
  return root;
}
