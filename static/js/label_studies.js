/** The studies that ask whoever is here, with how far each is: a strip above the queue, or a list where nothing else waits. */
import { api, el, fmt, icon } from "/static/js/lib.js";
import { meter } from "/static/js/views.js";

const KINDS = { images: "two pictures", texts: "two texts", single: "one picture", best_worst: "best and worst of four" };

/** @typedef {{id: number, shown: string, kind: string, status: string, question: string, items: number, settled: number, labels: number}} Study */

/** Those that can be judged now. @returns {Promise<Study[]>} */
export async function openStudies() {
  const all = await api("studies").catch(() => []);
  return all.filter((study) => study.status === "open" && study.items > 0);
}

const left = (study) => Math.max(0, study.items - study.settled);

/** One line above the queue. @param {Study[]} studies */
export function strip(studies) {
  return el("nav", { class: "queues", "aria-label": "What to judge", "data-testid": "studies" },
    el("a", { href: "/label", "aria-current": "page" }, "Queue"),
    studies.map((study) => el("a", { href: `/label/${study.id}`, title: `${study.question} · ${KINDS[study.kind]}` }, el("span", { translate: "no" }, study.shown),
      el("span", { class: "faint tn" }, left(study) ? `${fmt.int(study.settled)} of ${fmt.int(study.items)}` : icon("check")))));
}

/** All of them, when nothing is in the queue. @param {Study[]} studies */
export function list(studies) {
  const first = studies.find(left) || studies[0];
  return el("div", { class: "sec asked", "data-testid": "studies" },
    el("div", { class: "sec-h" }, el("h2", null, "Studies that ask you")),
    el("table", { class: "tbl" }, el("thead", null, el("tr", null, ["study", "question", "what stands there", "judged", ""].map((word) => el("th", null, word)))),
      el("tbody", null, studies.map((study) => el("tr", null, el("td", { class: "strong", translate: "no" }, study.shown), el("td", { class: "wrap muted" }, study.question), el("td", { class: "muted" }, KINDS[study.kind]),
        el("td", null, meter(study.settled / study.items, `${fmt.int(study.settled)} of ${fmt.int(study.items)}`)),
        el("td", { class: "num" }, el("a", { class: `btn ${study === first ? "primary" : ""}`, href: `/label/${study.id}`, "aria-label": `Judge ${study.shown}` }, "Judge")))))));
}
