/**
 * Label: one judgement, one key. Pictures are swapped as decoded nodes in the key's own event, and nothing on the way to the
 * next item waits for the network. No name of a model ever reaches this page.
 *
 * What stands there and how it is answered is a kind (label_pair.js and its neighbours); what may be said beside it is a tool:
 * questions, marks, reasons, a comment, the cause of a skip. This module puts them on the page and sends what they say.
 */
import { afterPaint, api, button, dialog, el, empty, fill, fmt, icon, keys, live, note, poll } from "/static/js/lib.js";
import { bestWorst } from "/static/js/label_best.js";
import { drafts } from "/static/js/label_draft.js";
import { Marks } from "/static/js/label_marks.js";
import { images } from "/static/js/label_pair.js";
import { Questions } from "/static/js/label_questions.js";
import { single } from "/static/js/label_single.js";
import { Skip } from "/static/js/label_skip.js";
import { list, openStudies, strip } from "/static/js/label_studies.js";
import { texts } from "/static/js/label_texts.js";
import { Judge } from "/static/js/judge.js";
import { savedPill } from "/static/js/views.js";

const KINDS = { images, texts, single, best_worst: bestWorst };
const REASON_KEYS = "qwertyuiop";
const SPOKEN = { left: "Left", right: "Right", tie: "Tie", both_bad: "Both bad", skip: "Skipped", ranked: "Ranked" };
/** What the queue of a project asks. @type {import("/static/js/label_pair.js").Asked} */
const QUEUE = { id: null, name: "Label", kind: "images", question: "", guidelines: "", aspects: [], checklist: [], ties: true, both_bad: true, regions: true, spans: false,
  reasons: ["count", "colour", "place", "looks better", "artefact"] };

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const id = Number(page.params.study_id) || null;
  fill(document.getElementById("trail"), el("a", { class: "only-phone", href: "/", "aria-label": "Today" }, icon("home")), id && [el("a", { class: "not-phone", href: "/label" }, "Label"), el("span", { class: "sep" }, "/")]);
  const [asked, studies] = await Promise.all([id ? api(`studies/${id}/asked`).catch((error) => error) : QUEUE, id ? [] : openStudies()]);
  if (asked instanceof Error) {
    fill(main, el("div", { class: "sec" }, note("This study is not open to you", asked.message, { tone: "warn", actions: [el("a", { class: "btn sm", href: "/label" }, "What there is to label")] })));
    return () => {};
  }
  if (id && asked.status !== "open") return waiting(main, page, asked);
  return judging(main, page, asked, studies);
}

/** A study that is closed, or whose pictures are not there yet; it is begun by itself. @param {HTMLElement} main @param {any} page @param {any} asked */
function waiting(main, page, asked) {
  const isClosed = asked.status === "closed";
  page.title(asked.name, undefined, true);
  fill(main, empty({ title: isClosed ? "This study is closed" : "Its pictures are being drawn", text: isClosed ? "What was judged is kept. Nothing more is asked." : "They can be judged as soon as they are there; this page shows them by itself.",
    actions: [el("a", { class: "btn lg", href: "/label" }, "What else there is to label")] }));
  return poll(async () => { if ((await api(`studies/${asked.id}/asked`)).status === "open") page.go(location.pathname); }, 3);
}

/** @param {HTMLElement} main @param {any} page @param {import("/static/js/label_pair.js").Asked} asked @param {import("/static/js/label_studies.js").Study[]} studies */
async function judging(main, page, asked, studies) {
  /** @type {Set<string>} */
  const reasons = new Set();
  let begun = 0;
  const kind = KINDS[asked.kind](asked, vote, saveDraft);
  const isPair = asked.kind === "images" || asked.kind === "texts";
  const field = isPair ? "aspects" : "checklist";
  const named = asked.kind === "best_worst" ? [] : asked[field];
  const questions = named.length ? new Questions(field, named, saveDraft) : null;
  const marks = kind.surface && asked[kind.surface.name] ? new Marks(kind.surface, saveDraft) : null;
  const skip = new Skip((cause) => vote("skip", cause ? { cause } : {}));
  const draft = drafts(asked.id);
  const judge = new Judge({ study: asked.id, places: kind.places, first: draft.last() });
  const ui = draw();
  const unbind = [keys.bind("Label", bindings()), marks?.bind(), skip.bind()];

  judge.addEventListener("pair", () => { place(); setDraft(draft.read(judge.current?.pair.pair_id)); measure(); });
  judge.addEventListener("state", drawState);
  judge.addEventListener("restored", (e) => setDraft(/** @type {CustomEvent} */ (e).detail));
  if (asked.id) page.title(asked.name, undefined, true);
  keys.drawHints(ui.lab);
  drawState();
  await judge.start();
  return () => { judge.stop(); unbind.forEach((off) => off?.()); kind.dispose(); skip.toggle(false); };

  // acting ------------------------------------------------------------------------------------------------

  /** @param {string} choice @param {Record<string, any>} [more] */
  function vote(choice, more = {}) {
    begun = performance.now();
    const verdict = { choice, reasons: [...reasons], comment: ui.comment.value.trim(), answers: said(more) };
    skip.toggle(false);
    if (!judge.vote(verdict)) return;
    live(`${SPOKEN[choice] || `Mark ${more.rating ?? "left out"}`}. ${judge.current ? judge.current.pair.prompt : "Nothing more."}`);
    if (document.activeElement instanceof HTMLButtonElement) main.focus({ preventScroll: true });
  }

  /** What is said beside the choice, without what is empty. @param {Record<string, any>} [more] */
  function said(more = {}) {
    const all = { ...(questions ? { [field]: questions.said() } : {}), ...(marks && kind.surface ? { [kind.surface.name]: marks.list } : {}), ...more };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== "" && (typeof value !== "object" || Object.keys(value).length)));
  }

  /** Once the next item is painted, note how long it took from the key. */
  function measure() {
    if (!begun || !judge.current) return;
    const start = begun;
    begun = 0;
    afterPaint(() => performance.measure("palate.key-to-painted", { start, end: performance.now() }));
  }

  async function undo() {
    if (kind.back?.()) return;
    if (!(await judge.undo())) { live("There is nothing to undo."); return; }
    live(`Undone. ${judge.current?.pair.prompt ?? ""}`);
  }

  /** @param {string} name of the mark that is being made, else of the whole judgement */
  function toggleReason(name) {
    if (!judge.current) return;
    if (marks?.isOpen) { marks.reason(name); return; }
    if (!reasons.delete(name)) reasons.add(name);
    drawReasons();
    saveDraft();
  }

  function writeComment(open = true) {
    ui.comment.hidden = !open;
    ui.chips.hidden = open;
    if (open) { ui.lab.classList.add("why-open"); ui.comment.focus(); } else main.focus({ preventScroll: true });
    drawReasons();
  }

  function zoom() { if (!marks?.on) ui.zoom.setAttribute("aria-pressed", String(kind.zoom?.())); }

  function mark() {
    kind.unzoom?.();
    ui.zoom.setAttribute("aria-pressed", "false");
    marks?.toggle();
    ui.mark.setAttribute("aria-pressed", String(marks?.on));
  }

  function guidelines() {
    dialog("Guidelines", () => el("p", { class: "guidelines", tabindex: "0", translate: "no" }, asked.guidelines), { wide: true });
  }

  // the draft survives a reload ---------------------------------------------------------------------------

  function saveDraft() {
    if (judge.current) draft.write(judge.current.pair.pair_id, { reasons: [...reasons], comment: ui.comment.value, answers: said(kind.said?.()) });
    if (marks) ui.mark.setAttribute("aria-pressed", String(marks.on));
  }

  /** @param {{reasons: string[], comment: string, answers?: Record<string, any>}} found */
  function setDraft({ reasons: named, comment, answers = {} }) {
    reasons.clear();
    named.forEach((name) => reasons.add(name));
    ui.comment.value = comment;
    questions?.restore(answers[field]);
    if (kind.surface) marks?.set(answers[kind.surface.name] || []);
    kind.restore?.(answers);
    ui.mark.setAttribute("aria-pressed", "false");
    if (!ui.comment.hidden) writeComment(false);
    drawReasons();
  }

  // drawing -----------------------------------------------------------------------------------------------

  /** Put the item on the stage. */
  function place() {
    const ready = judge.current;
    ui.lab.dataset.pair = ready ? String(ready.pair.pair_id) : "";
    kind.show(ready);
    ui.prompt.textContent = ready?.pair.prompt || "";
    ui.prompt.title = ready?.pair.prompt || "";
  }

  function drawReasons() {
    for (const chip of ui.chips.querySelectorAll(".chip")) {
      const on = reasons.has(chip.dataset.reason);
      chip.classList.toggle("on", on);
      chip.setAttribute("aria-pressed", String(on));
    }
    ui.written.hidden = !ui.comment.value.trim();
  }

  function drawState() {
    const { state } = judge;
    const pace = judge.pace();
    const left = Math.max(0, state.total - state.done);
    page.status(
      state.total > 0 && el("span", { class: "meta nowrap", "data-testid": "pace" }, el("b", { class: "strong" }, fmt.int(state.done)), " ", el("span", { class: "muted" }, `of ${fmt.int(state.total)}`)),
      Number.isFinite(pace) && [el("span", { class: "vsep" }), el("span", { class: "meta muted nowrap pace-more" },
        `${pace.toFixed(1)} s ${isPair ? "a pair" : "each"}${left ? ` · ${fmt.span(pace * left)} left` : ""}`)],
      el("span", { class: "vsep" }), savedPill(state));
    ui.progress.setAttribute("aria-valuenow", String(state.done));
    ui.progress.setAttribute("aria-valuemax", String(Math.max(1, state.total)));
    ui.progress.firstElementChild.style.width = `${(100 * state.done) / Math.max(1, state.total)}%`;
    ui.undo.disabled = !state.canUndo;
    ui.off.hidden = state.saved !== "kept";
    if (state.saved === "kept") fill(ui.off.querySelector("span"), el("b", { class: "strong" }, "No connection. "), `${fmt.count(state.kept, "judgement")} kept here.`);
    const standing = Boolean(judge.current);
    if (standing && main.firstElementChild !== ui.lab) { fill(main, ui.lab); place(); }
    else if (!standing && state.phase !== "loading") fill(main, nothing(state));
  }

  /** @param {import("/static/js/judge.js").State} state */
  function nothing(state) {
    if (state.phase === "offline" || state.phase === "refused") {
      return el("div", { class: "sec" }, note(state.phase === "offline" ? "No connection" : "Nothing to judge here", `${state.error} ${state.kept ? `${fmt.count(state.kept, "judgement")} kept in this browser.` : ""}`,
        { tone: "warn", actions: [button("Try now", { size: "sm", onclick: () => { judge.outbox.flush(); judge.fill(); } })] }), studies.length > 0 && list(studies));
    }
    const again = state.done > 0 && button("Undo the last one", { kind: "quiet", size: "sm", icon: "undo", key: "z", onclick: undo });
    if (asked.id) return studyEnds(state, again);
    if (studies.length && !state.isDrawing) return el("div", { class: "scroll" }, list(studies), el("div", { class: "sec row" }, el("p", { class: "muted" }, state.total ? `Every pair of the queue is judged, ${fmt.int(state.done)} by you.` : "The queue holds no pairs."), again));
    if (state.isDrawing) return empty({ title: "The pairs are being drawn", text: "They appear here by themselves as soon as the first are there.", actions: [el("a", { class: "link meta", href: "/workers" }, "See how far it is")] });
    const done = state.done > 0;
    return empty({
      title: done ? "Every pair is judged" : "No pairs to judge yet",
      text: done ? `You have judged ${fmt.count(state.done, "pair")}. Draw more, or learn a reward from what you preferred.`
        : "A pair is two pictures of one prompt. Have the model draw some, and say which is better.",
      actions: [el("a", { class: "btn lg primary", href: "/prompts?generate=1", "data-testid": "generate-pairs" }, "Draw pairs"),
        done && el("a", { class: "link meta", href: "/rewards" }, "or learn a reward"), again],
    });
  }

  /** @param {import("/static/js/judge.js").State} state @param {any} again */
  function studyEnds(state, again) {
    const [title, text] = state.done ? ["Nothing more is asked of you here", `You have judged ${fmt.count(state.done, "item")} of this study. What is left, others are judging.`]
      : ["Nothing to judge in this study", "Every item has as many judgements as it needs, or others hold those that are left. It looks again by itself."];
    return empty({ title, text, actions: [el("a", { class: "btn lg", href: "/label", "data-testid": "to-studies" }, "What else there is to label"), again] });
  }

  function draw() {
    const parts = {
      progress: el("div", { class: "prog", role: "progressbar", "aria-label": "judged", "aria-valuemin": "0" }, el("b")),
      prompt: el("span", { "data-testid": "prompt", translate: "no" }),
      comment: el("input", { class: "inp comment", "data-testid": "comment", "aria-label": "Comment", placeholder: "What should be known about this? Enter keeps it", hidden: true,
        maxlength: 500, oninput: saveDraft, onkeydown: (e) => { if (e.key === "Enter" || e.key === "Escape") { e.preventDefault(); writeComment(false); } } }),
      chips: el("div", { class: "row chips" }, asked.reasons.length > 0 && el("span", { class: "meta muted nowrap" }, "Why, if you like"), asked.reasons.map((name) =>
        el("button", { type: "button", class: "chip", "data-reason": name, "aria-pressed": "false", onclick: () => toggleReason(name) }, keys.hint(`label.reason.${name}`), name))),
      written: el("span", { class: "badge", hidden: true }, "written"),
      zoom: tool("Zoom", "zoom", "label.zoom", zoom, "zoom"),
      mark: tool("Mark", "region", "label.mark", mark, "mark"),
      undo: tool("Undo", "undo", "label.undo", undo, "undo"),
      off: el("div", { class: "off", hidden: true }, icon("plug", "warn"), el("span"), button("Try now", { kind: "quiet", size: "sm", onclick: () => judge.outbox.flush() })),
    };
    const said = el("button", { type: "button", class: "btn quiet sm", "data-testid": "comment-open", onclick: () => writeComment(ui.comment.hidden) }, icon("note"), "Comment", parts.written, keys.hint("label.comment"));
    const tools = el("div", { class: "row tools" },
      el("span", { class: "row extra" }, marks && parts.mark, said, asked.guidelines && tool("Guidelines", "info", "label.guidelines", guidelines, "guidelines")),
      kind.zoom && el("span", { class: "vsep" }),
      kind.zoom && parts.zoom,
      kind.flick && el("button", { type: "button", class: "btn quiet sm flicker", "data-testid": "flicker", onpointerdown: () => kind.flick?.(true), onpointerup: () => kind.flick?.(false), onpointerleave: () => kind.flick?.(false) }, "Flicker", keys.hint("label.flicker")),
      el("span", { class: "vsep" }), button("Why", { kind: "quiet", size: "sm only-phone", testid: "why", onclick: () => lab.classList.toggle("why-open") }), skip.node, parts.undo);
    const lab = el("div", { class: `lab kind-${asked.kind}`, "data-testid": "label" }, studies.length > 0 && strip(studies), parts.progress,
      el("div", { class: "prompt" }, asked.question && el("p", { class: "question", "data-testid": "question" }, asked.question), el("p", { translate: "no" }, parts.prompt)),
      el("div", { class: "stagewrap" }, kind.node, parts.off), kind.answers, marks?.node, questions?.node,
      el("div", { class: "tray", "data-testid": "reason-tray" }, el("div", { class: "row why" }, parts.chips, parts.comment), tools));
    return { ...parts, lab };
  }

  /** A button of the tray. @param {string} word @param {string} sign @param {string} binding @param {() => void} run @param {string} testid */
  function tool(word, sign, binding, run, testid) {
    return el("button", { type: "button", class: "btn quiet sm", "data-testid": testid, onclick: run }, icon(sign), word, keys.hint(binding));
  }

  function bindings() {
    return [
      ...kind.bindings, ...(questions?.bindings() || []), ...skip.bindings(),
      { id: "label.undo", keys: ["z"], label: "Undo", run: () => undo() },
      ...(kind.flick ? [{ id: "label.flicker", keys: [" "], label: "Flicker while held", run: () => kind.flick?.(true), up: () => kind.flick?.(false) }] : []),
      ...(kind.zoom ? [{ id: "label.zoom", keys: ["f"], label: isPair ? "Zoom both" : "Zoom", run: zoom }] : []),
      ...(marks ? [{ id: "label.mark", keys: ["m"], label: kind.surface?.name === "spans" ? "Mark a place in a text" : "Mark a region", run: mark }] : []),
      { id: "label.comment", keys: ["c"], label: "Comment", run: () => writeComment() },
      ...(asked.guidelines ? [{ id: "label.guidelines", keys: ["h"], label: "Guidelines", run: guidelines }] : []),
      ...asked.reasons.map((name, i) => ({ id: `label.reason.${name}`, keys: [REASON_KEYS[i]], label: `Because of: ${name}`, run: () => toggleReason(name) })),
    ];
  }
}
