/** People: accounts and their roles, links to come in by, everybody's keys, and the audit trail. */
import { api, button, confirm, dialog, el, empty, fill, fmt, icon, keys, live, locale, note, toast } from "/static/js/lib.js";
import { ROLES, field, showOnce, tried } from "/static/js/person_fields.js";

const KINDS = { "": "Everything", people: "People", role: "Roles", invite: "Links", password: "Passwords", key: "Keys", study: "Studies", export: "Exports", delete: "Deletions" };

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  /** @type {{text: string, undo: () => Promise<any>}[]} what Z takes back, latest last */
  const done = [];
  const left = el("section", { class: "pane scroll", "aria-label": "People" });
  const side = el("aside", { class: "pane scroll", "aria-label": "Audit trail" });
  fill(main, el("div", { class: "panes people" }, left, side));
  const unbind = keys.bind("People", [{ id: "people.undo", keys: ["z"], label: "Take the last change back", run: () => { undo(); } }]);
  const room = el("section", { "aria-label": "Storage", "data-testid": "storage" });
  await refresh();
  drawRoom();
  return () => { unbind(); page.subtitle(""); };

  async function refresh() {
    let data;
    try { data = await api("people"); } catch (error) {
      fill(left, el("div", { class: "sec" }, note("The people are not there", error.message, { actions: [button("Try again", { size: "sm", onclick: refresh })] })));
      return;
    }
    const open = data.people.filter((person) => !person.disabled);
    page.subtitle(data.people.length ? `${fmt.count(open.length, "person", "people")} can sign in` : "");
    const focus = document.activeElement?.getAttribute("data-testid");
    fill(left, !data.signs_in && opening(), peopleTable(data), links(data), tokensTable(data), room);
    if (focus) /** @type {HTMLElement | null} */ (left.querySelector(`[data-testid="${focus}"]`))?.focus();
    await drawAudit();
  }

  async function undo() {
    const last = done.pop();
    if (!last) return live("Nothing to take back.");
    await tried(last.undo, async () => { toast(`Taken back: ${last.text}`, { sign: "undo" }); await refresh(); });
  }

  /** Change a person; what it was before is kept for Z. */
  async function change(person, body, text) {
    const before = await tried(() => api(`people/${person.id}`, { method: "PATCH", body }));
    if (before) {
      const back = Object.fromEntries(Object.keys(body).map((key) => [key, before[key]]));
      done.push({ text, undo: () => api(`people/${person.id}`, { method: "PATCH", body: back }) });
      toast(text, { action: "Undo (Z)", onaction: undo });
    }
    await refresh();
  }

  // people --------------------------------------------------------------------------------------------------

  function opening() {
    return el("div", { class: "sec" }, note("Nobody signs in here yet", "This studio is open to this machine alone. To invite others, set a password for yourself first; from then on everybody signs in.",
    { tone: "warn", actions: [el("a", { class: "btn sm", href: "/you", "data-testid": "to-password" }, "Set my password")] }));
  }

  function peopleTable(data) {
    const head = el("div", { class: "pane-h" }, el("h2", null, "People"), el("span", { class: "grow" }), data.signs_in && button("Invite", { kind: "primary", size: "sm", icon: "plus", testid: "invite", onclick: () => invite(data) }));
    if (!data.people.length) return [head, empty({ title: "No accounts", text: "People you invite stand here, with their role and what they have judged." })];
    return [head, el("table", { class: "tbl pad", "data-testid": "people-table" },
      el("thead", null, el("tr", null, el("th", null, "name"), el("th", null, "role"), el("th", { class: "opt" }, "may judge"), el("th", { class: "num opt" }, "judged"), el("th", { class: "num opt" }, "signed in"), el("th", null, el("span", { class: "vh" }, "act")))),
      el("tbody", null, data.people.map((person) => row(person, data))))];
  }

  function row(person, data) {
    const role = el("select", { class: "sel", "aria-label": `Role of ${person.name}`, "data-testid": `role-${person.name}`, disabled: person.disabled,
      onchange: () => change(person, { role: role.value }, `The role of ${person.name} is ${role.value}.`) },
      Object.keys(ROLES).map((name) => el("option", { value: name, selected: name === person.role }, name)));
    const named = data.studies.filter((study) => person.studies.includes(study.id)).map((study) => study.name);
    return el("tr", { class: person.disabled ? "is-closed" : null }, el("td", null, el("b", { class: "strong", translate: "no" }, person.name), person.id === data.me && el("span", { class: "badge" }, "you"),
        person.disabled && el("span", { class: "badge warn" }, "closed"), person.email && el("span", { class: "meta faint opt" }, ` ${person.email}`)),
      el("td", null, role), el("td", { class: "opt" }, button(named.join(", ") || "everything", { kind: "quiet", size: "sm", testid: `studies-${person.name}`, title: `Which studies ${person.name} may judge`, onclick: () => chooseStudies(person, data) })),
      el("td", { class: "num opt" }, fmt.int(person.labels)), el("td", { class: "num muted opt" }, person.signed_in_at ? fmt.ago(person.signed_in_at) : "never"),
      el("td", { class: "num" }, el("span", { class: "acts" },
        !person.disabled && button("New password", { kind: "quiet", size: "sm", title: `A link by which ${person.name} chooses a new password`, onclick: () => newPassword(person) }),
        button(person.disabled ? "Open" : "Close", { kind: "quiet", size: "sm", testid: `close-${person.name}`, title: person.disabled ? "Let them in again" : "Let them in no longer; what they judged stays",
          onclick: () => change(person, { disabled: !person.disabled }, `The account of ${person.name} is ${person.disabled ? "open" : "closed"}.`) }))));
  }

  /** @param {any} data @param {number[]} chosen */
  function studyChoice(data, chosen) {
    const boxes = data.studies.map((study) => [study.id, el("input", { type: "checkbox", checked: chosen.includes(study.id) })]);
    const node = el("fieldset", { class: "group" }, el("legend", null, "May judge"), el("p", { class: "meta muted" }, data.studies.length ? "None marked: whatever everybody may." : "Whatever everybody may. When there are studies, single ones can be chosen."),
      data.studies.length ? el("div", { class: "choices" }, data.studies.map((study, i) => el("label", { class: "check" }, boxes[i][1], el("span", { translate: "no" }, study.name)))) : null);
    return { node, read: () => boxes.filter(([, box]) => box.checked).map(([id]) => id) };
  }

  async function chooseStudies(person, data) {
    const studies = studyChoice(data, person.studies);
    const chosen = await dialog(`What ${person.name} may judge`, (close) => [studies.node, el("div", { class: "row dialog-f" }, el("span", { class: "grow" }), button("Keep", { kind: "primary", onclick: () => close(studies.read()) }))]);
    if (chosen) await change(person, { studies: chosen }, `${person.name} may judge ${chosen.length ? fmt.count(chosen.length, "study", "studies") : "what everybody may"}.`);
  }

  async function newPassword(person) {
    const made = await tried(() => api(`people/${person.id}/link`, { method: "POST" }), refresh);
    if (made) await showOnce(`A new password for ${person.name}`, "Send them this link. It holds once, for a day, and is shown now only.", `${location.origin}/join/${made.secret}`);
  }

  // links ---------------------------------------------------------------------------------------------------

  async function invite(data) {
    const who = field("For whom", { testid: "invite-note", placeholder: "a note for this list", help: "They choose their own name." });
    const days = field("Days it holds", { type: "number", value: "7" });
    const studies = studyChoice(data, []);
    const role = el("div", { class: "seg", role: "radiogroup", "aria-label": "Role" }, Object.keys(ROLES).map((name) => el("button", { type: "button", role: "radio", "aria-checked": String(name === "annotator"), "aria-pressed": String(name === "annotator"), "data-role": name, title: ROLES[name],
      onclick: (e) => role.querySelectorAll("button").forEach((b) => { b.setAttribute("aria-pressed", String(b === e.currentTarget)); b.setAttribute("aria-checked", String(b === e.currentTarget)); }) }, name)));
    const chosen = await dialog("Invite somebody", (close) => el("form", { class: "stack", onsubmit: (e) => {
      e.preventDefault();
      close({ role: role.querySelector("[aria-pressed=true]")?.getAttribute("data-role"), note: who.value(), days: Number(days.value()), studies: studies.read() });
    } }, role, who.node, studies.node, days.node, el("div", { class: "row" }, el("span", { class: "grow" }), el("button", { class: "btn primary", type: "submit", "data-testid": "make-link" }, "Make the link"))));
    if (!chosen) return;
    const made = await tried(() => api("people/invites", { body: chosen }), refresh);
    if (made) await showOnce("The link", `Lets one ${made.role} in, until ${new Date(made.expires_at * 1000).toLocaleDateString(locale(), { day: "numeric", month: "long" })}. It is shown now only.`, `${location.origin}/join/${made.secret}`);
  }

  function links(data) {
    if (!data.invites.length) return null;
    return [el("div", { class: "pane-h b" }, el("h2", null, "Open links"), el("span", { class: "meta muted" }, "each lets one person in")), el("table", { class: "tbl pad", "data-testid": "links-table" },
      el("thead", null, el("tr", null, el("th", null, "for"), el("th", null, "role"), el("th", { class: "num" }, "holds for"), el("th", null, el("span", { class: "vh" }, "act")))),
      el("tbody", null, data.invites.map((link) => el("tr", null, el("td", { class: "clip" }, link.user_id ? `${data.people.find((person) => person.id === link.user_id)?.name}, new password` : link.note || el("span", { class: "faint" }, "no note")),
        el("td", { class: "muted" }, link.role), el("td", { class: "num muted" }, fmt.span(link.expires_at - Date.now() / 1000)),
        el("td", { class: "num" }, button("Take back", { kind: "quiet", size: "sm", onclick: () => tried(() => api(`people/invites/${link.id}`, { method: "DELETE" }), refresh) }))))))];
  }

  function tokensTable(data) {
    if (!data.tokens.length) return null;
    return [el("div", { class: "pane-h b" }, el("h2", null, "Keys of programs"), el("span", { class: "meta muted" }, "each makes its own on You")), el("table", { class: "tbl pad" },
      el("thead", null, el("tr", null, el("th", null, "key"), el("th", null, "of"), el("th", { class: "opt" }, "may"), el("th", { class: "num opt" }, "used"), el("th", null, el("span", { class: "vh" }, "act")))),
      el("tbody", null, data.tokens.map((token) => el("tr", null, el("td", { class: "strong", translate: "no" }, token.name), el("td", { translate: "no" }, token.owner), el("td", { class: "muted opt" }, token.scopes.join(", ")), el("td", { class: "num muted opt" }, token.used_at ? fmt.ago(token.used_at) : "never"),
        el("td", { class: "num" }, button("End", { kind: "quiet", size: "sm", onclick: async () => {
          const sure = await confirm({ title: `End the key “${token.name}”?`, text: `Programs of ${token.owner} that use it are refused from then on. A key cannot be had back.`, danger: "End it", safe: "Keep it" });
          if (sure) await tried(() => api(`people/tokens/${token.id}`, { method: "DELETE" }), refresh);
        } }))))))];
  }

  // storage -------------------------------------------------------------------------------------------------

  /** What the studio takes up; counted once, as there may be many files. */
  async function drawRoom() {
    const found = await api("people/storage").catch(() => null);
    if (!found) return;
    const term = (word, value, more = null) => [el("dt", null, word), el("dd", null, value, more && el("span", { class: "faint" }, ` ${more}`))];
    fill(room, el("div", { class: "pane-h b" }, el("h2", null, "Storage"), found.folder && el("span", { class: "meta muted clip", translate: "no" }, found.folder)), el("dl", { class: "kv sec", style: "max-width:480px" },
      found.files !== null && term("files", bytes(found.bytes), found.is_all ? fmt.count(found.files, "file") : `of the first ${fmt.int(found.files)} files`),
      term("database", bytes(found.database_bytes), `${fmt.count(found.samples, "sample")}, ${fmt.count(found.pairs, "pair")}, ${fmt.count(found.labels, "label")}`),
      found.free !== null && term("room left", bytes(found.free))));
  }

  // audit ---------------------------------------------------------------------------------------------------

  async function drawAudit(kind = side.querySelector("select")?.value || "") {
    const list = el("ol", { class: "audit", "data-testid": "audit" });
    const choose = el("select", { class: "sel", "aria-label": "Kind of change", onchange: () => drawAudit(choose.value) }, Object.entries(KINDS).map(([name, word]) => el("option", { value: name, selected: name === kind }, word)));
    const more = el("div", { class: "sec" });
    const load = async (after) => {
      const found = await api(`people/audit?action=${kind}${after ? `&after=${after}` : ""}`);
      list.append(...found.items.map((entry) => el("li", null, icon(SIGNS[entry.action] || "info", "muted"), el("p", null, el("b", { class: "strong" }, entry.who), ` ${entry.text}`), el("time", { class: "meta faint", title: new Date(entry.at * 1000).toLocaleString(locale()) }, fmt.ago(entry.at)))));
      fill(more, found.next && button("Earlier", { kind: "quiet", size: "sm", onclick: () => load(found.next) }));
      if (!list.children.length) fill(more, el("p", { class: "muted" }, "Nothing yet."));
    };
    await tried(() => load(0));
    fill(side, el("div", { class: "pane-h" }, el("h2", null, "Audit trail"), el("span", { class: "grow" }), choose), list, more);
  }
}

/** 1,500,000 → "1.5 MB". @param {number} n */
const bytes = (n) => (n < 1e6 ? `${Math.ceil(n / 1e3)} kB` : n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(1)} GB`);

const SIGNS = { people: "person", role: "ranks", invite: "link", password: "lock", key: "plug", study: "label", export: "send", delete: "x" };
