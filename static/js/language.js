/**
 * Another language than English: pages write English, this module puts what stands in the catalogue in its place.
 *
 * A catalogue maps an English text to its translation; `{0}`, `{1}` stand for what a page filled in. A text is looked up as it
 * stands, then by the patterns that share a word with it, most literal letters first; what a pattern caught is translated in its
 * turn unless quotation marks stand around it or `kept` marked it (a name). Failing that it is looked up with its
 * first letter small or large, taken apart into sentences or at signs that stand between parts, and without its full stop. One observer sees every text that comes, before it is painted. It leaves alone what is marked translate="no", code, keys
 * and what people type. In English this module is not even loaded. backend/languages.py does the same for texts that leave the
 * studio by other ways than a page; tests hold the two together.
 */

const HOLE = /\{(\d+)\}/g;
const STRONG = 4;
const PROSE = /[A-Za-z]{2,},? [a-z]{2,}/;
const LETTERS = /[A-Za-z]{2}/;
const NUMBERED = /^[A-Za-z]\S*\d\S*$/;
const FIGURE = /^[\d–−+±.<>≤≥≈~]/;
const QUOTES = "'\"“‘`«";
const KEPT = '[translate="no"],code,pre,kbd,textarea,script,style,[contenteditable]';
const NAMED = ["title", "aria-label", "placeholder", "alt", "aria-valuetext", "aria-description", "aria-roledescription", "label"];
const HAN = /[\u3400-\u9fff]/;
const LATIN = /[A-Za-z\d%.+−±≈≤≥<>~σηψα]/;
const SENTENCE = /(?<=[.!?]) (?=[A-Z\d"'“])/;
/** Before a name that was filled in (`kept` of lib.js); it is never shown. */
const NAME = "\u2060";
const REMEMBERED = 4000;

/** @typedef {{rank: number, key: string, shown: string, strength: number, test: RegExp | null}} Pattern */

/** Words of a pattern that stand free of its holes. @param {string} key */
function words(key) {
  const found = [];
  for (const match of key.replace(HOLE, "\u0000").matchAll(/[A-Za-z]+/g)) {
    const text = match.input;
    if (text[match.index - 1] !== "\u0000" && text[match.index + match[0].length] !== "\u0000") found.push(match[0]);
  }
  return found;
}

/** A pattern as an expression. @param {string} key */
function compiled(key) {
  const parts = key.split(/\{\d+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("(.+?)")}$`, "s");
}

/** How many words a pattern has of its own. @param {string} key */
const strength = (key) => (key.replace(HOLE, " ").match(/[A-Za-z]+/g) || []).length;

/** Chinese and Latin letters or figures stand apart. @param {string} one @param {string} other */
const gap = (one, other) => ((HAN.test(one) && LATIN.test(other)) || (LATIN.test(one) && HAN.test(other)) ? " " : "");

/** @param {Record<string, string>} catalogue @returns {(text: string) => string} */
export function translator(catalogue) {
  const exact = new Map(Object.entries(catalogue));
  /** @type {Map<string, Pattern[]>} */
  const byWord = new Map();
  /** @type {Pattern[]} */
  const wordless = [];
  /** @type {Map<string, string>} */
  const known = new Map();
  index();

  function index() {
    const keys = Object.keys(catalogue).filter((key) => /\{\d+\}/.test(key));
    const letters = (key) => key.replace(HOLE, "").length;
    keys.sort((one, other) => letters(other) - letters(one) || (one < other ? -1 : 1));
    const often = new Map();
    for (const key of keys) for (const word of new Set(words(key))) often.set(word, (often.get(word) || 0) + 1);
    keys.forEach((key, rank) => {
      const pattern = { rank, key, shown: catalogue[key], strength: strength(key), test: null };
      const rarest = words(key).reduce((best, word) => (best && often.get(best) <= often.get(word) ? best : word), "");
      if (!rarest) wordless.push(pattern);
      else if (byWord.has(rarest)) byWord.get(rarest)?.push(pattern); else byWord.set(rarest, [pattern]);
    });
  }

  /** @param {string} text @returns {string | null} */
  function byPattern(text) {
    const near = [...wordless];
    for (const word of new Set(text.match(/[A-Za-z]+/g))) near.push(...(byWord.get(word) || []));
    near.sort((one, other) => one.rank - other.rank);
    for (const pattern of near) {
      pattern.test ??= compiled(pattern.key);
      const caught = pattern.test.exec(text);
      if (caught && isLikely(pattern, caught.slice(1))) return filled(pattern, caught);
    }
    return null;
  }

  /** Whether what a pattern caught can be what it stands for. Nothing goes across " · " or "; ". In a pattern of few words English prose says that
   * it fits by chance, but for the end of a text that the pattern begins itself, where a name may stand. A pattern of a single word that
   * begins with a hole takes figures, numbered names and texts of the studio alone: "{0} runs" is no "She runs".
   * @param {Pattern} pattern @param {string[]} caught */
  function isLikely({ key, strength: own }, caught) {
    if (caught.some((part) => /; | · /.test(part))) return false;
    if (own >= STRONG) return true;
    const isOpen = key.startsWith("{");
    const before = key.split(/\{\d+\}/).map((part) => part.at(-1) || " ");
    const last = !isOpen && key.endsWith("}") ? caught.length - 1 : caught.length;
    return caught.every((part, i) => {
      if (QUOTES.includes(before[i]) || part.startsWith(NAME)) return true;
      const told = say(part);
      if (SENTENCE.test(part)) return false;
      if (i === last) return own > 1 || !/[a-z] \{\d+\}$/i.test(key) || !/^[a-z]+ /.test(part) || !LETTERS.test(told);
      if (isOpen && own < 2) return !LETTERS.test(told) || NUMBERED.test(part) || (FIGURE.test(part) && !/[a-z]{3}/.test(told));
      return !PROSE.test(told);
    });
  }

  /** @param {Pattern} pattern @param {RegExpExecArray} caught */
  function filled({ key, shown }, caught) {
    /** @type {Record<string, string>} */
    const values = {};
    let i = 0;
    for (const hole of key.matchAll(HOLE)) {
      i += 1;
      const isName = QUOTES.includes(key[hole.index - 1] || " ") || caught[i].startsWith(NAME);
      values[hole[1]] = isName ? caught[i].replace(NAME, "") : say(caught[i]);
    }
    return shown.replace(HOLE, (hole, name, at) => {
      const value = values[name] ?? "";
      return `${gap(shown[at - 1] || "", value[0] || "")}${value}${gap(value.at(-1) || "", shown[at + hole.length] || "")}`;
    });
  }

  /** @param {string} text @param {string | RegExp} mark @param {string} between @returns {string | null} */
  function byParts(text, mark, between) {
    const parts = text.split(mark);
    if (parts.length < 2) return null;
    const told = parts.map(say);
    if (told.every((part, i) => part === parts[i])) return null;
    return told.join(between).replace(/([。！？；：，]) /g, "$1");
  }

  /** Found with its first letter small instead of large, or the other way about. @param {string} text @returns {string | null} */
  function turned(text) {
    const first = text[0] === text[0].toLowerCase() ? text[0].toUpperCase() : text[0].toLowerCase();
    const other = first + text.slice(1);
    return other === text ? null : exact.get(other) ?? byPattern(other);
  }

  /** "3 running, 1 failed": a list whose every part is known. @param {string} text @returns {string | null} */
  function byList(text) {
    const parts = text.split(", ");
    if (parts.length < 2) return null;
    const told = parts.map(say);
    return told.every((part, i) => part !== parts[i] || !/[A-Za-z]/.test(part)) ? told.join("，") : null;
  }

  /** @param {string} text @returns {string} */
  function found(text) {
    const whole = exact.get(text);
    if (whole !== undefined) return whole;
    const body = text.trim();
    if (body !== text) {
      const told = say(body);
      return told === body ? text : text.replace(body, () => told);
    }
    const ended = text.endsWith(".") && !text.endsWith("..") ? text.slice(0, -1) : "";
    return byPattern(text) ?? turned(text) ?? byParts(text, " · ", " · ") ?? byParts(text, SENTENCE, " ") ?? byParts(text, "; ", "；") ??
      byParts(text, " × ", " × ") ?? byList(text) ?? byParts(text, ": ", "：") ??
      (ended && say(ended) !== ended ? `${say(ended)}。` : text);
  }

  /** @param {string} text @returns {string} */
  function say(text) {
    if (!/[A-Za-z]/.test(text)) return text;
    let told = known.get(text);
    if (told === undefined) {
      told = found(text);
      if (known.size >= REMEMBERED) known.clear();
      known.set(text, told);
    }
    return told;
  }

  return say;
}

/** Translate what is shown, and all that will be. @param {Record<string, string>} catalogue */
export function begin(catalogue) {
  const say = translator(catalogue);
  globalThis.palateSay = say;

  /** @param {Text} node */
  function word(node) {
    const told = say(node.data).replaceAll(NAME, "");
    if (told !== node.data) node.data = told;
  }

  /** @param {Element} node @param {string} name */
  function named(node, name) {
    const text = node.getAttribute(name);
    const told = text && say(text).replaceAll(NAME, "");
    if (told && told !== text) node.setAttribute(name, told);
  }

  /** @param {Node} root */
  function all(root) {
    if (root.nodeType === Node.TEXT_NODE) return word(/** @type {Text} */ (root));
    if (!(root instanceof Element)) return;
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) =>
      (node instanceof Element && node.matches(KEPT) && node.tagName !== "TEXTAREA" ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT));
    for (let node = root.matches(KEPT) && root.tagName !== "TEXTAREA" ? null : walk.currentNode; node; node = walk.nextNode()) {
      if (node.nodeType === Node.TEXT_NODE) { if (node.parentElement?.tagName !== "TEXTAREA") word(/** @type {Text} */ (node)); }
      else for (const name of NAMED) if (/** @type {Element} */ (node).hasAttribute(name)) named(/** @type {Element} */ (node), name);
    }
  }

  const observer = new MutationObserver((records) => {
    for (const { type, target, addedNodes, attributeName } of records) {
      const holder = target instanceof Element ? target : target.parentElement;
      if (!holder?.isConnected) continue;
      if (type === "attributes") { if (!holder.closest('[translate="no"]')) named(holder, attributeName || ""); continue; }
      if (holder.closest(KEPT)) continue;
      if (type === "characterData") word(/** @type {Text} */ (target));
      else for (const node of addedNodes) if (node.parentNode === target) all(node);
    }
    observer.takeRecords(); // what was written just now needs no second look
  });
  all(document.documentElement);
  observer.observe(document.documentElement, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: NAMED });
}
