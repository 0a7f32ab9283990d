/** The address of a form that is being filled in: what was changed stands in it, so a link or a reload brings it back. */

import { setQuery } from "/static/js/lib.js";
import { parse, show } from "/static/js/form.js";

/** Words of the address that are no settings. */
const OWN = ["recipe", "clone", "reward", "project", "name"];
/** Settings that have no field of their own form: written as JSON. */
const WHOLE = ["rewards", "watch", "policy", "prompt_set", "heldout_set"];
/** A longer address than this is not kept by every browser and server. */
const LONGEST = 3000;

/** What an address says of the settings, as changes by path. @param {URLSearchParams} query @param {Map<string, any>} fields path → field
 * @returns {{changes: Record<string, any>, wrong: string[]}} wrong: what could not be read */
export function changesOf(query, fields) {
  const changes = {};
  const wrong = [];
  for (const [key, text] of query) {
    if (OWN.includes(key)) continue;
    const field = fields.get(key);
    if (WHOLE.includes(key)) {
      try { changes[key] = key.endsWith("_set") ? text : JSON.parse(text); } catch { wrong.push(key); }
    } else if (field) {
      const { value, error } = read(field, text);
      if (error) wrong.push(key); else changes[key] = value;
    } else wrong.push(key);
  }
  return { changes, wrong };
}

function read(field, text) {
  if (field.kind === "bool") return ["true", "false"].includes(text) ? { value: text === "true" } : { error: "true or false" };
  if (field.kind === "choice") {
    const value = field.optional && !text.trim() ? null : (field.choices ?? []).find((choice) => String(choice) === text);
    return value === undefined ? { error: "no such choice" } : { value };
  }
  return parse(field, text);
}

/** Write what was changed into the address. @param {[string, any, any][]} diff @param {any} config @param {Map<string, any>} fields */
export function writeAddress(diff, config, fields) {
  const now = {};
  for (const [path, , value] of diff) {
    const whole = WHOLE.find((key) => path === key || path.startsWith(`${key}.`));
    const field = [path, path.slice(0, path.lastIndexOf("."))].map((key) => fields.get(key)).find(Boolean);
    if (whole) now[whole] = whole.endsWith("_set") ? value : JSON.stringify(config[whole] ?? []);
    else if (field) now[field.path] = field.kind === "bool" || field.kind === "choice" ? String(value ?? "") || " " : show(field, at(config, field.path)) || " ";
  }
  if (JSON.stringify(now).length > LONGEST) return;
  const gone = [...new URLSearchParams(location.search).keys()].filter((key) => !OWN.includes(key) && !(key in now));
  setQuery({ ...Object.fromEntries(gone.map((key) => [key, null])), ...now });
}

/** Take all settings out of the address: another recipe begins. */
export function clearAddress() {
  setQuery(Object.fromEntries([...new URLSearchParams(location.search).keys()].filter((key) => !OWN.includes(key)).map((key) => [key, null])));
}

/** The value at a dotted path. @param {any} data @param {string} path */
export const at = (data, path) => path.split(".").reduce((inside, key) => inside?.[key], data);
