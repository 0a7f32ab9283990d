/** An address that no page has: say which, and the way on. */
import { el, empty, fill } from "/static/js/lib.js";

/** @param {HTMLElement} main */
export async function mount(main) {
  fill(main, empty({ title: "There is no page at this address", text: `Nothing is at ${location.pathname.slice(0, 200)}. It may have been mistyped.`,
    actions: [el("a", { class: "btn lg primary", href: "/" }, "Today")] }));
}
