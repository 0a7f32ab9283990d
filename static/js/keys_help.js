/**
 * The dialog behind `?`: every key that acts on this page, each of which can be changed, and the switch that turns single keys
 * off. A key that another action has is only taken from it when that is said.
 */
import { button, dialog, el, fill, kbd, keys } from "/static/js/lib.js";

export function keysHelp() {
  if (document.querySelector("dialog[open]")) return;
  dialog("Keyboard shortcuts", () => {
    const host = el("div", { class: "keys" });
    const draw = () => fill(host,
      el("div", { class: "row" }, el("label", { class: "row meta switch-row" },
        el("input", { type: "checkbox", checked: keys.enabled(), "data-testid": "keys-on", onchange: (e) => keys.setEnabled(e.target.checked) }),
        "Single keys act (off: only buttons do)"), el("span", { class: "grow" }),
      button("All as they came", { kind: "quiet", size: "sm", testid: "keys-reset", onclick: () => { keys.reset(); draw(); } })),
      keys.bound().map((scope) => el("section", { "aria-label": scope.name }, el("h3", null, scope.name), el("table", { class: "tbl" },
        el("tbody", null, scope.bindings.map((binding) => row(binding, draw)))))));
    draw();
    return host;
  }, { wide: true });
}

/** @param {import("/static/js/keys.js").Binding} binding @param {() => void} redraw */
function row(binding, redraw) {
  const now = keys.keysOf(binding);
  const cell = el("td", { class: "wrap" }, now.length ? now.map((key) => [kbd(key), " "]) : el("span", { class: "faint" }, "no key"));
  return el("tr", { "data-testid": `key-${binding.id}` }, el("td", { class: "wrap" }, binding.label), cell, el("td", { class: "num" },
    now !== binding.keys && button("Default", { kind: "quiet", size: "sm", title: `The key it came with for ${binding.label}`, onclick: () => { keys.remap(binding.id, null); redraw(); } }),
    button("Change", { kind: "quiet", size: "sm", title: `Change the key for ${binding.label}`, onclick: () => capture(binding, cell, redraw) })));
}

/** Ask for the next key pressed and give it to the binding. */
function capture(binding, cell, redraw) {
  fill(cell, el("span", { class: "meta muted", role: "status" }, "press a key, Esc keeps it"));
  const listen = (e) => {
    if (["Shift", "Control", "Alt", "Meta", "Tab"].includes(e.key)) return;
    e.preventDefault();
    e.stopPropagation();
    document.removeEventListener("keydown", listen, true);
    const key = keys.pressed(e);
    const owner = e.key === "Escape" ? undefined : keys.taken(binding, key);
    if (e.key === "Escape") redraw();
    else if (!owner) { keys.remap(binding.id, [key]); redraw(); }
    else if (owner === "chord") clash(cell, redraw, [kbd(key), " begins other keys"]);
    else clash(cell, redraw, [kbd(key), ` is ${owner.label}`], () => {
      keys.remap(owner.id, keys.keysOf(owner).filter((other) => other !== key));
      keys.remap(binding.id, [key]);
    });
  };
  document.addEventListener("keydown", listen, true);
}

/** Say who has the key. @param {HTMLElement} cell @param {() => void} redraw @param {any[]} words @param {() => void} [take] */
function clash(cell, redraw, words, take) {
  const leave = button("Leave it", { size: "sm", onclick: redraw });
  fill(cell, el("span", { class: "wrapx meta", role: "status" }, el("span", null, words),
    take && button("Take it", { size: "sm", onclick: () => { take(); redraw(); } }), leave));
  leave.focus();
}
