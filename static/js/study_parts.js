/** What Studies and one study share: names of kinds, how far a study is, how a checkpoint is written. */
import { el, fmt, icon } from "/static/js/lib.js";
import { meter } from "/static/js/views.js";

export const KINDS = { images: "two pictures", texts: "two texts", single: "one picture", best_worst: "four pictures" };
export const SECONDS = 6;
/** One row of a file of items, as it must be for a kind. */
export const ROWS = { images: '{"prompt": "a red fox", "image_a": "1.png", "image_b": "2.png"}', texts: '{"prompt": "Describe it", "text_a": "A fox.", "text_b": "A red fox.", "subject": "1.png"}', single: '{"prompt": "a red fox", "image": "1.png"}', best_worst: '{"prompt": "a red fox", "images": ["1.png", "2.png", "3.png", "4.png"]}' };

/** Samples of a source that can stand in a study of a kind. @param {any} source of /studies/sources @param {string} kind */
export const fits = (source, kind) => (kind === "texts" ? source.texts : source.samples - source.texts);

/** Sign, word and colour. @param {any} study */
export function studyPill(study) {
  const [sign, tone, word] = {
    open: ["dot", "ok", "open"], closed: ["lock", "muted", "closed"], failed: ["fail", "bad", "not drawn"],
    drawing: ["clock", "muted", `drawing ${Math.floor(100 * (study.progress || 0))} %`],
  }[study.status] || ["info", "muted", study.status];
  return el("span", { class: "pill", "data-testid": "study-status", "data-status": study.status, title: study.error || null },
    sign === "dot" ? el("span", { class: "dot", style: `background:var(--${tone})` }) : icon(sign, tone), word);
}

/** Verdicts given of those wanted. @param {any} study */
export const progress = (study) => meter(study.labels / Math.max(1, study.wanted), `${fmt.int(study.labels)} of ${fmt.int(study.wanted)}`, study.status === "open" && study.labels > 0);

/** By how many people each item is judged. @param {{overlap: number, overlap_most?: number}} config */
export const overlapText = ({ overlap, overlap_most: most = overlap }) => (most > overlap ? `${overlap} to ${most}` : String(overlap));

/** "step 60" of a run, or what else it is. @param {any} source of /studies/sources */
export const sourceText = (source) => (source.run_id ? `step ${source.step ?? "–"}` : source.draws ? "untuned" : "imported");

/** How long judgements take, as people say it. @param {number} judgements */
export const workText = (judgements) => fmt.span(judgements * SECONDS);
