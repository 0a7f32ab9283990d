/** In which language the pages are shown: a choice of this browser, kept in a cookie so that a page comes in it from the start. */
import { el } from "/static/js/lib.js";

/** Each calls itself what its readers call it. @type {[string, string][]} */
export const LANGUAGES = [["en", "English"], ["zh-CN", "简体中文"]];

const YEAR_S = 31536000;

/** @returns {string} the tag of the language of this page */
export const language = () => document.documentElement.lang || "en";

/** Read on in another language. @param {string} tag */
export function choose(tag) {
  document.cookie = `palate_language=${tag};path=/;max-age=${YEAR_S};samesite=lax`;
  location.reload();
}

/** A button for each language, the present one pressed. */
export function languageButtons() {
  return el("div", { class: "seg", role: "group", "aria-label": "Language", "data-testid": "languages" }, LANGUAGES.map(([tag, name]) =>
    el("button", { type: "button", translate: "no", lang: tag, "aria-pressed": String(tag === language()), "data-testid": `language-${tag}`, onclick: () => choose(tag) }, name)));
}
