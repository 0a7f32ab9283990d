/**
 * Label: one judgement, one key. Pictures are swapped as decoded nodes in the key's own event, and nothing on the way to the
 * next pair waits for the network. No name of a model ever reaches this page.
 */
import { button, el, empty, fill, fmt, icon, kbd, keys, live, note } from "/static/js/lib.js";
import { Judge } from "/static/js/judge.js";
import { Stage } from "/static/js/stage.js";
import { savedPill } from "/static/js/views.js";

const ANSWERS = [
  { choice: "left", label: "Left", phone: "Upper", keys: ["ArrowLeft", "1"] },
  { choice: "tie", label: "Tie", phone: "Tie", keys: ["ArrowUp", "3"] },
  { choice: "both_bad", label: "Both bad", phone: "Both bad", keys: ["ArrowDown", "4"] },
  { choice: "right", label: "Right", phone: "Lower", keys: ["ArrowRight", "2"] },
];
const REASONS = [["q", "count"], ["w", "colour"], ["e", "place"], ["r", "looks better"], ["t", "artefact"]];
const DRAFT = "palate.label.draft";
const SPOKEN = { left: "Left", right: "Right", tie: "Tie", both_bad: "Both bad", skip: "Skipped" };

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const judge = new Judge();
  /** @type {Set<string>} */
  const reasons = new Set();
  let begun = 0;
  const stage = new Stage({ onpick: vote });
  const ui = draw();
  const unbind = keys.bind("Label", bindings());

  judge.addEventListener("pair", () => { place(); restoreDraft(); measure(); });
  judge.addEventListener("state", drawState);
  judge.addEventListener("restored", (e) => setDraft(/** @type {CustomEvent} */ (e).detail));
  fill(document.getElementById("trail"), el("a", { class: "only-phone", href: "/", "aria-label": "Today" }, icon("home")));
  drawState();
  await judge.start();
  return () => { judge.stop(); unbind(); stage.dispose(); };

  // acting ------------------------------------------------------------------------------------------------

  /** @param {string} choice */
  function vote(choice) {
    begun = performance.now();
    const comment = ui.comment.value.trim();
    if (!judge.vote({ choice, reasons: [...reasons], comment })) return;
    live(`${SPOKEN[choice]}. ${judge.current ? judge.current.pair.prompt : "No more pairs."}`);
    if (document.activeElement instanceof HTMLButtonElement) main.focus({ preventScroll: true });
  }

  /** Once the next pair is painted, note how long it took from the key. */
  function measure() {
    if (!begun || !judge.current) return;
    const start = begun;
    begun = 0;
    requestAnimationFrame(() => requestAnimationFrame(() => {
      performance.measure("palate.key-to-painted", { start, end: performance.now() });
    }));
  }

  async function undo() {
    if (!(await judge.undo())) { live("There is nothing to undo."); return; }
    live(`Undone. ${judge.current?.pair.prompt ?? ""}`);
  }

  /** @param {string} name */
  function toggleReason(name) {
    if (!judge.current) return;
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

  function zoom() { ui.zoom.setAttribute("aria-pressed", String(stage.zoom())); }

  // the draft survives a reload ---------------------------------------------------------------------------

  function saveDraft() {
    const id = judge.current?.pair.pair_id;
    localStorage.setItem(DRAFT, JSON.stringify({ id, reasons: [...reasons], comment: ui.comment.value }));
  }

  function restoreDraft() {
    const kept = JSON.parse(localStorage.getItem(DRAFT) || "null");
    setDraft(kept && kept.id === judge.current?.pair.pair_id ? kept : { reasons: [], comment: "" });
  }

  /** @param {{reasons: string[], comment: string}} draft */
  function setDraft(draft) {
    reasons.clear();
    draft.reasons.forEach((name) => reasons.add(name));
    ui.comment.value = draft.comment;
    if (!ui.comment.hidden) writeComment(false);
    drawReasons();
  }

  // drawing -----------------------------------------------------------------------------------------------

  /** Put the current pair's decoded pictures on the stage. */
  function place() {
    const ready = judge.current;
    ui.lab.dataset.pair = ready ? String(ready.pair.pair_id) : "";
    if (!ready) { stage.clear(); ui.prompt.textContent = ""; return; }
    const { left, right } = ready.pair;
    stage.show(ready.left, ready.right, { width: Math.max(left.width, right.width), height: Math.max(left.height, right.height) });
    ui.prompt.textContent = ready.pair.prompt;
    ui.prompt.title = ready.pair.prompt;
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
      el("span", { class: "meta nowrap", "data-testid": "pace" }, el("b", { class: "strong" }, fmt.int(state.done)), " ", el("span", { class: "muted" }, `of ${fmt.int(state.total)}`)),
      Number.isFinite(pace) && [el("span", { class: "vsep" }), el("span", { class: "meta muted nowrap pace-more" },
        `${pace.toFixed(1)} s a pair${left ? ` · ${fmt.span(pace * left)} left` : ""}`)],
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
    if (state.phase === "offline") {
      return el("div", { class: "sec" }, note("No connection", `${state.error} ${state.kept ? `${fmt.count(state.kept, "judgement")} kept in this browser.` : ""}`,
        { tone: "warn", actions: [button("Try now", { size: "sm", onclick: () => { judge.outbox.flush(); judge.fill(); } })] }));
    }
    if (state.isDrawing) return empty({ title: "The pairs are being drawn", text: "They appear here by themselves as soon as the first are there.", actions: [el("a", { class: "link meta", href: "/workers" }, "See how far it is")] });
    const done = state.done > 0;
    return empty({
      title: done ? "Every pair is judged" : "No pairs to judge yet",
      text: done ? `You have judged ${fmt.count(state.done, "pair")}. Draw more, or learn a reward from what you preferred.`
        : "A pair is two pictures of one prompt. Have the model draw some, and say which is better.",
      actions: [el("a", { class: "btn lg primary", href: "/prompts?generate=1", "data-testid": "generate-pairs" }, "Draw pairs"),
        done && el("a", { class: "link meta", href: "/rewards" }, "or learn a reward"),
        done && button("Undo the last one", { kind: "quiet", size: "sm", icon: "undo", key: "z", onclick: undo })],
    });
  }

  function draw() {
    const answers = ANSWERS.map((answer) => el("button", { type: "button", class: "btn", "data-testid": `answer-${answer.choice}`, onclick: () => vote(answer.choice) },
      el("span", { class: answer.phone === answer.label ? "" : "not-phone" }, answer.label),
      answer.phone !== answer.label && el("span", { class: "only-phone", style: "width:auto;height:auto" }, answer.phone), kbd(answer.keys[0])));
    const parts = {
      progress: el("div", { class: "prog", role: "progressbar", "aria-label": "judged", "aria-valuemin": "0" }, el("b")),
      prompt: el("span"),
      comment: el("input", { class: "inp comment", "data-testid": "comment", "aria-label": "Comment", placeholder: "What should be known about this pair? Enter keeps it", hidden: true,
        maxlength: 500, oninput: saveDraft, onkeydown: (e) => { if (e.key === "Enter" || e.key === "Escape") { e.preventDefault(); writeComment(false); } } }),
      chips: el("div", { class: "row" }, el("span", { class: "meta muted nowrap" }, "Why, if you like"), REASONS.map(([key, name]) =>
        el("button", { type: "button", class: "chip", "data-reason": name, "aria-pressed": "false", onclick: () => toggleReason(name) }, kbd(key), name))),
      written: el("span", { class: "badge", hidden: true }, "written"),
      zoom: button("Zoom", { kind: "quiet", size: "sm", icon: "zoom", key: "f", onclick: zoom, testid: "zoom" }),
      undo: button("Undo", { kind: "quiet", size: "sm", icon: "undo", key: "z", onclick: undo, testid: "undo" }),
      off: el("div", { class: "off", hidden: true }, icon("plug", "warn"), el("span"), button("Try now", { kind: "quiet", size: "sm", onclick: () => judge.outbox.flush() })),
    };
    const tools = el("div", { class: "row tools" },
      el("button", { type: "button", class: "btn quiet sm", "data-testid": "comment-open", onclick: () => writeComment(ui.comment.hidden) }, icon("note"), "Comment", parts.written, kbd("c")),
      el("span", { class: "vsep" }), parts.zoom,
      el("button", { type: "button", class: "btn quiet sm flicker", "data-testid": "flicker", onpointerdown: () => stage.flick(true), onpointerup: () => stage.flick(false), onpointerleave: () => stage.flick(false) }, "Flicker", kbd(" ")),
      el("span", { class: "vsep" }), button("Why", { kind: "quiet", size: "sm only-phone", onclick: () => lab.classList.toggle("why-open") }),
      button("Skip", { kind: "quiet", size: "sm", key: "s", onclick: () => vote("skip"), testid: "skip" }), parts.undo);
    const lab = el("div", { class: "lab", "data-testid": "label" }, parts.progress, el("p", { class: "prompt", "data-testid": "prompt" }, parts.prompt),
      el("div", { class: "stagewrap" }, stage.node, parts.off), el("div", { class: "ans" }, answers),
      el("div", { class: "tray", "data-testid": "reason-tray" }, el("div", { class: "row why" }, parts.chips, parts.comment), tools));
    return { ...parts, lab };
  }

  function bindings() {
    return [
      ...ANSWERS.map((answer) => ({ id: `label.${answer.choice}`, keys: answer.keys, label: answer.label, run: () => vote(answer.choice) })),
      { id: "label.skip", keys: ["s"], label: "Skip", run: () => vote("skip") },
      { id: "label.undo", keys: ["z"], label: "Undo", run: () => undo() },
      { id: "label.flicker", keys: [" "], label: "Flicker while held", run: () => stage.flick(true), up: () => stage.flick(false) },
      { id: "label.zoom", keys: ["f"], label: "Zoom both", run: zoom },
      { id: "label.comment", keys: ["c"], label: "Comment", run: () => writeComment() },
      ...REASONS.map(([key, name]) => ({ id: `label.reason.${name}`, keys: [key], label: `Because of: ${name}`, run: () => toggleReason(name) })),
    ];
  }
}
