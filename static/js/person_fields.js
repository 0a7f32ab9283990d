/** What the pages about people share: a labelled input, a secret that is shown once, the words for a role. */
import { button, dialog, el, live, toast } from "/static/js/lib.js";

let serial = 0;

/** role → what it may, in a few words */
export const ROLES = { annotator: "judges", researcher: "studies and trains", admin: "everything" };

/** A labelled input. @param {string} label
 * @param {{type?: string, autocomplete?: string, testid?: string, help?: string, value?: string, placeholder?: string}} [options]
 * @returns {{node: HTMLElement, input: HTMLInputElement, value: () => string}} */
export function field(label, { type = "text", autocomplete = "off", testid, help, value = "", placeholder } = {}) {
  const id = `person-${serial += 1}`;
  const input = el("input", { id, class: "inp", type, autocomplete, value, placeholder, "data-testid": testid, "aria-describedby": help ? `${id}-help` : null, maxlength: 500 });
  const node = el("div", { class: "field" }, el("label", { for: id }, label), input, help && el("p", { class: "help", id: `${id}-help` }, help));
  return { node, input, value: () => input.value };
}

/** Show a secret that nobody will be shown again, to be copied. @param {string} title @param {string} text @param {string} secret */
export function showOnce(title, text, secret) {
  return dialog(title, (close) => {
    const input = el("input", { class: "inp mono", readonly: true, value: secret, "aria-label": title, "data-testid": "secret", onfocus: () => input.select() });
    const copy = button("Copy", { icon: "copy", kind: "primary", testid: "copy", onclick: async () => {
      input.select();
      try { await navigator.clipboard.writeText(secret); } catch { document.execCommand("copy"); }
      live("Copied.");
      copy.replaceChildren("Copied");
    } });
    return [el("p", { class: "muted" }, text), el("div", { class: "row", style: "margin-top:12px" }, el("span", { class: "grow" }, input), copy),
      el("div", { class: "row dialog-f" }, el("span", { class: "grow" }), button("Done", { onclick: () => close() }))];
  }, { wide: true });
}

/** Do what a button asks and say what was refused. @param {() => Promise<any>} task @param {() => any} [after] */
export async function tried(task, after) {
  try {
    const answer = await task();
    await after?.();
    return answer;
  } catch (error) {
    toast(error.message, { sign: "fail", tone: "bad", seconds: 12 });
    return null;
  }
}
