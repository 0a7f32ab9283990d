/** The settings of a study: drawn from StudyConfig, each change told at once, kept when it is asked for. */
import { api, button, el, fill, fmt, live, note } from "/static/js/lib.js";
import { form } from "/static/js/form.js";

const MANY = 8;
/** Which settings mean something for which kind; those not named here mean something for all. */
const ONLY = { aspects: ["images", "texts"], ties: ["images", "texts"], both_bad: ["images", "texts"], regions: ["images", "single"], spans: ["texts"], checklist: ["single"], attention: ["images"] };
const GROUPS = [["What is asked", ["question", "guidelines", "aspects", "checklist", "reasons"]], ["How it may be answered", ["ties", "both_bad", "regions", "spans"]], ["How often", ["overlap", "overlap_most", "narrow", "attention"]]];

/** @param {{study: any, spec: any[], choosers: any[], people: any[], onchange: (config: any) => void, onstate: () => void, onsaved: (study: any) => void}} given */
export function settings({ study, spec, choosers, people, onchange, onstate, onsaved }) {
  let base = { name: study.name, config: study.config };
  const fits = (path) => !ONLY[path] || ONLY[path].includes(study.kind);
  const name = el("input", { class: "inp", id: "study-name", "data-testid": "study-name", maxlength: 200, value: study.name, autocomplete: "off", oninput: () => changed() });
  const forms = GROUPS.map(([title, paths]) => [title, form(spec, { values: study.config, only: (path) => paths.includes(path) && fits(path), onchange: () => changed() })]);
  const chosen = new Set(study.config.people);
  const chooser = el("select", { class: "sel", id: "study-chooser", "data-testid": "field-chooser", "aria-describedby": "chooser-help", onchange: () => { sayChooser(); changed(); } }, choosers.map((one) => el("option", { value: one.name, selected: one.name === study.config.chooser }, one.title)));
  const chooserHelp = el("span", { class: "help", id: "chooser-help" });
  const foot = el("div", { class: "start-foot" });
  const said = el("div", { role: "alert" });
  const body = el("div", { class: "scroll grow-y" }, el("div", { class: "sec" }, el("div", { class: "field" }, el("label", { for: "study-name" }, "Name"), name)),
    forms.filter(([, part]) => part.node.childElementCount).map(([title, part]) => el("section", { class: "sec" }, el("div", { class: "sec-h" }, el("h2", null, title)), part.node)),
    el("section", { class: "sec" }, el("div", { class: "field" }, el("label", { for: "study-chooser" }, "What comes next"), chooser, chooserHelp)), asked());
  const node = el("section", { class: "pane study-settings", "aria-label": "Settings" }, body, foot);
  sayChooser();
  drawFoot();
  return { node, isChanged: () => differences().length > 0 };

  function sayChooser() {
    const one = choosers.find((other) => other.name === chooser.value);
    chooserHelp.textContent = `${one?.summary ?? ""} A quarter is drawn by chance whatever is chosen.`;
  }

  /** All settings as they stand in the form. */
  function config() {
    return Object.assign({}, base.config, ...forms.map(([, part]) => part.read()), { chooser: chooser.value, people: [...chosen] });
  }

  function changed() {
    onchange(config());
    drawFoot();
    onstate();
  }

  /** What differs from what is kept, in words. */
  function differences() {
    const now = config();
    const found = name.value.trim() !== base.name ? ["name"] : [];
    for (const key of Object.keys(now)) {
      const [old, fresh] = [base.config[key], now[key]];
      if (JSON.stringify(old) === JSON.stringify(fresh)) continue;
      const word = spec.find((field) => field.path === key)?.label.toLowerCase() ?? key;
      found.push(typeof fresh === "number" && fresh !== undefined ? `${word} ${old} → ${fresh}` : word);
    }
    return found;
  }

  function drawFoot() {
    const what = differences();
    if (foot.dataset.what === what.join()) return;
    foot.dataset.what = what.join();
    fill(foot, el("p", { class: "meta muted", "data-testid": "study-changes" }, what.length ? `Changed: ${what.join(", ")}. Judgements that are there all stay.` : "Kept. Changes act from the next item on."),
      button("Keep the changes", { kind: what.length ? "primary" : "", size: "lg", disabled: !what.length, testid: "save-study", onclick: save }), said);
  }

  async function save() {
    fill(said);
    if (!forms.every(([, part]) => part.check())) return;
    try {
      const made = await api(`studies/${study.id}`, { method: "PATCH", body: { name: name.value, config: config() } });
      base = { name: made.name, config: made.config };
      // the server may have raised one setting to fit another
      for (const [, part] of forms) for (const key of Object.keys(part.read())) part.set(key, made.config[key]);
      name.value = made.name;
      onchange(config());
      drawFoot();
      onsaved(made);
      live("The changes are kept.");
    } catch (error) {
      if (!error.field || !forms.some(([, part]) => part.setError(error.field, error.message))) fill(said, note("The changes were not kept", error.message));
    }
  }

  /** Who is asked: everybody, or those marked. */
  function asked() {
    const list = el("div", { class: "choices", role: "group", "aria-label": "Who is asked" });
    const help = el("p", { class: "meta muted" });
    const say = () => { help.textContent = chosen.size ? `${fmt.count(chosen.size, "person", "people")} of ${fmt.int(people.length)}.` : "Nobody is marked: everybody who may label."; };
    const draw = (find = "") => fill(list, people.filter((one) => one.name.toLowerCase().includes(find)).map((one) => el("label", { class: "check" },
      el("input", { type: "checkbox", checked: chosen.has(one.id), "data-testid": `asks-${one.name}`, onchange: (e) => { if (e.target.checked) chosen.add(one.id); else chosen.delete(one.id); say(); changed(); } }),
      el("span", { class: "clip grow", translate: "no" }, one.name), el("span", { class: "meta faint" }, one.role))));
    draw();
    say();
    return el("section", { class: "sec", "data-testid": "study-people" }, el("div", { class: "sec-h" }, el("h2", null, "Who is asked")), help,
      people.length > MANY && el("input", { class: "inp", type: "search", placeholder: "Find a person", "aria-label": "Find a person", style: "margin:8px 0", oninput: (e) => draw(e.target.value.toLowerCase()) }), list);
  }
}
