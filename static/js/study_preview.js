/** How an item will look on Label, redrawn while the settings change: made of the parts of that page, none of which acts here. */
import { el, fill, icon, keys } from "/static/js/lib.js";
import { bestWorst } from "/static/js/label_best.js";
import { images } from "/static/js/label_pair.js";
import { Questions } from "/static/js/label_questions.js";
import { single } from "/static/js/label_single.js";
import { texts } from "/static/js/label_texts.js";

const PARTS = { images, texts, single, best_worst: bestWorst };
const REASON_KEYS = "qwertyuiop";
const EXAMPLES = ["The first text stands here.", "The second text stands here."];
const BLANK = { width: 1024, height: 1024, picture() {
  const image = new Image(BLANK.width, BLANK.height);
  image.alt = "";
  image.src = "data:image/svg+xml," + encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" width="1024" height="1024"><rect width="1024" height="1024" fill="gray" fill-opacity=".22"/></svg>');
  return image;
} };
const still = () => {};

/** @param {string} kind @returns {{node: HTMLElement, ask: (config: any) => void, show: (item: any) => Promise<void>, dispose: () => void}} */
export function preview(kind) {
  /** @type {any} */
  let asked = {};
  /** @type {any} */
  let part = null;
  /** @type {{pair: any, pictures: (HTMLImageElement | null)[]}} */
  let ready = nothingYet(kind);
  const shown = el("div", { class: `lab pv kind-${kind}`, inert: true, "data-testid": "study-preview" });
  const node = el("figure", { class: "pv-host" }, el("figcaption", { class: "pane-h" }, el("h2", null, "As people see it"), el("span", { class: "meta muted not-phone" }, kind === "single" ? "on Label" : "on Label; who stands where is drawn anew for each")), shown);
  return { node, ask(config) { asked = config; draw(); }, show, dispose: () => part?.dispose() };

  /** Put an item of the study into it. @param {any} item */
  async function show(item) {
    const [left, right] = item.samples;
    const pair = { pair_id: item.pair_id, prompt: item.prompt, left, right: right ?? left, slots: item.samples, subject: item.subject ? { url: item.subject } : undefined };
    const pictures = await Promise.all(part.places(pair).map(decoded));
    ready = { pair, pictures };
    draw();
  }

  function draw() {
    part?.dispose();
    part = PARTS[kind](asked, still, still);
    const named = kind === "single" ? asked.checklist : kind === "best_worst" ? [] : asked.aspects;
    const questions = named.length ? new Questions(kind === "single" ? "checklist" : "aspects", named, still) : null;
    const marks = (asked.regions && kind !== "texts" && kind !== "best_worst") || (asked.spans && kind === "texts");
    const reasons = asked.reasons.map((name, i) => ({ id: `label.reason.${name}`, keys: [REASON_KEYS[i]] }));
    fill(shown, el("div", { class: "prompt" }, asked.question && el("p", { class: "question" }, asked.question), el("p", null, el("span", null, ready?.pair.prompt || "The prompt of each item stands here"))),
      el("div", { class: "stagewrap" }, part.node), part.answers, questions?.node, el("div", { class: "tray" },
        el("div", { class: "row why" }, el("div", { class: "row chips" }, reasons.length ? el("span", { class: "meta muted nowrap" }, "Why, if you like") : null, asked.reasons.map((name) => el("span", { class: "chip" }, keys.hint(`label.reason.${name}`), name)))),
        el("div", { class: "row tools" }, el("span", { class: "row extra" }, marks && tool("region", "Mark", "m"), tool("note", "Comment", "c"), asked.guidelines && tool("info", "Guidelines", "h")))));
    part.show(ready);
    const all = [...part.bindings, ...(questions?.bindings() ?? []), ...reasons];
    for (const hint of shown.querySelectorAll("[data-hint]")) {
      const binding = all.find((one) => one.id === /** @type {HTMLElement} */ (hint).dataset.hint);
      hint.textContent = binding ? keys.keyName(keys.keysOf(/** @type {any} */ (binding))[0]) : "";
    }
  }
}

const tool = (sign, word, key) => el("span", { class: "btn quiet sm" }, icon(sign), word, el("kbd", { "aria-hidden": "true" }, keys.keyName(key)));

/** What stands there before the first item does. @param {string} kind */
function nothingYet(kind) {
  const [left, right] = EXAMPLES.map((text) => ({ text, width: BLANK.width, height: BLANK.height }));
  return { pair: { prompt: "", left, right, slots: [] }, pictures: kind === "texts" ? [] : Array.from({ length: 4 }, BLANK.picture) };
}

/** @param {any} place a picture, or something else @returns {Promise<HTMLImageElement | null>} */
async function decoded(place) {
  if (!place?.url) return null;
  const image = new Image(place.width, place.height);
  image.alt = "";
  image.src = place.url;
  await image.decode().catch(() => {});
  return image;
}
