/** A page that is not for whoever asks: say for whom it is, and the way on. */
import { el, empty, fill, who } from "/static/js/lib.js";

/** @param {HTMLElement} main */
export async function mount(main) {
  const { name, role } = who();
  fill(main, empty({ title: "This page is not for you", text: `You are signed in as ${name}, ${role}. What ${location.pathname.slice(0, 200)} shows is for other roles; an admin can change yours.`,
    actions: [el("a", { class: "btn lg primary", href: "/" }, "Today")] }));
}
