/** Four pictures: the first key or click names the best, the second the worst. Places are answered; the studio knows who stood there. */
import { el, fill, keys, live } from "/static/js/lib.js";
import { Board } from "/static/js/label_board.js";

const NUM = 4;
const LETTERS = "abcd";

/** @param {import("/static/js/label_pair.js").Asked} asked @param {import("/static/js/label_pair.js").Send} send @param {() => void} onchange
 * @returns {import("/static/js/label_pair.js").Kind} */
export function bestWorst(asked, send, onchange) {
  let best = -1;
  const board = new Board(NUM, pick);
  board.frames.forEach((frame, i) => { frame.append(el("span", { class: "tag" }, String(i + 1))); });
  const step = el("span", { class: "meta step", "data-testid": "best-step" });
  const buttons = Array.from({ length: NUM }, (_, i) => el("button", { type: "button", class: "btn", "data-testid": `answer-${i + 1}`, onclick: () => pick(i) }, `Picture ${i + 1}`, keys.hint(`label.place.${i + 1}`)));
  const answers = el("div", { class: "ans four" }, step, buttons);

  /** @param {number} place */
  function pick(place) {
    if (best < 0) { best = place; draw(); live(`${place + 1} is best. Which is worst?`); onchange(); return; }
    if (best === place) { back(); return; }
    send("ranked", { best: LETTERS[best], worst: LETTERS[place] });
  }

  function back() {
    if (best < 0) return false;
    best = -1;
    draw();
    onchange();
    live("Which is best?");
    return true;
  }

  function draw() {
    fill(step, best < 0 ? [el("b", { class: "strong" }, "Best"), " of the four"] : [el("b", { class: "strong" }, "Worst"), ` of the other three`]);
    board.frames.forEach((frame, i) => {
      const word = best === i ? `${i + 1} · best` : String(i + 1);
      frame.lastElementChild.textContent = word;
      frame.setAttribute("aria-label", best < 0 ? `Picture ${i + 1} is best` : best === i ? `Picture ${i + 1} is best; take it back` : `Picture ${i + 1} is worst`);
      frame.classList.toggle("is-best", best === i);
      buttons[i].setAttribute("aria-pressed", String(best === i));
    });
  }

  draw();
  return {
    node: board.node, answers, back,
    bindings: Array.from({ length: NUM }, (_, i) => ({ id: `label.place.${i + 1}`, keys: [String(i + 1)], label: `Picture ${i + 1}: first best, then worst`, run: () => pick(i) })),
    places: (pair) => pair.slots || [],
    show: (ready) => board.show(ready?.pictures || []),
    said: () => (best < 0 ? {} : { best: LETTERS[best] }),
    restore(said) { best = said.best && !said.worst ? LETTERS.indexOf(said.best) : -1; draw(); },
    dispose: () => board.dispose(),
    zoom: () => board.zoom(),
    unzoom: () => board.unzoom(),
  };
}
