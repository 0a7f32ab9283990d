/** The pairs behind a figure: pictures with what was said of them, and for each the answers one by one. For those who may know whose is which. */
import { api, button, dialog, el, fill, fmt, note } from "/static/js/lib.js";

const PAGE = 24;
const ORDER = ["a", "tie", "both_bad", "b", "skip"];
const WORDS = { tie: "tie", both_bad: "both bad", skip: "skipped" };

/** A growing grid of pairs. @param {string} path of the API, its answer {items, total}
 * @param {{none: string, testid: string, word: (item: any, verdict: string) => string, onfirst?: () => void}} options onfirst: when the first of them stand there */
export function pairsGrid(path, { none, testid, word, onfirst }) {
  const grid = el("ul", { class: "items", "data-testid": testid });
  const foot = el("div", { class: "sec" });
  const node = el("div", null, grid, foot);
  more();
  return node;

  async function more() {
    const shown = grid.childElementCount;
    let found;
    try { found = await api(`${path}&offset=${shown}&limit=${PAGE}`); } catch (error) {
      fill(foot, note("The pairs are not there", error.message, { actions: [button("Try again", { size: "sm", onclick: more })] }));
      return;
    }
    grid.append(...found.items.map((item) => tile(item, word)));
    const now = grid.childElementCount;
    fill(foot, !found.total && el("p", { class: "muted" }, none), now < found.total && button(`Show ${fmt.int(Math.min(PAGE, found.total - now))} more of ${fmt.int(found.total)}`, { size: "sm", onclick: more }));
    foot.hidden = !foot.childElementCount;
    if (!shown) onfirst?.();
  }
}

function tile(item, word) {
  const said = ORDER.filter((verdict) => item.verdicts[verdict]);
  const words = said.map((verdict) => `${word(item, verdict)} ${item.verdicts[verdict]}`).join(", ") || "not judged";
  return el("li", null, el("button", { type: "button", class: "item", "data-testid": "behind", "data-pair": item.pair_id, "aria-label": `${item.prompt}: ${words}`, onclick: () => openPair(item.pair_id) },
    el("span", { class: "item-pics n2" }, item.samples.map((sample) => (sample.url ? el("img", { src: sample.url, alt: "", loading: "lazy", class: sample.width <= 256 ? "px" : null }) : el("span", { class: "words", translate: "no" }, sample.text)))),
    el("span", { class: "item-bar", "aria-hidden": "true" }, said.map((verdict) => el("i", { class: `v-${verdict}`, style: `flex-grow:${item.verdicts[verdict]}` }))),
    el("span", { class: "meta item-said" }, el("span", { class: "clip" }, said.map((verdict, i) => [i ? " · " : "", `${word(item, verdict)} `, el("b", null, item.verdicts[verdict])])))));
}

/** Who said what of one pair. @param {number} id */
export async function openPair(id) {
  let pair;
  try { pair = await api(`pairs/${id}/answers`); } catch (error) {
    await dialog("The pair is not there", () => el("p", { class: "muted" }, error.message));
    return;
  }
  const aspects = [...new Set(pair.answers.flatMap((answer) => Object.keys(answer.aspects)))];
  await dialog(pair.prompt, () => [el("div", { class: "stage item-large n2" }, pair.samples.map((sample, i) => el("figure", null, sample.url ? el("img", { src: sample.url, alt: "", class: sample.width <= 256 ? "px" : null }) : el("p", { class: "words", translate: "no" }, sample.text),
    el("figcaption", { class: "meta" }, el("b", null, ["First", "Second"][i]), ` ${sample.policy}`, el("span", { class: "mono muted" }, ` seed ${sample.seed}`))))),
  el("div", { class: "tbl-x", tabindex: 0 }, el("table", { class: "tbl", "data-testid": "answers", style: "margin-top:12px" }, el("thead", null, el("tr", null, el("th", null, "person"), el("th", null, "chose"), aspects.map((aspect) => el("th", null, aspect)), el("th", { class: "num" }, "took"), el("th", { class: "num" }, "when"), el("th", null, "said"))),
    el("tbody", null, pair.answers.map((answer) => el("tr", { class: answer.excluded ? "is-out" : null }, el("td", null, answer.name, answer.kind === "simulated" && [" ", el("span", { class: "badge" }, "simulated")], answer.excluded && [" ", el("span", { class: "badge warn" }, "excluded")]), el("td", null, el("b", { class: "strong" }, chose(answer.choice)), ["a", "b"].includes(answer.choice) && el("span", { class: "faint" }, answer.choice === answer.shown_left ? " on the left" : " on the right")),
      aspects.map((aspect) => el("td", { class: "muted" }, answer.aspects[aspect] ? chose(answer.aspects[aspect]) : "–")), el("td", { class: "num" }, fmt.span(answer.seconds)), el("td", { class: "num muted" }, fmt.ago(answer.at)), el("td", { class: "wrap" }, [...answer.reasons, answer.comment].filter(Boolean).join(", ")))),
    pair.judges.map((judge) => judgeRow(judge, aspects.length)), !pair.answers.length && !pair.judges.length && el("tr", null, el("td", { class: "muted" }, "nobody yet"))))),
  el("p", { class: "meta muted", style: "margin-top:8px" }, "First and second are as the store has them: sides are drawn anew for each person.")], { wide: true });
}

/** What a judge on a server said of the two, among people's answers. @param {any} judge @param {number} aspects columns that it has nothing for */
function judgeRow(judge, aspects) {
  return el("tr", { "data-testid": "judge-answer" }, el("td", null, el("span", { translate: "no" }, judge.name), " ", el("span", { class: "badge" }, "judge")),
    el("td", null, judge.choice ? el("b", { class: "strong" }, chose(judge.choice)) : el("span", { class: "faint" }, "no verdict"), ["a", "b"].includes(judge.choice) && el("span", { class: "faint" }, judge.choice === judge.shown_left ? " shown first" : " shown second")),
    [...Array(aspects)].map(() => el("td", { class: "muted" }, "–")), el("td", { class: "num" }, fmt.span(judge.seconds)), el("td", { class: "num muted" }, fmt.ago(judge.at)), el("td", { class: "wrap" }, el("span", { class: "muted", translate: "no" }, judge.criterion), judge.reason && el("span", { class: "faint", style: "display:block" }, judge.reason)));
}

const chose = (choice) => ({ a: "first", b: "second", ...WORDS })[choice] ?? choice;

/** A verdict where only the place of the sample counts. */
export const placeWord = (_item, verdict) => chose(verdict);

/** A verdict by the policy that was preferred. */
export const policyWord = (item, verdict) => ({ a: item.samples[0].policy, b: item.samples[1].policy, ...WORDS })[verdict] ?? verdict;
