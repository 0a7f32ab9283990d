/** Two texts about a prompt, and a picture between them if they are about one. Their answers are those of two pictures. */
import { el } from "/static/js/lib.js";
import { sides } from "/static/js/label_pair.js";
import { Spans } from "/static/js/label_spans.js";
import { fit } from "/static/js/views.js";

/** @param {import("/static/js/label_pair.js").Asked} asked @param {import("/static/js/label_pair.js").Send} send
 * @returns {import("/static/js/label_pair.js").Kind} */
export function texts(asked, send) {
  const panel = (side) => el("div", { class: "text", tabindex: "0", dir: "auto", role: "group", "aria-label": `${side} text`, "data-testid": `text-${side}` });
  const [left, right] = [panel("left"), panel("right")];
  const subject = el("div", { class: "subject", hidden: true });
  const node = el("div", { class: "texts stage" }, left, subject, right);
  const surface = new Spans({ left, right }, asked.spans);
  /** The picture as large as its room lets it, as on the stage. */
  const place = () => {
    const picture = subject.querySelector("img");
    if (!picture || !subject.clientWidth) return;
    const size = fit(picture.naturalWidth, picture.naturalHeight, subject.clientWidth, subject.clientHeight);
    picture.classList.toggle("px", size.small);
    picture.style.width = `${size.width}px`;
    picture.style.height = `${size.height}px`;
  };
  const resize = new ResizeObserver(place);
  resize.observe(subject);
  return {
    ...sides(asked, send), node, surface,
    places: (pair) => (pair.subject ? [pair.subject] : []),
    show(ready) {
      subject.hidden = !ready?.pictures.length;
      node.classList.toggle("about", !subject.hidden);
      subject.replaceChildren(...(ready?.pictures || []));
      place();
      surface.show({ left: ready?.pair.left.text || "", right: ready?.pair.right.text || "" });
      left.scrollTop = right.scrollTop = 0;
    },
    dispose() { resize.disconnect(); },
  };
}
