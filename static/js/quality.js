/**
 * Quality: can this data be trusted, and by whom is it bent? Agreement per aspect with its interval and the pairs behind it, people
 * with what their answers are like, agreement of each two of them. A person is excluded with one click and restored with one key.
 */
import { api, button, el, fill, fmt, icon, keys, live, note, poll, setQuery, toast } from "/static/js/lib.js";
import { bandPlot, intervalLine } from "/static/js/plots.js";
import { num } from "/static/js/svg.js";
import { pairsGrid, placeWord } from "/static/js/pairs_behind.js";
import { matrixTable } from "/static/js/share_matrix.js";
import { share } from "/static/js/views.js";

const REFRESH_S = 15;
const LEVELS = { nominal: "any two different answers disagree alike", ordinal: "marks in their order", "pairs implied": "by the pairs that best and worst imply" };
const VIEWS = { people: "People", each: "Each two", disputed: "Disputed" };

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const id = Number(page.params.study_id);
  const state = { view: VIEWS[page.query.get("view")] ? page.query.get("view") : "people", aspect: page.query.get("aspect") || "", simulated: page.query.get("by") === "simulated" };
  /** @type {{user: number, name: string, excluded: boolean}[]} what was done here, to be undone */
  const done = [];
  let found;
  let seen = "";
  const ui = { bar: el("div", { class: "bar", role: "toolbar", "aria-label": "Quality" }), figures: el("section", { class: "pane scroll", "aria-label": "Figures" }), head: el("div", { class: "pane-h" }), body: el("div", { class: "pane scroll fill" }) };
  const middle = el("section", { class: "pane qual-mid", "aria-label": "People and pairs" }, ui.head, ui.body);
  const panes = el("div", { class: "panes qual" }, ui.figures, middle);
  fill(main, ui.bar, panes);
  const unbind = keys.bind("Quality", [
    { id: "quality.undo", keys: ["z"], label: "Undo the last exclusion or restoring", run: undo },
    ...Object.keys(VIEWS).map((view, i) => ({ id: `quality.${view}`, keys: [String(i + 1)], label: `Show ${VIEWS[view].toLowerCase()}`, run: () => show(view) })),
  ]);
  try { await refresh(); } catch (error) {
    fill(main, el("div", { class: "sec" }, note(error.status === 404 ? "There is no such study" : "The figures are not there", error.message, { actions: [el("a", { class: "btn sm", href: "/studies" }, "All studies"), button("Try again", { size: "sm", onclick: () => location.reload() })] })));
    return unbind;
  }
  page.title("Quality", [["Studies", "/studies"], [found.study.name, `/studies/${id}`]]);
  const stop = poll(refresh, REFRESH_S);
  return () => { stop(); unbind(); page.subtitle(""); };

  async function refresh() {
    const now = await api(`quality?study_id=${id}${state.simulated ? "&simulated=true" : ""}`);
    const text = JSON.stringify(now);
    if (text === seen) return;
    seen = text;
    found = now;
    draw();
  }

  function draw() {
    const focused = document.activeElement?.getAttribute("data-id");
    drawBar();
    if (found.answers || found.people.length) { drawFigures(); drawMiddle(); } else drawNothing();
    keys.drawHints(main);
    if (focused) /** @type {HTMLElement | null} */ (main.querySelector(`[data-id="${focused}"]`))?.focus();
  }

  function drawBar() {
    const counted = found.people.filter((person) => !person.excluded && person.answers).length;
    fill(ui.bar, el("div", { class: "seg", role: "group", "aria-label": "Whose answers" }, [[false, "People"], [true, "Simulated"]].map(([simulated, word]) => el("button", { type: "button", "aria-pressed": String(state.simulated === simulated), "data-id": `by-${word}`, onclick: () => { state.simulated = simulated; setQuery({ by: simulated ? "simulated" : null }); refresh(); } }, word))),
      el("span", { class: "meta muted not-phone", "data-testid": "quality-count" }, found.answers ? `${fmt.count(found.answers, "answer")} about ${fmt.count(found.pairs, isOdd() ? "item" : "pair")} by ${fmt.int(counted)}` : "nothing judged yet"), el("span", { class: "grow" }),
      done.length > 0 && el("button", { type: "button", class: "btn quiet", "data-testid": "undo", onclick: undo }, icon("undo"), "Undo", keys.hint("quality.undo")),
      el("a", { class: "btn quiet", href: `/studies/${id}` }, "Study"), el("a", { class: "btn quiet", href: `/leaderboard?study=${id}${state.simulated ? "&by=simulated" : ""}` }, "Leaderboard"));
  }

  function drawNothing() {
    fill(ui.figures);
    fill(ui.head, el("h2", null, "People"));
    fill(ui.body, el("div", { class: "sec" }, el("p", { class: "muted", "data-testid": "empty" }, state.simulated ? "No simulated annotator has judged an item of this study." : "Nobody has judged an item of this study yet. Agreement needs items that two people have judged."), !state.simulated && el("p", { style: "margin-top:12px" }, el("a", { class: "btn primary", href: `/label/${id}` }, "Label this study"))));
  }

  // figures ---------------------------------------------------------------------------------------------------

  function drawFigures() {
    fill(ui.figures, el("section", { class: "sec", "aria-label": "Agreement" }, el("div", { class: "sec-h" }, el("h2", { class: "grow" }, "Agreement"), el("span", { class: "meta muted" }, "Krippendorff’s α, 95 %")),
      el("ul", { class: "alphas" }, found.aspects.map(alphaRow)), el("p", { class: "meta muted" }, sentence(found.aspects[0], isOdd() ? "item" : "pair"))),
    !isOdd() && el("section", { class: "sec", "aria-label": "Checks and sides" }, el("dl", { class: "kv" }, el("dt", null, "attention checks passed"), el("dd", { "data-testid": "checks" }, found.checks.num ? [share(found.checks.value, found.checks.low, found.checks.high), el("span", { class: "faint" }, ` of ${fmt.int(found.checks.num)}`)] : el("span", { class: "faint" }, "none asked")),
      el("dt", null, "left chosen"), el("dd", { "data-testid": "left-share" }, found.left.num ? share(found.left.value, found.left.low, found.left.high) : el("span", { class: "faint" }, "–")))),
    plot("Quick and slow answers", "agreement with the rest", found.speed.map((band) => ({ ...band, label: fmt.span((band.start + band.end) / 2) })), "time taken"),
    plot("Day by day", "agreement with the rest", found.days.map((band) => ({ ...band, label: fmt.clock(band.start) })), "day, UTC"));
  }

  /** One picture, or four: no choices between two, so no sides, no matrix and no pairs. */
  function isOdd() { return !["images", "texts"].includes(found.study.kind); }

  function alphaRow(row) {
    const known = row.alpha !== null;
    return el("li", { "data-testid": "alpha", "data-aspect": row.aspect }, el("span", { class: row.aspect ? "clip" : "strong clip", title: row.aspect || null }, row.aspect || { single: "the mark", best_worst: "the order" }[found.study.kind] || "the question"), intervalLine(row.alpha, row.low, row.high, { from: -0.2, to: 1, chance: 0, width: 80, bold: !row.aspect }),
      el("span", { class: "num nowrap", title: known ? `95 %: ${num(row.low)} to ${num(row.high)}, from ${fmt.count(row.pairs, isOdd() ? "item" : "pair")} judged twice or more, ${LEVELS[row.level]}` : "Not known: fewer than two verdicts, or all the same" }, el("b", { class: "strong", "data-testid": "alpha-value" }, num(row.alpha)), known && row.low !== null && el("span", { class: "faint" }, ` ${num(row.low)} to ${num(row.high)}`)),
      row.disputed && isOdd() ? el("a", { class: "btn sm", href: `/studies/${id}?items=disputed`, "data-testid": "to-disputed-items" }, fmt.int(row.disputed), el("span", { class: "not-phone" }, "disputed")) : row.disputed ? el("button", { type: "button", class: "btn sm", "data-testid": "to-disputed", "data-id": `disputed-${row.aspect}`, "aria-label": `${fmt.count(row.disputed, "disputed pair")} about ${row.aspect || "the question"}`, onclick: () => show("disputed", row.aspect) }, fmt.int(row.disputed), el("span", { class: "not-phone" }, "disputed")) : el("span", { class: "faint meta" }, row.pairs ? "no dispute" : "no overlap"));
  }

  function plot(title, word, bands, xWord) {
    if (!bands.some((band) => band.agreement.value !== null)) return null;
    return el("section", { class: "sec", "aria-label": title }, el("div", { class: "chart-h" }, el("b", null, title), el("span", { class: "muted" }, word)), bandPlot(bands, { xWord, width: 372 }));
  }

  // people, each two, disputed -----------------------------------------------------------------------------------

  function show(view, aspect = state.aspect) {
    Object.assign(state, { view, aspect });
    setQuery({ view: view === "people" ? null : view, aspect: view === "disputed" ? aspect || null : null });
    drawMiddle();
    if (window.innerWidth < 900) middle.scrollIntoView({ block: "start" });
  }

  function drawMiddle() {
    const counts = { people: found.people.length, each: null, disputed: found.aspects.find((row) => row.aspect === state.aspect)?.disputed ?? found.aspects[0].disputed };
    if (isOdd()) { fill(ui.head, el("h2", null, "People")); fill(ui.body, people()); return; }
    fill(ui.head, el("div", { class: "seg", role: "group", "aria-label": "What to look at" }, Object.entries(VIEWS).map(([view, word]) => el("button", { type: "button", "aria-pressed": String(state.view === view), "data-testid": `view-${view}`, "data-id": `view-${view}`, onclick: () => show(view) }, word, counts[view] !== null && el("span", { class: "faint" }, fmt.int(counts[view]))))),
      state.view === "disputed" && found.aspects.length > 1 && el("select", { class: "sel sm", "aria-label": "About which aspect", "data-testid": "disputed-aspect", onchange: (e) => show("disputed", e.target.value) }, found.aspects.map((row) => el("option", { value: row.aspect, selected: row.aspect === state.aspect }, row.aspect || "the question"))));
    if (state.view === "disputed") fill(ui.body, pairsGrid(`quality/disputed?study_id=${id}${state.aspect ? `&aspect=${encodeURIComponent(state.aspect)}` : ""}${state.simulated ? "&simulated=true" : ""}`, { none: "People agree on every pair that two of them have judged.", testid: "disputed", word: placeWord }));
    else if (state.view === "each") fill(ui.body, eachTwo());
    else fill(ui.body, people());
  }

  function eachTwo() {
    const name = Object.fromEntries(found.people.map((person) => [person.id, person.name]));
    const { people: ids, cells } = found.matrix;
    if (ids.length < 2) return el("div", { class: "sec" }, el("p", { class: "muted" }, "It takes two people who judged the same pairs."));
    return el("div", { class: "sec" }, el("p", { class: "meta muted" }, "Of the pairs that both judged, the share on which they said the same; below it the 95 % interval."),
      matrixTable({ heads: ids.map((user) => name[user] ?? String(user)), cells: cells.map((row, i) => row.map((cell, j) => (i === j || !cell.num ? null : cell))), testid: "matrix", middle: null, say: (i, j, cell) => `${name[ids[i]]} and ${name[ids[j]]}: ${fmt.pct(cell.value)} of ${fmt.count(cell.num, "pair")}` }));
  }

  function people() {
    return el("table", { class: "tbl pad qual-people", "data-testid": "people", "aria-label": "People" }, el("thead", null, el("tr", null, el("th", null, "person"), el("th", { class: "num opt" }, "answers"), !isOdd() && [el("th", { class: "num" }, "agrees with the rest"), el("th", { class: "opt" }, el("span", { class: "vh" }, "interval")), el("th", { class: "num opt" }, "chose left"), el("th", { class: "num opt" }, "ties"), el("th", { class: "num opt" }, "checks")], el("th", { class: "num opt" }, "median"), el("th", null, el("span", { class: "vh" }, "act")))),
      el("tbody", null, found.people.map((person) => el("tr", { class: person.excluded ? "is-out" : null, "data-testid": "person", "data-user": person.id },
        el("td", { class: "who" }, el("span", { class: "strong", translate: "no" }, person.name), person.excluded && [" ", el("span", { class: "badge warn", title: `by ${person.excluded.by}, ${fmt.ago(person.excluded.at)}` }, "excluded")],
          person.flags.map((flag) => el("p", { class: "meta flag", "data-testid": "flag", "data-kind": flag.kind }, icon("flag", "warn"), el("span", null, flag.text)))),
        el("td", { class: "num opt" }, fmt.int(person.answers)), !isOdd() && [el("td", { class: "num", "data-testid": "agreement" }, share(person.agreement.value, person.agreement.low, person.agreement.high)),
        el("td", { class: "opt" }, person.agreement.num > 0 && intervalLine(person.agreement.value, person.agreement.low, person.agreement.high, { from: 0.3, to: 1, chance: 0.5, width: 96 })),
        el("td", { class: "num opt" }, share(person.left.value, person.left.low, person.left.high)), el("td", { class: "num opt" }, fmt.pct(person.ties)), el("td", { class: "num opt" }, person.checks.num ? `${fmt.int(Math.round(person.checks.value * person.checks.num))} of ${fmt.int(person.checks.num)}` : el("span", { class: "faint" }, "–"))], el("td", { class: "num opt" }, fmt.span(person.median_s)),
        el("td", { class: "num" }, button(person.excluded ? "Restore" : "Exclude", { size: "sm", testid: "exclude-annotator", onclick: (e) => { e.currentTarget?.setAttribute("disabled", ""); set(person, !person.excluded); } }))))));
  }

  // excluding ---------------------------------------------------------------------------------------------------

  async function set(person, excluded, remember = true) {
    try {
      await api(`studies/${id}/excluded/${person.id}`, { method: excluded ? "PUT" : "DELETE" });
      if (remember) done.push({ user: person.id, name: person.name, excluded });
      seen = "";
      await refresh();
      live(excluded ? `${person.name} is excluded. Agreement, leaderboard, rewards and exports leave these answers out; Z undoes it.` : `${person.name} counts again.`);
    } catch (error) {
      seen = "";
      await refresh().catch(() => {});
      toast(error.message, { sign: "fail", tone: "bad" });
    }
  }

  function undo() {
    const last = done.pop();
    if (last) set({ id: last.user, name: last.name }, !last.excluded, false);
  }
}

/** What an α says, in words. @param {{alpha: number|null, low: number|null, high: number|null, pairs: number}} row @param {string} noun */
function sentence(row, noun) {
  if (row.alpha === null) return row.pairs ? `All who judged the same ${noun} said the same, or all verdicts are alike: α is not defined.` : `No ${noun} has been judged by two people yet; raise the overlap of the study.`;
  if (row.low !== null && row.low <= 0) return "It may be chance: the interval holds 0. 1 is full agreement.";
  return "1 is full agreement, 0 what chance would give. Hard ones lower it as honestly as careless people do: look at the disputed ones first.";
}
