/** The two pages before the door: sign in, and come in by a link. They know nothing of the studio but what the API tells strangers. */
import { languageButtons } from "/static/js/languages.js";
import { api, button, el, empty, fill, fmt, note } from "/static/js/lib.js";
import { field } from "/static/js/person_fields.js";

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const host = /** @type {HTMLElement} */ (document.getElementById("form"));
const query = new URLSearchParams(location.search);
const ROLES = { annotator: "judge pictures", researcher: "judge, study and train", admin: "do everything, people included" };

// who follows the system's theme goes on following it (head.html chose the first)
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ({ matches }) => {
  if ((localStorage.getItem("palate.theme") || "system") !== "system") return;
  document.documentElement.dataset.theme = matches ? "dark" : "light";
  document.body.classList.toggle("dark", matches);
});

/** Only addresses of this studio. */
function next() {
  const address = query.get("next") || "/";
  const url = new URL(address, location.href);
  return address.startsWith("/") && url.origin === location.origin ? url.pathname + url.search : "/";
}

/** A form whose button waits for the answer; what is refused stands above it.
 * @param {any[]} fields @param {string} label @param {() => Promise<any>} send @param {any} [below] */
function asked(fields, label, send, below) {
  const said = el("div", { role: "alert" });
  const go = el("button", { type: "submit", class: "btn lg primary", "data-testid": "enter" }, label);
  return el("form", { class: "stack", novalidate: true, onsubmit: async (e) => {
    e.preventDefault();
    go.disabled = true;
    fill(said);
    try {
      await send();
      location.assign(next());
    } catch (error) {
      go.disabled = false;
      fill(said, el("p", { class: "meta bad", "data-testid": "refused" }, error.message));
      host.querySelector("input[type=password]")?.focus();
    }
  } }, fields, said, go, below);
}

const provider = (invite) => el("a", { class: "btn lg", "data-testid": "provider",
  href: `/sign-in/provider?next=${encodeURIComponent(next())}${invite ? `&invite=${encodeURIComponent(invite)}` : ""}` }, "Sign in with your organisation");

async function signIn() {
  const how = await api("sign-in");
  if (!how.is_needed || how.name) {
    fill(host, el("p", { class: "muted" }, how.name ? `You are signed in as ${how.name}.` : "Nobody needs to sign in on this machine."),
      el("a", { class: "btn lg primary", href: next() }, "Go on"));
    return;
  }
  const name = field("Your name", { autocomplete: "username", testid: "name" });
  const password = field("Password", { type: "password", autocomplete: "current-password", testid: "password" });
  fill(host, query.get("error") && note("You were not let in", String(query.get("error"))),
    asked([name.node, password.node], "Sign in", () => api("sign-in", { body: { name: name.value(), password: password.value() } })),
    how.has_provider && [el("p", { class: "or meta muted" }, "or"), provider("")]);
  name.input.focus();
}

async function join() {
  const secret = location.pathname.split("/").pop() || "";
  const what = await api(`join/${secret}`).catch((error) => {
    fill(host, empty({ title: "This link does not hold", text: error.message, actions: [el("a", { class: "link meta", href: "/sign-in" }, "Sign in instead")] }));
    return null;
  });
  if (!what) return;
  const name = what.name === null && field("Your name", { autocomplete: "username", testid: "name", help: "Others see it beside what you judge." });
  const password = field("A password", { type: "password", autocomplete: "new-password", testid: "password", help: "Ten characters or more; four odd words do well." });
  /** @type {HTMLElement} */ (document.querySelector("h1")).textContent = what.name === null ? "Come in" : "A new password";
  fill(host, el("p", { class: "muted" }, what.name === null ? `You are invited as ${what.role}: you may ${ROLES[what.role]}${what.studies ? `, in ${fmt.count(what.studies, "study", "studies")}` : ""}.` : `For ${what.name}. Where you are signed in now ends.`),
    asked([name && name.node, password.node], what.name === null ? "Come in" : "Set the password", () => api(`join/${secret}`, { body: { name: name ? name.value() : "", password: password.value() } }),
      el("p", { class: "meta muted" }, `The link holds once, for ${fmt.span(what.expires_at - Date.now() / 1000)}.`)),
    what.has_provider && what.name === null && [el("p", { class: "or meta muted" }, "or"), provider(secret)]);
  (name || password).input.focus();
}

document.body.classList.toggle("dark", document.documentElement.dataset.theme === "dark");
await (main.dataset.kind === "join" ? join() : signIn()).catch((error) => fill(host, note("The studio does not answer", error.message, { actions: [button("Try again", { size: "sm", onclick: () => location.reload() })] })));
main.append(el("div", { class: "row languages" }, languageButtons()));
document.documentElement.dataset.ready = location.pathname;
