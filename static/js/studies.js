/** Studies: the list with how far each is, and a new one beside it in four clicks. */
import { api, button, el, empty, fill, fmt, kept, keys, note, poll } from "/static/js/lib.js";
import { newStudy } from "/static/js/study_new.js";
import { KINDS, overlapText, progress, studyPill } from "/static/js/study_parts.js";

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  let seen = "";
  const list = el("section", { class: "pane scroll", "aria-label": "Studies" });
  const side = el("aside", { class: "pane", "aria-label": "New study" });
  const begin = () => { side.scrollIntoView({ block: "start" }); /** @type {HTMLElement | null} */ (side.querySelector("input:not([disabled])"))?.focus(); };
  fill(main, el("div", { class: "panes studies" }, list, side));
  const refresh = async () => {
    const rows = await api("studies").catch((error) => {
      if (!seen) fill(list, el("div", { class: "sec" }, note("The studies are not there", error.message, { actions: [button("Try again", { size: "sm", onclick: refresh })] })));
      throw error;
    });
    const text = JSON.stringify(rows);
    if (text === seen) return;
    seen = text;
    page.subtitle(rows.length ? said(rows) : "");
    const focused = document.activeElement?.getAttribute("data-id");
    fill(list, el("div", { class: "only-small sec" }, button("New study", { icon: "plus", onclick: begin })), rows.length ? table(rows)
      : empty({ title: "No studies yet", text: "A study puts one question to people: about pictures that two checkpoints draw for it, or about pictures that are there." }));
    if (focused) /** @type {HTMLElement | null} */ (list.querySelector(`[data-id="${focused}"]`))?.focus();
  };
  const unbind = keys.bind("Studies", [{ id: "studies.new", keys: ["n"], label: "New study", run: begin }]);
  const stop = poll(refresh, 4);
  await newStudy(side, page);
  return () => { stop(); unbind(); page.subtitle(""); };
}

function said(rows) {
  const open = rows.filter((row) => row.status === "open");
  const left = open.reduce((sum, row) => sum + Math.max(0, row.wanted - row.labels), 0);
  return `${fmt.int(open.length)} open${left ? `, ${fmt.count(left, "judgement")} wanted` : ""}`;
}

function table(rows) {
  return el("table", { class: "tbl pad", "data-testid": "studies-table", "aria-label": "Studies" },
    el("thead", null, el("tr", null, el("th", null, "study"), el("th", { class: "opt" }, "judged"), el("th", null, "status"), el("th", { class: "num opt" }, "settled items"), el("th", null, "judgements"),
      el("th", { class: "num opt" }, "people"), el("th", { class: "num opt" }, "made"), el("th", { class: "opt" }, el("span", { class: "vh" }, "act")))),
    el("tbody", null, rows.map((row) => el("tr", { "data-testid": "study-row", "data-study": row.id },
      el("td", { class: "clip" }, el("a", { class: "strong", href: `/studies/${row.id}`, title: row.question, "data-id": `open-${row.id}` }, el("span", { translate: "no" }, row.name))),
      el("td", { class: "muted opt" }, KINDS[row.kind]), el("td", null, studyPill(row)), el("td", { class: "num opt" }, fmt.int(row.settled), el("span", { class: "faint" }, ` of ${fmt.int(row.items)}`)),
      el("td", null, progress(row)), el("td", { class: "num opt" }, overlapText(row)), el("td", { class: "num muted opt" }, fmt.ago(row.created_at)),
      el("td", { class: "num opt" }, row.status === "open" && el("a", { class: "btn sm", href: `/label/${row.id}`, "aria-label": `Label ${kept(row.name)}`, "data-id": `label-${row.id}` }, "Label"))))));
}
