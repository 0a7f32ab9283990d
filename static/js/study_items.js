/** The items of a study with the verdicts they got, those on which people part first. For those who may know whose is which. */
import { api, button, dialog, el, empty, fill, fmt, note, setQuery } from "/static/js/lib.js";

const PAGE = 24;
const WORDS = { a: "first", b: "second", tie: "tie", both_bad: "both bad", checklist: "checklist" };
const ORDER = ["a", "tie", "both_bad", "b", "c", "d", "1", "2", "3", "4", "5", "checklist"];

/** @param {number} id @param {string} kind @param {any} page @param {(item: any) => void} onfirst told of the first item, for the preview */
export function itemsPart(id, kind, page, onfirst) {
  let which = page.query.get("items") === "disputed" ? "disputed" : "all";
  let first = true;
  const seg = el("div", { class: "seg", role: "group", "aria-label": "Which items" });
  const grid = el("ul", { class: `items of-${kind}`, "data-testid": "study-items" });
  const foot = el("div", { class: "sec" });
  const node = el("section", { "aria-label": "Items" }, el("div", { class: "pane-h b" }, el("h2", null, "Items"), el("span", { class: "meta muted grow not-phone" }, "what people said of each, attention checks left out"), seg), grid, foot);
  return { node, load };

  async function load(offset = 0) {
    let found;
    try { found = await api(`studies/${id}/items?which=${which}&offset=${offset}&limit=${PAGE}`); } catch (error) {
      fill(foot, note("The items are not there", error.message, { actions: [button("Try again", { size: "sm", onclick: () => load(offset) })] }));
      return;
    }
    if (first && found.disputed && !page.query.get("items")) { first = false; which = "disputed"; await load(); return; }
    first = false;
    drawSeg(found);
    if (!offset) grid.replaceChildren();
    grid.append(...found.items.map(tile));
    const total = which === "disputed" ? found.disputed : found.total;
    const shown = grid.childElementCount;
    if (!offset && which === "all" && found.items[0]) onfirst(found.items[0]);
    if (!offset && which === "disputed") api(`studies/${id}/items?limit=1`).then((one) => one.items[0] && onfirst(one.items[0])).catch(() => {});
    fill(foot, !total && (which === "disputed" ? el("p", { class: "muted" }, "People agree on every item that two of them have judged.")
      : empty({ title: "No items yet", text: "They stand here as soon as their pictures are there. Further ones can be imported." })),
    shown < total && button(`Show ${fmt.int(Math.min(PAGE, total - shown))} more of ${fmt.int(total)}`, { size: "sm", onclick: () => load(shown) }));
    foot.hidden = !foot.childElementCount;
  }

  function drawSeg(found) {
    fill(seg, [["disputed", "Disputed", found.disputed], ["all", "All", found.total]].map(([name, word, n]) => el("button", { type: "button", "aria-pressed": String(which === name), "data-testid": `items-${name}`, onclick: () => {
      which = name;
      setQuery({ items: name });
      load();
    } }, word, el("span", { class: "faint" }, fmt.int(n)))));
  }

  function tile(item) {
    const said = ORDER.filter((verdict) => item.verdicts[verdict]);
    const words = said.length ? said.map((verdict) => `${word(verdict)} ${item.verdicts[verdict]}`).join(", ") : "not judged yet";
    return el("li", null, el("button", { type: "button", class: "item", "data-testid": "item", "data-pair": item.pair_id, "aria-label": `${item.prompt}: ${words}`, onclick: () => open(item) },
      el("span", { class: `item-pics n${item.samples.length}` }, item.samples.map((sample) => (sample.url ? el("img", { src: sample.url, alt: "", loading: "lazy", class: sample.width <= 256 ? "px" : null }) : el("span", { class: "words" }, sample.text)))),
      el("span", { class: "item-bar", "aria-hidden": "true" }, said.map((verdict) => el("i", { class: `v-${verdict}`, style: `flex-grow:${item.verdicts[verdict]}` }))),
      el("span", { class: "meta item-said" }, el("span", { class: "clip" }, said.length ? said.map((verdict) => [verdict === said[0] ? "" : " · ", `${word(verdict)} `, el("b", null, item.verdicts[verdict])]) : el("span", { class: "faint" }, "not judged yet")), el("span", { class: "faint nowrap" }, `${item.given} of ${item.wanted}`))));
  }

  /** A verdict in words: of marks and of fours it is the mark and the letter. */
  function word(verdict) {
    if (kind === "single") return verdict === "checklist" ? verdict : `mark ${verdict}`;
    return kind === "best_worst" ? `best ${verdict.toUpperCase()}` : WORDS[verdict];
  }

  function open(item) {
    dialog(item.prompt, () => [el("div", { class: `stage item-large n${item.samples.length}` }, item.samples.map((sample, i) => el("figure", null, sample.url ? el("img", { src: sample.url, alt: "", class: sample.width <= 256 ? "px" : null }) : el("p", { class: "words" }, sample.text),
      el("figcaption", { class: "meta" }, el("b", null, kind === "best_worst" ? "ABCD"[i] : ["First", "Second"][i] ?? ""), ` ${sample.policy}`, el("span", { class: "mono faint" }, ` seed ${sample.seed}`))))),
    el("table", { class: "tbl", style: "margin-top:12px" }, el("thead", null, el("tr", null, el("th", null, "verdict"), el("th", { class: "num" }, "people"))), el("tbody", null,
      ORDER.filter((verdict) => item.verdicts[verdict]).map((verdict) => el("tr", null, el("td", null, word(verdict)), el("td", { class: "num" }, fmt.int(item.verdicts[verdict])))),
      !item.given && el("tr", null, el("td", { class: "muted" }, "nobody yet"), el("td", { class: "num" }, "0")))),
    el("p", { class: "meta muted", style: "margin-top:8px" }, `${item.given} of ${item.wanted} judgements${item.settled ? "; settled" : ""}. First and second are as the store has them: sides are drawn anew for each annotator.`)], { wide: true });
  }
}
