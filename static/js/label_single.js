/** One picture and a mark from 1 to 5; the questions of a checklist are answered before it (label_questions.js). */
import { el, keys } from "/static/js/lib.js";
import { Board } from "/static/js/label_board.js";
import { Boxes } from "/static/js/label_boxes.js";

const MARKS = [1, 2, 3, 4, 5];
const ENDS = { 1: "worst", 5: "best" };

/** @param {import("/static/js/label_pair.js").Asked} asked @param {import("/static/js/label_pair.js").Send} send
 * @returns {import("/static/js/label_pair.js").Kind} */
export function single(asked, send) {
  const board = new Board(1);
  const rate = (rating) => send("rated", { rating });
  return {
    node: board.node, surface: new Boxes({ left: board.frames[0] }),
    answers: el("div", { class: "ans marks" }, MARKS.map((mark) => el("button", { type: "button", class: "btn", "data-testid": `answer-${mark}`, "aria-label": ENDS[mark] ? `${mark}, ${ENDS[mark]}` : String(mark), onclick: () => rate(mark) },
      el("span", null, String(mark), ENDS[mark] && el("span", { class: "muted" }, ` ${ENDS[mark]}`)), keys.hint(`label.mark.${mark}`))),
    asked.checklist.length > 0 && el("button", { type: "button", class: "btn", "data-testid": "answer-checklist", onclick: () => send("rated") }, "Without a mark", keys.hint("label.unmarked"))),
    bindings: [...MARKS.map((mark) => ({ id: `label.mark.${mark}`, keys: [String(mark)], label: `Mark ${mark}${ENDS[mark] ? `, ${ENDS[mark]}` : ""}`, run: () => rate(mark) })),
      ...(asked.checklist.length ? [{ id: "label.unmarked", keys: ["Enter"], label: "Send the checklist without a mark", run: () => send("rated") }] : [])],
    places: (pair) => [pair.left],
    show: (ready) => board.show(ready?.pictures || []),
    dispose: () => board.dispose(),
    zoom: () => board.zoom(),
    unzoom: () => board.unzoom(),
  };
}
