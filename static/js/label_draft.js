/**
 * What was begun of one judgement, kept in this browser until it is sent: one draft for each person and study. It also knows
 * which item stood there, so that a reload shows that one and not another of those that were handed out.
 */
import { who } from "/static/js/lib.js";

/** @typedef {{reasons: string[], comment: string, answers: Record<string, any>}} Draft */

/** @param {number | null} study null: the queue */
export function drafts(study) {
  const key = `palate.draft/${who().name}/${study ?? "queue"}`;
  const kept = () => JSON.parse(localStorage.getItem(key) || "null");
  const keep = (value) => { try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* no room: the judgement itself still goes out */ } };
  return {
    /** @returns {number | null} the item that stood there last */
    last: () => kept()?.id ?? null,
    /** @param {number | undefined} id of the item that stands there @returns {Draft} */
    read(id) {
      const found = kept();
      if (found && found.id === id) return found;
      const none = { reasons: [], comment: "", answers: {} };
      if (id !== undefined) keep({ id, ...none });
      return none;
    },
    /** @param {number} id @param {Draft} draft */
    write(id, draft) {
      keep({ id, ...draft });
    },
  };
}
