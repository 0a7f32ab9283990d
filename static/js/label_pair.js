/**
 * Two pictures and four answers: left, tie, both bad, right. The commonest kind of item; its answers serve two texts as well.
 *
 * @typedef {import("/static/js/judge.js").Ready} Ready
 * @typedef {import("/static/js/judge.js").Pair} Pair
 * @typedef {{id: number | null, name: string, kind: string, question: string, guidelines: string, aspects: string[], reasons: string[],
 *   checklist: string[], ties: boolean, both_bad: boolean, regions: boolean, spans: boolean}} Asked what a study asks
 * @typedef {(choice: string, answers?: Record<string, any>) => void} Send
 * @typedef {import("/static/js/keys.js").Binding} Binding
 * @typedef {import("/static/js/label_marks.js").Surface} Surface
 * @typedef {{node: HTMLElement, answers: HTMLElement, bindings: Binding[], places: (pair: Pair) => any[], show: (ready: Ready | null) => void,
 *   dispose: () => void, surface?: Surface, said?: () => Record<string, any>, restore?: (answers: Record<string, any>) => void, back?: () => boolean,
 *   zoom?: () => boolean, unzoom?: () => void, flick?: (on: boolean) => void}} Kind one kind of item; `back` undoes what is not sent yet
 */
import { el, keys } from "/static/js/lib.js";
import { Boxes } from "/static/js/label_boxes.js";
import { Stage } from "/static/js/stage.js";

const ANSWERS = [
  { choice: "left", label: "Left", phone: "Upper", keys: ["ArrowLeft", "1"] },
  { choice: "tie", label: "Tie", phone: "Tie", keys: ["ArrowUp", "3"] },
  { choice: "both_bad", label: "Both bad", phone: "Both bad", keys: ["ArrowDown", "4"] },
  { choice: "right", label: "Right", phone: "Lower", keys: ["ArrowRight", "2"] },
];

/** The answers about two of a kind, in the order in which they lie. @param {Asked} asked @param {Send} send */
export function sides(asked, send) {
  const offered = ANSWERS.filter(({ choice }) => (choice !== "tie" || asked.ties) && (choice !== "both_bad" || asked.both_bad));
  return {
    answers: el("div", { class: "ans" }, offered.map((answer) => el("button", { type: "button", class: "btn", "data-testid": `answer-${answer.choice}`, onclick: () => send(answer.choice) },
      answer.phone === answer.label ? answer.label : [el("span", { class: "not-phone" }, answer.label), el("span", { class: "only-phone word" }, answer.phone)],
      keys.hint(`label.${answer.choice}`)))),
    bindings: offered.map((answer) => ({ id: `label.${answer.choice}`, keys: answer.keys, label: answer.label, run: () => send(answer.choice) })),
  };
}

/** @param {Asked} asked @param {Send} send @returns {Kind} */
export function images(asked, send) {
  const stage = new Stage({ onpick: (side) => { if (!surface.marking) send(side); } });
  const surface = new Boxes({ left: stage.left, right: stage.right });
  return {
    ...sides(asked, send), node: stage.node, surface,
    places: (pair) => [pair.left, pair.right],
    show(ready) {
      if (!ready) return stage.clear();
      const { left, right } = ready.pair;
      stage.show(ready.pictures[0], ready.pictures[1], { width: Math.max(left.width || 1, right.width || 1), height: Math.max(left.height || 1, right.height || 1) });
    },
    dispose: () => stage.dispose(),
    zoom: () => stage.zoom(),
    unzoom: () => { if (stage.zoomed) stage.zoom(); },
    flick: (on) => stage.flick(on),
  };
}
