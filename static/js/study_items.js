/** The items of a study with the verdicts they got, those on which people part first. For those who may know whose is which. */
import { api, button, dialog, el, empty, fill, fmt, live, note, setQuery } from "/static/js/lib.js";
import { pickItems } from "/static/js/study_add.js";
import { upload } from "/static/js/upload.js";

const PAGE = 24;
const WORDS = { a: "first", b: "second", tie: "tie", both_bad: "both bad", checklist: "checklist" };
const ORDER = ["a", "tie", "both_bad", "b", "c", "d", "1", "2", "3", "4", "5", "checklist"];

/** @param {number} id @param {string} kind @param {any} page @param {(item: any) => void} onfirst told of the first item, for the preview
 * @param {(study: any) => void} onadded told of the study when there are more items */
export function itemsPart(id, kind, page, onfirst, onadded) {
  let which = page.query.get("items") === "disputed" ? "disputed" : "all";
  let first = true;
  const seg = el("div", { class: "seg", role: "group", "aria-label": "Which items" });
  const grid = el("ul", { class: `items of-${kind}`, "data-testid": "study-items" });
  const foot = el("div", { class: "sec" });
  const node = el("section", { "aria-label": "Items" }, el("div", { class: "pane-h b" }, el("h2", null, "Items"), el("span", { class: "meta muted grow not-phone" }, "what people said of each, attention checks left out"), seg, button("Add items", { size: "sm", icon: "plus", testid: "add-items", onclick: add })), grid, foot);
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
      : empty({ title: "No items yet", text: "Add some of what was drawn or imported, or import a file; items that are being drawn come by themselves." })),
    shown < total && button(`Show ${fmt.int(Math.min(PAGE, total - shown))} more of ${fmt.int(total)}`, { size: "sm", onclick: () => load(shown) }));
    foot.hidden = !foot.childElementCount;
  }

  async function add() {
    const study = await pickItems(id, kind);
    if (!study) return;
    onadded(study);
    which = "all";
    await load();
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
    const words = said.length ? said.map((verdict) => `${word(verdict)}: ${item.verdicts[verdict]}`).join(", ") : "not judged yet";
    return el("li", null, el("button", { type: "button", class: "item", "data-testid": "item", "data-pair": item.pair_id, "aria-label": `${item.prompt}: ${words}`, onclick: () => open(item) },
      el("span", { class: `item-pics n${item.samples.length}` }, item.samples.map((sample) => (sample.url ? el("img", { src: sample.url, alt: "", loading: "lazy", class: sample.width <= 256 ? "px" : null }) : el("span", { class: "words", translate: "no" }, sample.text)))),
      el("span", { class: "item-bar", "aria-hidden": "true" }, said.map((verdict) => el("i", { class: `v-${verdict}`, style: `flex-grow:${item.verdicts[verdict]}` }))),
      el("span", { class: "meta item-said" }, el("span", { class: "clip" }, said.length ? said.map((verdict) => [verdict === said[0] ? "" : " · ", `${word(verdict)} `, el("b", null, item.verdicts[verdict])]) : el("span", { class: "faint" }, "not judged yet")), el("span", { class: "faint nowrap" }, `${item.given} of ${item.wanted}`))));
  }

  /** A verdict in words: of marks and of fours it is the mark and the letter. */
  function word(verdict) {
    if (kind === "single") return verdict === "checklist" ? verdict : `mark ${verdict}`;
    return kind === "best_worst" ? `best ${verdict.toUpperCase()}` : WORDS[verdict];
  }

  /** The picture that the texts of an item are about: shown, set, taken away. */
  function subject(item) {
    if (kind !== "texts") return null;
    const host = el("div", { class: "stack", "data-testid": "subject", style: "margin-top:12px" });
    const all = el("input", { type: "checkbox", checked: true });
    const file = el("input", { type: "file", class: "file", accept: "image/png,image/jpeg,image/webp", id: "subject-file", "data-testid": "subject-file", onchange: () => change(() => upload(`${path()}`, file.files[0], () => {}).done) });
    const path = () => `studies/${id}/items/${item.pair_id}/subject?of_prompt=${all.checked}`;
    const said = el("p", { class: "meta", role: "status", "data-testid": "subject-said" });
    draw();
    return host;

    function draw() {
      fill(host, el("div", { class: "sec-h" }, el("h3", { class: "grow" }, "The picture they are about"), item.subject && button("Take it away", { size: "sm", testid: "subject-drop", onclick: () => change(() => api(path(), { method: "DELETE" })) })),
        item.subject ? el("img", { src: item.subject, alt: "The picture that the texts are about", class: "subject-img" }) : el("p", { class: "meta muted" }, "None: the two texts are about their prompt alone."),
        el("div", { class: "field" }, el("label", { for: "subject-file" }, item.subject ? "Another picture" : "A picture from this computer"), file), el("label", { class: "check" }, all, "For every item of this prompt"), said);
    }

    async function change(send) {
      file.disabled = true;
      try {
        const found = await send();
        item.subject = found.subject;
        draw();
        fill(said, `${found.subject ? "Set for" : "Taken from"} ${fmt.count(found.items, "item")}.`);
        live(said.textContent);
        load();
      } catch (error) { fill(said, el("span", { class: "bad" }, error.message)); }
      file.disabled = false;
      file.value = "";
    }
  }

  function open(item) {
    dialog(item.prompt, () => [el("div", { class: `stage item-large n${item.samples.length}` }, item.samples.map((sample, i) => el("figure", null, sample.url ? el("img", { src: sample.url, alt: "", class: sample.width <= 256 ? "px" : null }) : el("p", { class: "words", translate: "no" }, sample.text),
      el("figcaption", { class: "meta" }, el("b", null, kind === "best_worst" ? "ABCD"[i] : ["First", "Second"][i] ?? ""), ` ${sample.policy}`, el("span", { class: "mono faint" }, ` seed ${sample.seed}`))))),
    subject(item),
    el("table", { class: "tbl", style: "margin-top:12px" }, el("thead", null, el("tr", null, el("th", null, "verdict"), el("th", { class: "num" }, "people"))), el("tbody", null,
      ORDER.filter((verdict) => item.verdicts[verdict]).map((verdict) => el("tr", null, el("td", null, word(verdict)), el("td", { class: "num" }, fmt.int(item.verdicts[verdict])))),
      !item.given && el("tr", null, el("td", { class: "muted" }, "nobody yet"), el("td", { class: "num" }, "0")))),
    el("p", { class: "meta muted", style: "margin-top:8px" }, `${item.given} of ${item.wanted} judgements${item.settled ? "; settled" : ""}. First and second are as the store has them: sides are drawn anew for each annotator.`)], { wide: true });
  }
}
