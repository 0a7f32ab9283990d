/**
 * A click counts even when what was pressed is drawn anew before it is let go. Pages redraw as soon as the studio reports something,
 * and a browser gives no click to a node that is gone; what stands in its place and says the same gets it then.
 */

const CLICKED = ["button", "a[href]", "summary", "svg.ch", "input[type=checkbox]", "input[type=radio]"].join();
/** So far the pointer may move in a click. */
const FAR = 8;

/** @type {{same: string, x: number, y: number} | null} what is pressed */
let pressed = null;

/** What can be clicked under the pointer. @param {MouseEvent} e */
const under = (e) => (e.target instanceof Element ? e.target.closest(CLICKED) : null);

/** What a node is and says: its successor is and says the same. @param {Element} node */
const same = (node) => [node.tagName, ...["data-testid", "data-id", "href", "aria-label", "title"].map((name) => node.getAttribute(name)), node.tagName === "svg" ? "" : node.textContent].join("\n");

const plain = (e) => !e.button && !e.ctrlKey && !e.metaKey && !e.shiftKey && !e.altKey;

/** @param {MouseEvent} e */
function down(e) {
  const node = under(e);
  pressed = node && plain(e) && !node.matches(":disabled") ? { same: same(node), x: e.clientX, y: e.clientY } : null;
}

/** @param {MouseEvent} e */
function up(e) {
  const [node, was] = [under(e), pressed];
  if (!node || !was || !plain(e) || same(node) !== was.same || Math.hypot(e.clientX - was.x, e.clientY - was.y) >= FAR) return;
  window.setTimeout(() => { // the browser's own click comes before this
    if (pressed !== was || !node.isConnected || node.matches(":disabled")) return;
    pressed = null;
    node.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, view: window, clientX: e.clientX, clientY: e.clientY }));
  });
}

/** Begin to listen. */
export function keepClicks() {
  document.addEventListener("mousedown", down, true);
  document.addEventListener("mouseup", up, true);
  document.addEventListener("click", () => { pressed = null; }, true);
}
