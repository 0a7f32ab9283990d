/** You: what you judged, your password, where you are signed in, your keys for programs. */
import { api, button, dialog, el, empty, fill, fmt, icon, live, note, toast } from "/static/js/lib.js";
import { keysHelp } from "/static/js/keys_help.js";
import { languageButtons } from "/static/js/languages.js";
import { ROLES, field, showOnce, tried } from "/static/js/person_fields.js";

const CHOICES = { left: "left", right: "right", tie: "tie", both_bad: "both bad", skip: "skipped", rated: "rated", ranked: "ranked" };

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  const left = el("section", { class: "pane scroll", tabindex: 0, "aria-label": "What you judged" });
  const side = el("aside", { class: "pane scroll", "aria-label": "Your account" });
  fill(main, el("div", { class: "panes people you" }, left, side));
  await Promise.all([drawHistory(), drawSide()]);
  return () => page.subtitle("");

  // history -------------------------------------------------------------------------------------------------

  async function drawHistory() {
    const list = el("ol", { class: "judged", "data-testid": "history" });
    const more = el("div", { class: "sec" });
    const load = async (after) => {
      const found = await api(`me/history?limit=40${after ? `&after=${after}` : ""}`);
      list.append(...found.items.map(judged));
      fill(more, found.next && button("Earlier", { kind: "quiet", size: "sm", onclick: () => tried(() => load(found.next)) }));
      return found;
    };
    let first;
    try { first = await load(0); } catch (error) {
      fill(left, el("div", { class: "sec" }, note("Your judgements are not there", error.message, { actions: [button("Try again", { size: "sm", onclick: drawHistory })] })));
      return;
    }
    if (!first.items.length) {
      fill(left, empty({ title: "You have judged nothing yet", text: "Every pair you judge stands here, newest first.", actions: [el("a", { class: "btn lg primary", href: "/label" }, "Label")] }));
      return;
    }
    const parts = Object.entries(first.by_choice).sort((a, b) => b[1] - a[1]).map(([choice, count]) => `${CHOICES[choice] || choice}: ${fmt.int(count)}`);
    fill(left, el("div", { class: "pane-h" }, el("h2", null, fmt.count(first.total, "judgement")), el("span", { class: "meta muted clip" }, parts.join(", "))), list, more);
  }

  function judged(item) {
    return el("li", { class: item.is_undone ? "is-undone" : null },
    el("span", { class: "two" }, [["left", item.left_url, item.left_text], ["right", item.right_url, item.right_text]].map(([sideName, src, text]) => text
      ? el("span", { class: `words ${item.choice === sideName ? "on" : ""}`, title: text }, text)
      : el("img", { src, alt: "", width: 40, height: 40, loading: "lazy", class: `px ${item.choice === sideName ? "on" : ""}` }))),
    el("p", { class: "clip", title: item.prompt, translate: "no" }, item.prompt), el("span", { class: "meta nowrap" }, item.is_undone ? el("span", { class: "faint" }, "taken back") : CHOICES[item.choice] || item.choice),
    el("span", { class: "meta faint tn opt" }, fmt.span(item.seconds)), el("time", { class: "meta faint tn nowrap" }, fmt.ago(item.at)));
  }

  // account -------------------------------------------------------------------------------------------------

  async function drawSide() {
    let me;
    try { me = await api("me"); } catch (error) {
      fill(side, el("div", { class: "sec" }, note("Your account is not there", error.message)));
      return;
    }
    page.subtitle(`${me.name}, ${me.role}`);
    fill(side, el("div", { class: "pane-h" }, el("h2", { translate: "no" }, me.name), el("span", { class: "meta muted" }, `${me.role}: ${ROLES[me.role]}`), el("span", { class: "grow" }),
      me.signs_in && button("Sign out", { size: "sm", testid: "sign-out", onclick: signOut })),
    password(me), tokens(me), me.sign_ins.length ? signIns(me) : null, browser());
  }

  async function signOut() {
    await tried(() => api("sign-out", { method: "POST" }), () => location.assign("/sign-in"));
  }

  function password(me) {
    const old = field("Present password", { type: "password", autocomplete: "current-password", testid: "old-password" });
    const fresh = field("New password", { type: "password", autocomplete: "new-password", testid: "new-password", help: "Ten characters or more; four odd words do well." });
    const said = el("p", { class: "meta bad", role: "alert" });
    const send = async () => {
      fill(said);
      try { await api("me/password", { body: { old: me.has_password ? old.value() : "", new: fresh.value() } }); } catch (error) { fill(said, error.message); return; }
      toast(me.has_password ? "The password is changed; elsewhere you are signed out." : "The password is set. From now on everybody signs in here.");
      if (me.signs_in) await drawSide(); else location.reload();
    };
    return el("form", { class: "sec stack", onsubmit: (e) => { e.preventDefault(); send(); } }, el("h3", null, me.has_password ? "Password" : "Set a password"),
      !me.signs_in && el("p", { class: "meta muted" }, "Nobody signs in on this machine yet. With the first password everybody does, and you can invite others."),
      el("input", { class: "vh", type: "text", autocomplete: "username", value: me.name, tabindex: -1, "aria-hidden": "true", readonly: true }),
      me.has_password && old.node, fresh.node, said, el("div", null, el("button", { class: "btn", type: "submit", "data-testid": "set-password" }, me.has_password ? "Change it" : "Set it")));
  }

  function tokens(me) {
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h3", { class: "grow" }, "Keys for programs"), button("New key", { size: "sm", icon: "plus", testid: "new-key", onclick: () => newKey(me) })),
      me.tokens.length ? el("ul", { class: "keys-list", "data-testid": "keys-list" }, me.tokens.map((token) => el("li", null, el("span", { class: "grow clip" }, el("b", { class: "strong", translate: "no" }, token.name), el("span", { class: "meta muted" }, ` ${token.scopes.join(", ")}`)),
        el("span", { class: "meta faint nowrap" }, token.used_at ? `used ${fmt.ago(token.used_at)}` : "not used"), button("End", { kind: "quiet", size: "sm", title: `End the key ${token.name}`, onclick: () => tried(() => api(`me/tokens/${token.id}`, { method: "DELETE" }), drawSide) }))))
        : el("p", { class: "meta muted" }, "None. A script sends one as ", el("code", { class: "mono" }, "Authorization: Bearer …"), "."));
  }

  async function newKey(me) {
    const name = field("What it is for", { testid: "key-name", placeholder: "nightly export" });
    const days = field("Days it holds", { type: "number", placeholder: "for ever", help: "Empty: until you end it." });
    const boxes = me.scopes.map((scope) => [scope, el("input", { type: "checkbox", checked: scope === "read", "data-testid": `scope-${scope}` })]);
    const chosen = await dialog("A key for a program", (close) => el("form", { class: "stack", onsubmit: (e) => {
      e.preventDefault();
      close({ name: name.value(), scopes: boxes.filter(([, box]) => box.checked).map(([scope]) => scope), days: days.value() ? Number(days.value()) : null });
    } }, name.node, el("fieldset", { class: "group" }, el("legend", null, "It may"), el("div", { class: "row" }, boxes.map(([scope, box]) => el("label", { class: "check" }, box, scope)))), days.node,
    el("div", { class: "row" }, el("span", { class: "grow" }), el("button", { class: "btn primary", type: "submit", "data-testid": "make-key" }, "Make it"))));
    if (!chosen) return;
    const made = await tried(() => api("me/tokens", { body: chosen }), drawSide);
    if (made) await showOnce("The key", "Keep it where only the program finds it. It is shown now only.", made.secret);
  }

  /** What is kept in this browser alone. */
  function browser() {
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h3", null, "In this browser")), el("div", { class: "row" },
      button("Keyboard shortcuts", { size: "sm", icon: "keys", testid: "my-keys", onclick: keysHelp }),
      button("Theme", { size: "sm", icon: "theme", onclick: () => document.getElementById("theme")?.click() }), el("span", { class: "grow" }), languageButtons()));
  }

  function signIns(me) {
    return el("div", { class: "sec" }, el("div", { class: "sec-h" }, el("h3", null, "Signed in")), el("ul", { class: "keys-list" }, me.sign_ins.map((entry) => el("li", null, icon(entry.is_this ? "check" : "none", "ok"),
      el("span", { class: "grow clip", title: entry.browser }, browserName(entry.browser), el("span", { class: "meta muted" }, ` ${entry.address}`)), el("span", { class: "meta faint nowrap" }, entry.is_this ? "here, now" : fmt.ago(entry.created_at)),
      !entry.is_this && button("End", { kind: "quiet", size: "sm", onclick: () => tried(() => api(`me/sign-ins/${entry.id}`, { method: "DELETE" }), async () => { live("Ended."); await drawSide(); }) })))));
  }
}

/** "Firefox on Linux" from a browser's long name for itself. @param {string} text */
function browserName(text) {
  const name = [["Edg/", "Edge"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]].find(([part]) => text.includes(part));
  const system = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"].find((part) => text.includes(part));
  return name ? `${name[1]}${system ? `, ${system}` : ""}` : text.slice(0, 40) || "Unknown";
}
