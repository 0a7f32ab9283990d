/** A new study: pick what is judged, pick what is asked, start. All else can be changed on its own page. */
import { api, button, el, fill, fmt, live, note } from "/static/js/lib.js";
import { KINDS, ROWS, fits, sourceText, workText, SECONDS } from "/static/js/study_parts.js";
import { send } from "/static/js/upload.js";

const MOST_DRAWN = 12;
const MANY = 8;
const MODES = { draw: ["New pictures", "Each checkpoint draws the same prompts from the same noise."], there: ["Pictures there are", "Every picture these have drawn, prompt by prompt."], file: ["A file", "A file of rows, or a ZIP of rows and the pictures they name."] };

/** @param {HTMLElement} host @param {any} page */
export async function newStudy(host, page) {
  const asked = [api("studies/sources"), api("studies/templates"), api("prompt-sets")];
  const [sources, templates, sets] = await Promise.all(asked).catch((error) => { fill(host, el("div", { class: "sec" }, note("A new study cannot be made now", error.message))); return []; });
  if (!sources) return;
  const state = { mode: "draw", template: templates[0].name, chosen: new Set(Number(page.query.get("a")) ? [Number(page.query.get("a")), Number(page.query.get("b"))].filter(Boolean) : []), find: "" };
  const heldout = sets.find((set) => set.split === "heldout") || sets[0];
  const prompts = el("select", { class: "sel", id: "n-set", "data-testid": "prompt-set", onchange: drawFoot }, sets.map((set) => el("option", { value: set.id, selected: set === heldout }, `${set.name} · ${fmt.int(set.num_prompts)}`)));
  const number = el("input", { class: "inp num", id: "n-num", type: "text", inputmode: "numeric", value: "50", "data-testid": "num-prompts", autocomplete: "off", oninput: drawFoot });
  const part = { list: el("div", { class: "pick-list", role: "group", "aria-label": "What is judged" }), how: el("p", { class: "meta muted" }), prompts: el("div", { class: "sec" }, el("div", { class: "two-one" },
    el("div", { class: "field" }, el("label", { for: "n-set" }, "Prompts of"), prompts), el("div", { class: "field" }, el("label", { for: "n-num" }, "At most"), number))),
  templates: el("div", { role: "group", "aria-label": "What is asked" }), foot: el("div", { class: "start-foot" }), mode: el("div", { class: "seg", role: "group", "aria-label": "Where the items come from" }), find: el("div", { style: "margin-top:8px" }) };
  const find = el("input", { class: "inp", type: "search", placeholder: "Find a checkpoint", "aria-label": "Find a checkpoint", oninput: () => { state.find = find.value.toLowerCase(); drawList(); } });
  fill(part.find, find);
  const file = el("input", { type: "file", class: "file", "aria-label": "File of items", "data-testid": "study-file", onchange: drawFoot });
  const said = el("div", { role: "status" });
  fill(host, el("div", { class: "pane-h" }, el("h2", null, "New study")), el("div", { class: "scroll grow-y" },
    el("div", { class: "sec" }, el("div", { class: "row" }, part.mode), el("div", { style: "margin-top:8px" }, part.how), sources.length > MANY && part.find), part.list, part.prompts, el("div", { class: "rec-h" }, "What is asked"), part.templates), part.foot);
  draw();

  function draw() {
    fill(part.mode, Object.entries(MODES).map(([mode, [word]]) => el("button", { type: "button", "aria-pressed": String(state.mode === mode), "data-testid": `mode-${mode}`, onclick: () => { state.mode = mode; state.chosen.clear(); draw(); } }, word)));
    part.how.textContent = MODES[state.mode][1];
    part.prompts.hidden = state.mode !== "draw";
    part.find.hidden = state.mode === "file";
    drawTemplates();
    drawList();
  }

  const kind = () => templates.find((one) => one.name === state.template).kind;

  /** Sources that can stand in this study. */
  function fitting() { return sources.filter((source) => (state.mode === "draw" ? source.draws : fits(source, kind()) > 0)); }

  function drawList() {
    for (const id of state.chosen) if (!fitting().some((source) => source.policy_id === id)) state.chosen.delete(id);
    if (state.mode === "file") {
      fill(part.list, el("div", { class: "sec stack" }, file, el("p", { class: "meta muted" }, "One row an item:"), el("code", { class: "mono row-like", translate: "no", "data-testid": "row-like" }, ROWS[kind()])));
      drawFoot();
      return;
    }
    const shown = fitting().filter((source) => source.name.toLowerCase().includes(state.find));
    fill(part.list, shown.map((source) => el("label", { class: "pick", "data-testid": "source", "data-policy": source.policy_id },
      el("input", { type: "checkbox", checked: state.chosen.has(source.policy_id), onchange: (e) => {
        if (e.target.checked) state.chosen.add(source.policy_id); else state.chosen.delete(source.policy_id);
        drawFoot();
      } }), el("span", { class: "clip", translate: "no" }, source.name), el("span", { class: "meta faint nowrap" }, state.mode === "there" ? fmt.count(fits(source, kind()), kind() === "texts" ? "text" : "picture") : sourceText(source)))),
    !shown.length && el("p", { class: "sec muted" }, state.find ? "None is called that." : state.mode === "draw" ? ["No model yet. ", el("a", { class: "link", href: "/" }, "Load the demo"), ", or add one by the API."] : kind() === "texts" ? "No texts yet. They come in by a file." : "No pictures yet. Have some drawn on Prompts, or import them."));
    drawFoot();
  }

  function drawTemplates() {
    const offered = templates.filter((template) => state.mode !== "draw" || template.kind !== "texts");
    if (!offered.some((template) => template.name === state.template)) state.template = offered[0].name;
    fill(part.templates, offered.map((template) => el("button", { type: "button", class: "rec", "aria-pressed": String(template.name === state.template), "data-testid": "template", "data-template": template.name, onclick: () => {
      state.template = template.name;
      for (const other of part.templates.children) other.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (other).dataset.template === state.template));
      drawList();
    } }, kindSign(template.kind), el("span", null, el("b", null, template.title), el("span", { class: "meta muted" }, template.summary)))));
    drawFoot();
  }

  function drawFoot() {
    const template = templates.find((one) => one.name === state.template);
    const missing = fault(template);
    const start = button("Start the study", { kind: "primary", size: "lg", testid: "start-study", disabled: Boolean(missing), title: missing, onclick: () => begin(template) });
    fill(part.foot, el("p", { class: `meta ${missing ? "muted" : ""}`, "data-testid": "study-plan" }, missing || plan(template)), start, said);
  }

  /** What is still missing, or nothing. */
  function fault(template) {
    if (state.mode === "file") return file.files.length ? "" : "Choose a file.";
    if (!fitting().length) return "Nothing to judge yet.";
    if (!state.chosen.size) return state.mode === "draw" && template.kind === "images" ? "Pick two checkpoints." : "Pick what is judged.";
    if (state.mode === "there") return "";
    if (template.kind === "images" && state.chosen.size < 2) return "Pick one more checkpoint: two pictures are compared.";
    if (state.chosen.size > MOST_DRAWN) return `At most ${MOST_DRAWN} checkpoints draw for one study.`;
    if (!sets.length) return "There are no prompts yet; add some on Prompts.";
    if (!(Number.isInteger(Number(number.value)) && Number(number.value) >= 1 && Number(number.value) <= 10000)) return "Prompts: a whole number from 1 to 10,000.";
    return "";
  }

  /** What it will take, before anything is drawn. */
  function plan({ kind, config }) {
    if (state.mode === "file") return `Its rows make the items; each is judged by ${config.overlap}.`;
    if (state.mode === "there") {
      const chosen = sources.filter((source) => state.chosen.has(source.policy_id));
      return `${fmt.count(chosen.reduce((sum, source) => sum + fits(source, kind), 0), kind === "texts" ? "text" : "picture")} make its items; each is judged by ${config.overlap}.`;
    }
    const set = sets.find((one) => one.id === Number(prompts.value));
    const n = Math.min(Number(number.value), set.num_prompts);
    const k = state.chosen.size;
    const items = n * { images: (k * (k - 1)) / 2, single: k, best_worst: Math.floor((k * Math.ceil(4 / k)) / 4) }[kind];
    const wanted = items * config.overlap;
    return `${fmt.count(items, "item")} × ${fmt.count(config.overlap, "person", "people")} = ${fmt.count(wanted, "judgement")}, ≈ ${workText(wanted)} of work at ${SECONDS} s each.`;
  }

  async function begin(template) {
    const of = { draw: { policy_ids: [...state.chosen], prompt_set_id: Number(prompts.value), num_prompts: Number(number.value) }, there: { from_policies: [...state.chosen] }, file: { name: file.files[0]?.name.replace(/\.[^.]*$/, "") } };
    const body = { kind: template.kind, config: template.config, ...of[state.mode] };
    fill(said);
    try {
      const made = await api("studies", { body });
      live("The study is made.");
      if (state.mode === "file") await bring(made);
      else page.go(`/studies/${made.id}`);
    } catch (error) {
      fill(said, note("The study was not made", error.message));
    }
  }

  /** The file to the study that was made of it; its page says what came in. */
  async function bring(made) {
    const given = file.files[0];
    const address = `imports?${new URLSearchParams({ what: "pairs", filename: given.name, study_id: String(made.id) })}`;
    try {
      page.go(`/studies/${made.id}?import=${(await send(part.foot, address, given)).job_id}`);
    } catch (error) {
      drawFoot();
      fill(said, note("The study is made, its file did not come in", error.message, { actions: [el("a", { class: "btn sm", href: `/studies/${made.id}` }, "Open the study")] }));
    }
  }
}

/** A small drawing of what stands on Label. @param {string} kind */
function kindSign(kind) {
  const box = (x, y, w, h) => el("rect", { x, y, width: w, height: h });
  const line = (x, y, w) => el("path", { d: `M${x} ${y}h${w}`, class: "x" });
  const parts = { images: [box(1, 4, 18, 18), box(23, 4, 18, 18)], single: [box(12, 1, 18, 18), [0, 1, 2, 3, 4].map((i) => el("circle", { cx: 9 + 6 * i, cy: 24, r: i < 4 ? 1.6 : 1.1 }))],
    best_worst: [box(8, 1, 11, 11), box(22, 1, 11, 11), box(8, 15, 11, 11), box(22, 15, 11, 11)], texts: [[6, 11, 16].map((y) => line(1, y, y === 16 ? 10 : 17)), [6, 11, 16].map((y) => line(24, y, y === 11 ? 12 : 17))] };
  return el("svg", { class: "gly", width: 42, height: 27, viewBox: "0 0 42 27", role: "img", "aria-label": KINDS[kind] }, parts[kind]);
}
