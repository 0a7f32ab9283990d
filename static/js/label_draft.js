/** What was begun of one judgement, kept in this browser until it is sent: one draft for each person and study. */
import { who } from "/static/js/lib.js";

/** @typedef {{reasons: string[], comment: string, answers: Record<string, any>}} Draft */

/** @param {number | null} study null: the queue */
export function drafts(study) {
  const key = `palate.draft/${who().name}/${study ?? "queue"}`;
  return {
    /** @param {number | undefined} id of the item that stands there @returns {Draft} */
    read(id) {
      const kept = JSON.parse(localStorage.getItem(key) || "null");
      return kept && kept.id === id ? kept : { reasons: [], comment: "", answers: {} };
    },
    /** @param {number} id @param {Draft} draft */
    write(id, draft) {
      try { localStorage.setItem(key, JSON.stringify({ id, ...draft })); } catch { /* no room: the judgement itself still goes out */ }
    },
  };
}
