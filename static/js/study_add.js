/** More items for a study: of what runs drew, step by step, of what was imported, all of it or the prompts of one set. */
import { api, button, dialog, el, fill, fmt, live, note } from "/static/js/lib.js";
import { fits } from "/static/js/study_parts.js";

const MANY = 8;
const MAKES = { images: "every two different pictures of a prompt make an item", texts: "every two texts of a prompt make an item", single: "every picture makes an item", best_worst: "four pictures of a prompt, drawn by chance, make an item" };

/** @param {number} id of the study @param {string} kind @returns {Promise<any>} the study with its new items, or nothing */
export async function pickItems(id, kind) {
  const loaded = await Promise.all([api("studies/sources"), api("prompt-sets")]).catch((error) => error);
  return dialog("Add items", (close) => {
    if (loaded instanceof Error) return [note("There is nothing to pick from", loaded.message)];
    const [sources, sets] = [loaded[0].filter((source) => fits(source, kind) > 0), loaded[1]];
    const chosen = new Set();
    const list = el("div", { class: "pick-list short", style: "margin-top:8px", role: "group", "aria-label": "Whose pictures" });
    const said = el("div", { role: "status" });
    const of = el("select", { class: "sel", id: "add-set", "data-testid": "add-set" }, el("option", { value: "" }, "All prompts"), sets.map((set) => el("option", { value: set.id }, `${set.name} · ${fmt.int(set.num_prompts)}`)));
    const find = el("input", { class: "inp", type: "search", placeholder: "Find a run, a step or an import", "aria-label": "Find a run, a step or an import", oninput: draw });
    const go = button("Add", { kind: "primary", testid: "add-go", disabled: true, onclick: add });
    draw();
    return [el("p", { class: "meta muted" }, `Of what is there: ${MAKES[kind]}. Items that the study has are not made again.`), sources.length > MANY && find, list,
      el("div", { class: "field", style: "margin-top:12px" }, el("label", { for: "add-set" }, "Prompts of"), of), said,
      el("p", { class: "meta muted", style: "margin-top:6px" }, "Pictures in a folder or an archive come in by Import on this page."), el("div", { class: "row dialog-f" }, el("span", { class: "grow" }), button("Cancel", { onclick: () => close() }), go)];

    function draw() {
      const shown = sources.filter((source) => source.name.toLowerCase().includes(find.value.toLowerCase()));
      fill(list, shown.map((source) => el("label", { class: "pick", "data-testid": "add-source", "data-policy": source.policy_id }, el("input", { type: "checkbox", checked: chosen.has(source.policy_id), onchange: (e) => {
        if (e.target.checked) chosen.add(source.policy_id); else chosen.delete(source.policy_id);
        go.disabled = !chosen.size;
      } }), el("span", { class: "clip", translate: "no" }, source.name), el("span", { class: "meta faint nowrap" }, source.run_id ? `run ${source.run_id}, step ${source.step} · ` : source.draws ? "" : "imported · ", fmt.count(fits(source, kind), kind === "texts" ? "text" : "picture")))),
      !shown.length && el("p", { class: "sec muted" }, sources.length ? "None is called that." : "Nothing was drawn or imported yet."));
    }

    async function add() {
      go.disabled = true;
      fill(said);
      try {
        const study = await api(`studies/${id}/items`, { body: { from_policies: [...chosen], prompt_set_id: of.value ? Number(of.value) : null } });
        live(`The study has ${fmt.count(study.items, "item")} now.`);
        close(study);
      } catch (error) { fill(said, note("Nothing was added", error.message)); go.disabled = false; }
    }
  });
}
