/** Today for an annotator: the pairs that wait, by queue and by study. Runs, rewards and what they need are not in the page. */
import { api, button, el, empty, fill, fmt, kbd, keys, note, poll } from "/static/js/lib.js";

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  let seen = "";
  const unbind = keys.bind("Today", [{ id: "today.next", keys: ["Enter"], label: "The next thing to do", run: () => {
    /** @type {HTMLElement | null} */ (main.querySelector(".btn.primary"))?.click();
  } }]);
  const refresh = async () => {
    const [data, studies] = await Promise.all([api("today"), api("studies")]).catch((error) => {
      if (!seen) fill(main, el("div", { class: "sec" }, note("Today is not there", error.message, { actions: [button("Try again", { size: "sm", onclick: refresh })] })));
      throw error;
    });
    const text = JSON.stringify([data, studies]);
    if (text === seen) return;
    seen = text;
    page.subtitle(data.project.name);
    draw(data, studies.filter((study) => study.status === "open"));
  };
  const stop = poll(refresh, 4);
  return () => { stop(); unbind(); page.subtitle(""); };

  function draw({ pairs, next_pair: pair, may_queue: mayQueue, drawing }, studies) {
    const waits = mayQueue && pairs.open > 0;
    const primary = waits ? "/label" : studies.length ? `/label/${studies[0].id}` : "";
    fill(main, el("div", { class: "scroll" }, primary ? el("div", { class: "cont" },
      el("div", { class: "stage pv" }, waits && pair ? [pair.left_url, pair.right_url].map((src) => el("img", { class: "px", src, alt: "", width: 128, height: 128 })) : [0, 1].map(() => el("span", { class: "skel" }))),
      el("div", { class: "tx" }, el("span", { class: "meta muted" }, waits && pair ? pair.prompt : "Next"), el("h2", null, waits ? "Which of the two is better?" : studies[0].name),
        el("p", { class: "muted" }, `You have judged ${fmt.count(pairs.done_mine, "pair")} of the queue. One key each; you can stop at any time.`), el("span", { class: "grow" }),
        el("div", { class: "row" }, el("a", { class: "btn lg primary", href: primary, "data-testid": "continue-labelling" }, pairs.done_mine ? "Continue labelling" : "Start labelling", " ", kbd("Enter")))))
      : empty({ title: drawing ? "Pairs are being drawn" : "Nothing waits for you", text: drawing ? "They can be judged as soon as they are there; this page shows them by itself." : "Every pair that is yours to judge is judged. When there are more, they stand here.", actions: [el("a", { class: "btn", href: "/you" }, "What you judged")] }),
    studies.length ? [el("div", { class: "pane-h b" }, el("h2", null, "Studies")), el("table", { class: "tbl pad" }, el("tbody", null, studies.map((study) => el("tr", null, el("td", { class: "strong", translate: "no" }, study.name),
      el("td", { class: "num" }, el("a", { class: "btn sm", href: `/label/${study.id}` }, "Label"))))))] : null));
  }
}
