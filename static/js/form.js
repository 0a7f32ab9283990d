/**
 * Draws a form from the JSON of app/forms.py and reads it back. Every field is a real input with a label; what is wrong
 * stands in the place of its help, as soon as it is typed.
 *
 * @typedef {{path: string, label: string, help?: string, kind: "int"|"number"|"bool"|"text"|"choice"|"list"|"map"|"json", value?: any,
 *   default?: any, required?: boolean, optional?: boolean, unit?: string, choices?: any[], labels?: Record<string, string>, min?: number, max?: number,
 *   above?: number, below?: number, item?: string, min_items?: number, lines?: number}} Field
 *   with `lines` it is a text area of that height, and a list has one item a line
 * @typedef {{path: string, label: string, help?: string, fields: (Field | Group)[]}} Group
 * @typedef {{node: HTMLElement, read: () => any, check: () => boolean, setError: (path: string, text: string) => boolean,
 *   set: (path: string, value: any) => void}} Form
 */
import { el, fill, fmt, icon } from "/static/js/lib.js";

let serial = 0;

/** What a field's text means. @param {Field} field @param {string} text @returns {{value?: any, error?: string}} */
export function parse(field, text) {
  const trimmed = text.trim();
  if (!trimmed) {
    if (field.optional) return { value: null };
    if (field.kind === "text" && !field.required) return { value: "" };
    if (field.kind === "list" && !field.min_items) return { value: [] };
    if (field.kind === "map") return { value: {} };
    return { error: `Needs a value${field.default !== undefined && field.default !== null ? `; the default is ${show(field, field.default)}` : ""}.` };
  }
  if (field.kind === "int" || field.kind === "number") return number(field, trimmed, field.kind);
  if (field.kind === "list") return list(field, trimmed);
  if (field.kind === "map") return map(field, trimmed);
  if (field.kind === "json") {
    try { return { value: JSON.parse(trimmed) }; } catch { return { error: "This is not JSON: look for a missing quote or bracket." }; }
  }
  return { value: text };
}

/** @param {Field} field @param {string} text @param {string} kind */
function number(field, text, kind) {
  const value = Number(text.replace("−", "-"));
  if (!Number.isFinite(value)) return { error: `"${text}" is not a number.` };
  if (kind === "int" && !Number.isInteger(value)) return { error: `Whole numbers only: ${Math.round(value)}, not ${text}.` };
  if (field.min !== undefined && value < field.min) return { error: `At least ${field.min}.` };
  if (field.max !== undefined && value > field.max) return { error: `At most ${field.max}.` };
  if (field.above !== undefined && value <= field.above) return { error: `More than ${field.above}.` };
  if (field.below !== undefined && value >= field.below) return { error: `Less than ${field.below}.` };
  return { value };
}

const LONGEST_RANGE = 200;

/** Items with commas or spaces between them; of whole numbers also ranges, 0-3. @param {Field} field @param {string} text */
function list(field, text) {
  const between = field.lines ? /\s*\n\s*/ : field.item === "text" ? /\s*,\s*/ : /[\s,]+/;
  const parts = text.split(between).filter(Boolean);
  const values = [];
  for (const part of parts) {
    if (field.item === "text") { values.push(part); continue; }
    const [, from, to] = (field.item === "int" && part.match(/^(\d+)[-–](\d+)$/)) || [];
    if (from !== undefined && Number(to) >= Number(from) && Number(to) - Number(from) < LONGEST_RANGE) {
      for (let i = Number(from); i <= Number(to); i += 1) values.push(i);
      continue;
    }
    const { value, error } = number(unbounded(field), part, field.item || "number");
    if (error) return { error };
    values.push(value);
  }
  if (field.min_items && values.length < field.min_items) return { error: `At least ${field.min_items} of them, with commas between.` };
  return { value: values };
}

/** "name: value" with commas or lines between them. @param {Field} field @param {string} text */
function map(field, text) {
  /** @type {Record<string, any>} */
  const values = {};
  for (const part of text.split(/[,\n]+/).map((p) => p.trim()).filter(Boolean)) {
    const at = part.lastIndexOf(":");
    const key = part.slice(0, at).trim();
    if (at < 1 || !key) return { error: `"${part}" has no value: write name: value, with commas between.` };
    const { value, error } = field.item === "text" ? { value: part.slice(at + 1).trim(), error: undefined } : number(unbounded(field), part.slice(at + 1).trim(), field.item || "number");
    if (error) return { error: `${key}: ${error}` };
    values[key] = value;
  }
  return { value: values };
}

/** Limits are those of the whole, not of what is inside it. @param {Field} field */
const unbounded = (field) => ({ ...field, min: undefined, max: undefined, above: undefined, below: undefined });

/** A value as its field writes it. @param {Field} field @param {any} value */
export function show(field, value) {
  if (value === null || value === undefined) return "";
  if (field.kind === "list" && Array.isArray(value)) return value.join(field.lines ? "\n" : ", ");
  if (field.kind === "map") return Object.entries(value).map(([key, one]) => `${key}: ${one}`).join(", ");
  if (field.kind === "json") return JSON.stringify(value);
  if (typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3) return value.toExponential().replace("e-0", "e-");
  return String(value);
}

/** "between 1 and 64" for the help line, when the help does not say it. @param {Field} field */
function range(field) {
  if (field.min !== undefined && field.max !== undefined && Number.isInteger(field.min)) return `${fmt.int(field.min)} to ${fmt.int(field.max)}.`;
  if (field.above !== undefined && field.max !== undefined) return `Above ${field.above}, at most ${field.max}.`;
  return "";
}

/** What a choice is called; one without words is a name, the same in every language. @param {Field} field @param {any} choice */
export const choiceText = (field, choice) => (choice === "" ? "none" : field?.labels?.[choice] ?? String(choice));

/** @param {Field} field @param {any} choice */
export const isNamed = (field, choice) => choice !== "" && !field.labels?.[choice];

/** @param {Field} field @param {any} value @param {string} id */
function control(field, value, id) {
  const shared = { id, name: field.path, "data-testid": `field-${field.path}`, "aria-describedby": `${id}-help` };
  if (field.kind === "bool") return el("input", { ...shared, type: "checkbox", checked: Boolean(value) });
  if (field.kind === "choice") {
    const options = field.optional ? ["", ...(field.choices || [])] : field.choices || [];
    return el("select", { ...shared, class: "sel" }, options.map((choice) =>
      el("option", { value: JSON.stringify(choice), selected: choice === (value ?? ""), translate: isNamed(field, choice) ? "no" : null }, choiceText(field, choice))));
  }
  if (field.kind === "json") return el("textarea", { ...shared, class: "inp", rows: 2, spellcheck: "false" }, show(field, value));
  if (field.lines) return el("textarea", { ...shared, class: "inp", rows: field.lines }, show(field, value));
  const numeric = field.kind === "int" || field.kind === "number";
  return el("input", { ...shared, class: "inp", type: "text", value: show(field, value), autocomplete: "off", spellcheck: "false",
    inputmode: numeric ? "decimal" : null });
}

/** Draw the form. `values` wins over the spec's own values; `onchange(path, value)` is told of every valid change.
 * @param {(Field | Group)[]} spec
 * @param {{values?: any, onchange?: (path: string, value: any) => void, only?: (path: string) => boolean}} [options]
 * @returns {Form} */
export function form(spec, { values = {}, onchange, only = () => true } = {}) {
  /** @type {Map<string, {field: Field, input: any, help: HTMLElement}>} */
  const parts = new Map();
  const valueAt = (path) => path.split(".").reduce((at, key) => (at === null || at === undefined ? undefined : at[key]), values);

  const readOne = ({ field, input }) => {
    if (field.kind === "bool") return { value: input.checked };
    if (field.kind === "choice") { const value = JSON.parse(input.value); return { value: value === "" && field.optional ? null : value }; }
    return parse(field, input.value);
  };
  const say = (part, error) => {
    const { field, input, help } = part;
    if (error) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
    help.className = error ? "err" : "help";
    fill(help, error ? [icon("fail"), el("span", null, error)] : [field.help || "", field.help && range(field) ? " " : "", range(field)]);
  };
  const changed = (part) => {
    const { value, error } = readOne(part);
    say(part, error);
    if (!error) onchange?.(part.field.path, value);
  };
  const drawField = (field) => {
    const id = `f${++serial}`;
    const value = valueAt(field.path) === undefined ? field.value : valueAt(field.path);
    const input = control(field, value, id);
    const help = el("span", { id: `${id}-help`, class: "help" });
    const part = { field, input, help };
    parts.set(field.path, part);
    input.addEventListener(field.kind === "bool" || field.kind === "choice" ? "change" : "input", () => changed(part));
    say(part, undefined);
    if (field.kind === "bool") return el("div", { class: "field" }, el("label", { class: "check", for: id }, input, field.label), help);
    return el("div", { class: "field" }, el("label", { for: id }, field.label),
      field.unit ? el("span", { class: "with-unit" }, input, el("span", { class: "unit" }, field.unit)) : input, help);
  };
  const draw = (items) => items.filter((item) => only(item.path)).map((item) => ("fields" in item
    ? el("fieldset", { class: "group" }, el("legend", null, item.label), item.help && el("p", { class: "meta muted" }, item.help), draw(item.fields))
    : drawField(item)));

  const node = el("div", { class: "fields" }, draw(spec));
  return {
    node,
    read() {
      const result = {};
      for (const part of parts.values()) {
        const keys = part.field.path.split(".");
        const last = keys.pop();
        const at = keys.reduce((inside, key) => (inside[key] ??= {}), result);
        at[last] = readOne(part).value;
      }
      return result;
    },
    check() {
      let first = null;
      for (const part of parts.values()) {
        const { error } = readOne(part);
        say(part, error);
        if (error && !first) first = part.input;
      }
      first?.focus();
      return !first;
    },
    setError(path, text) {
      const part = parts.get(path) || [...parts.values()].find((other) => path.startsWith(`${other.field.path}.`));
      if (!part) return false;
      say(part, text);
      part.input.focus();
      return true;
    },
    set(path, value) {
      const part = parts.get(path);
      if (!part) return;
      if (part.field.kind === "bool") part.input.checked = Boolean(value);
      else part.input.value = part.field.kind === "choice" ? JSON.stringify(value ?? "") : show(part.field, value);
      say(part, undefined);
    },
  };
}
