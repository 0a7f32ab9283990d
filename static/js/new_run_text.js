/** The whole settings as text: TOML, YAML or JSON, copied, saved or read back; what the studio does not know is refused. */

import { api, button, dialog, el, fill } from "/static/js/lib.js";

const FORMATS = [["json", "JSON"], ["toml", "TOML"], ["yaml", "YAML"]];

/** @param {any} config @param {string} name of the run, for the file @param {(config: any) => Promise<void>} onUse */
export function textDialog(config, name, onUse) {
  return dialog("Settings as text", (close) => {
    const area = el("textarea", { class: "inp mono json-all", "aria-label": "Settings as text", "data-testid": "json-text", spellcheck: "false" });
    const said = el("p", { class: "meta bad", role: "alert" });
    let form = localStorage.getItem("palate.run.format") || "json";
    const seg = el("div", { class: "seg", role: "group", "aria-label": "Format" });
    const show = async (next) => {
      form = next;
      localStorage.setItem("palate.run.format", form);
      fill(seg, FORMATS.map(([key, word]) => el("button", { type: "button", "aria-pressed": String(key === form), "data-testid": `as-${key}`, onclick: () => show(key) }, word)));
      try {
        area.value = (await api("runs/text", { body: { config, format: form } })).text;
        fill(said);
      } catch (error) {
        area.value = JSON.stringify(config, null, 2); // a setting cannot be: it is shown as it stands
        fill(said, `${error.field ? `${error.field}: ` : ""}${error.message}`);
      }
    };
    const take = async () => {
      try {
        const read = await api("runs/text/read", { body: { text: area.value } });
        await api("runs/preflight", { body: { config: read.config } });
        close();
        await onUse(read.config);
      } catch (error) {
        fill(said, `${error.field && error.field !== "text" ? `${error.field}: ` : ""}${error.message}`);
      }
    };
    const save = () => {
      const link = el("a", { href: URL.createObjectURL(new Blob([area.value], { type: "text/plain" })), download: `${name.replace(/[^\w.-]+/g, "-") || "run"}.${form}` });
      link.click();
      URL.revokeObjectURL(link.href);
    };
    const file = el("input", { type: "file", class: "file", accept: ".toml,.yaml,.yml,.json", "aria-label": "Read settings from a file", "data-testid": "config-file", onchange: async () => { if (file.files[0]) area.value = await file.files[0].text(); } });
    show(form);
    return [el("div", { class: "row", style: "margin-bottom:8px" }, seg, el("span", { class: "grow" }), file), area, said, el("div", { class: "row dialog-f" },
      button("Copy", { size: "sm", icon: "copy", onclick: () => navigator.clipboard.writeText(area.value) }), button("Save", { size: "sm", icon: "save", testid: "config-save", onclick: save }),
      el("span", { class: "grow" }), button("Use these settings", { kind: "primary", testid: "json-use", onclick: take }))];
  }, { wide: true });
}
