/** Today: what is there, what runs, and the one thing to do next. */
import { api, button, el, empty, fill, fmt, icon, kbd, keys, live, note, poll, who } from "/static/js/lib.js";
import { progress as studyProgress } from "/static/js/study_parts.js";
import { gainText, jobWord, methodName, runPill, share, stepMeter, whenText } from "/static/js/views.js";

/** Answers of people after which a reward can be tried while pairs still wait. */
const ENOUGH = 30;
const LOOP = [["stack", "Draw"], ["label", "Label"], ["sliders", "Reward"], ["runs", "Train"], ["compare", "Compare"]];

/** @param {HTMLElement} main @param {any} page */
export async function mount(main, page) {
  if (who().role === "annotator") return (await import("/static/js/today_annotator.js")).mount(main, page);
  let seen = "";
  const unbind = keys.bind("Today", [{ id: "today.next", keys: ["Enter"], label: "The next thing to do", run: () => {
    /** @type {HTMLElement | null} */ (main.querySelector(".btn.primary"))?.click();
  } }]);
  const refresh = async () => {
    const data = await api("today").catch((error) => {
      if (!seen) fill(main, el("div", { class: "sec" }, note("Today is not there", error.message, { actions: [button("Try again", { size: "sm", onclick: refresh })] })));
      throw error;
    });
    const text = JSON.stringify({ ...data, workers: data.workers.map((w) => [w.name, w.state, w.heartbeat_age_s > 30]) });
    if (text === seen) return;
    seen = text;
    page.subtitle(data.project.is_empty ? "" : data.project.name);
    const focus = document.activeElement?.getAttribute("data-testid");
    fill(main, data.project.is_empty ? welcome(refresh) : today(data));
    if (focus) /** @type {HTMLElement | null} */ (main.querySelector(`[data-testid="${focus}"]`))?.focus();
  };
  const stop = poll(refresh, 4);
  return () => { stop(); unbind(); page.subtitle(""); };
}

/** An empty studio: what it is for, and one button. @param {() => Promise<void>} refresh */
function welcome(refresh) {
  const said = el("p", { class: "meta muted", role: "status" });
  const load = button("Load the demo", { kind: "primary", size: "lg", testid: "load-demo", onclick: async () => {
    load.disabled = true;
    said.textContent = "Putting the pocket model, its prompts and its rewards in place.";
    try {
      await api("demo", { method: "POST" });
      live("The demo is loaded.");
      await refresh();
    } catch (error) {
      load.disabled = false;
      fill(said, el("span", { class: "bad" }, error.message));
    }
  } });
  return el("div", { class: "hello" },
    empty({ title: "Teach an image model what people prefer", actions: [],
      text: "Say which of two pictures is better, by key. Your answers become a reward, the reward trains the model, and a blind test shows whether it got better." }),
    el("ol", null, LOOP.map(([sign, word]) => el("li", null, icon(sign), word))), load,
    el("p", { class: "meta muted", style: "margin-top:12px" }, "A small model that runs on this machine, no GPU needed. Or ", el("a", { class: "link", href: "/prompts" }, "begin with your own prompts"), "."), said);
}

/** The next thing to do, from how far round the loop this project is. */
function nextStep({ pairs, labels, rewards, runs, comparisons, drawing }) {
  const learned = rewards.find((reward) => reward.kind === "learned");
  const finished = runs.find((run) => run.status === "done" && run.tuned_policy_id);
  if (pairs.open > 0) {
    const begun = pairs.done_mine > 0;
    return { title: "Which of the two is better?", label: begun ? "Continue labelling" : "Start labelling", href: "/label", testid: "continue-labelling",
      text: `${fmt.int(pairs.done_mine)} of ${fmt.int(pairs.done_mine + pairs.open)} pairs are judged. One key each; you can stop at any time.`, progress: pairs.done_mine / Math.max(1, pairs.done_mine + pairs.open),
      also: !learned && labels.people >= ENOUGH && { label: "Learn a reward", href: "/rewards", testid: "learn-reward" } };
  }
  if (drawing) return { title: pairs.total ? "More pairs are being drawn" : "The first pairs are being drawn", label: "See how far it is", href: "/workers", testid: "see-drawing", text: "Two pictures of each prompt, by the model as it is now. They can be judged as soon as they are there; this page shows them by itself.", progress: drawing.progress };
  if (!pairs.total) return { title: "Draw the first pairs", label: "Draw pairs", href: "/prompts?generate=1", testid: "generate-pairs", text: "Two pictures of each prompt, drawn by the model as it is now. Then say which is better." };
  if (!learned) return { title: "Learn a reward from your answers", label: "Learn a reward", href: "/rewards", testid: "learn-reward", text: `Every pair is judged: ${fmt.count(labels.total, "answer")}. A small model can learn what you preferred.` };
  if (!runs.length) return { title: "Train on the reward", label: "Set up a run", href: `/runs/new?reward=${encodeURIComponent(learned.name)}`, testid: "new-run", text: "The reward is there. A run teaches the model to earn it." };
  if (finished && !comparisons.length) return { title: "Did it get better?", label: "Compare blind", href: `/compare?tuned=${finished.tuned_policy_id}`, testid: "compare-blind", text: `${finished.name} is done. Judge it against its base without knowing which is which.` };
  return { title: "Round again", label: "Draw more pairs", href: "/prompts?generate=1", testid: "generate-pairs", text: "Every pair is judged. New pairs from the tuned model teach the reward what it has not seen." };
}

function today(data) {
  const { labels, runs, rewards, comparisons, studies, workers, alarms } = data;
  return el("div", { class: "panes today" },
    el("section", { class: "pane", "aria-label": "Next" }, next(data), loop(data),
      studies.length ? [heading("Studies", fmt.count(studies.length, "wants judgements", "want judgements"), el("a", { class: "link meta", href: "/studies" }, "All studies")), studyTable(studies)] : null,
      data.jobs.length ? [heading("Working now", fmt.count(data.jobs.length, "job"), el("a", { class: "link meta", href: "/workers" }, "All jobs"), studies.length ? "b" : ""), data.jobs.map(working)] : null,
      heading("Runs", runs.length ? runsLine(runs) : "", runs.length ? el("a", { class: "link meta", href: "/runs" }, "All runs") : null, studies.length ? "b" : ""),
      runs.length ? runTable(runs) : el("p", { class: "quietline muted" }, "No run yet. ", el("a", { class: "link", href: "/runs/new" }, "Set one up")),
      heading("Rewards", rewards.length ? fmt.count(rewards.length, "reward") : "", el("a", { class: "link meta", href: "/rewards" }, "All rewards"), "b"),
      rewards.length ? rewardTable(rewards) : el("p", { class: "quietline muted" }, "No reward yet.")),
    el("aside", { class: "pane", "aria-label": "Alarms and comparisons" },
      heading("Alarms", "", alarms.length ? el("span", { class: `badge ${alarms.some((a) => a.level === "error") ? "bad" : "warn"}` }, `${alarms.length} open`) : null),
      alarms.length ? alarms.slice(0, 6).map(alarm) : el("p", { class: "quietline muted" }, "None. Runs are watched for stalls, lost spread and rewards that part."),
      data.checkpoints.length ? [heading("Last checkpoints", ""), data.checkpoints.map(checkpoint)] : null,
      heading("Blind comparisons", "", el("a", { class: "link meta", href: "/compare" }, "All")),
      comparisons.length ? comparisons.slice(0, 5).map(comparison) : el("p", { class: "quietline muted" }, "None yet. A finished run can be judged against its base."),
      workersLine(workers)));
}

const heading = (text, more, right, cls = "") => el("div", { class: `pane-h ${cls}` }, el("h2", null, text), more && el("span", { class: "meta muted" }, more), right);

function next(data) {
  const { labels, next_pair: pair } = data;
  const step = nextStep(data);
  const decided = Math.max(0, labels.people - labels.ties);
  const side = labels.left_share;
  const half = side !== null && decided ? Math.round(196 * Math.sqrt((side * (1 - side)) / decided)) : null;
  return el("div", { class: "cont" },
    el("div", { class: "stage pv" }, pair && step.href === "/label" ? [pair.left_url, pair.right_url].map((src) => el("img", { class: "px", src, alt: "", width: 128, height: 128 }))
      : [0, 1].map(() => el("span", { class: "skel" }))),
    el("div", { class: "tx" }, el("span", { class: "meta muted" }, pair && step.href === "/label" ? pair.prompt : "Next"), el("h2", null, step.title), el("p", { class: "muted" }, step.text),
      step.progress !== undefined && el("span", { class: "meter go" }, el("b", { style: `width:${(100 * step.progress).toFixed(1)}%` })), el("span", { class: "grow" }),
      el("div", { class: "row" }, el("a", { class: "btn lg primary", href: step.href, "data-testid": step.testid }, step.label, " ", kbd("Enter")),
        step.also && el("a", { class: "btn lg", href: step.also.href, "data-testid": step.also.testid }, step.also.label))),
    el("dl", { class: "kv" }, row("judged today", fmt.int(labels.today)), row("by people", fmt.int(labels.people)),
      labels.simulated > 0 && row("simulated, kept apart", fmt.int(labels.simulated)),
      labels.people > 0 && row("ties", fmt.pct(labels.ties / Math.max(1, labels.people))),
      side !== null && row("left side chosen", [fmt.pct(side), half !== null && el("span", { class: "faint" }, ` ± ${half}`)])));
}

const row = (term, value) => [el("dt", null, term), el("dd", null, value)];

/** The five places of the loop with where each stands. */
function loop({ pairs, labels, rewards, runs, comparisons }) {
  const running = runs.filter((run) => run.status === "running").length;
  const votes = comparisons.reduce((sum, c) => sum + Object.values(c.votes || {}).reduce((a, b) => a + b, 0), 0);
  const figures = [
    [pairs.total > 0, pairs.total ? fmt.count(pairs.total, "pair") : "no pairs", "/prompts"],
    [labels.total > 0, labels.total ? fmt.count(labels.total, "answer") : "no answers", "/label"],
    [rewards.some((r) => r.kind === "learned"), rewards.length ? fmt.count(rewards.length, "reward") : "no reward", "/rewards"],
    [runs.some((r) => r.status === "done"), running ? `${running} running` : runs.length ? fmt.count(runs.length, "run") : "no run", "/runs"],
    [votes > 0, votes ? fmt.count(votes, "blind vote") : comparisons.length ? "no votes yet" : "not compared", "/compare"],
  ];
  return el("nav", { class: "loop", "aria-label": "The loop" }, LOOP.map(([sign, word], i) => el("a", { href: figures[i][2] },
    el("b", null, icon(figures[i][0] ? "check" : sign, figures[i][0] ? "ok" : "muted"), word), el("span", { class: "meta muted clip" }, figures[i][1]))));
}

const studyTable = (studies) => el("table", { class: "tbl pad", "data-testid": "today-studies" }, el("tbody", null, studies.map((study) => el("tr", null,
  el("td", { class: "clip" }, el("a", { class: "strong", translate: "no", href: `/studies/${study.id}` }, study.name), el("span", { class: "meta faint opt" }, ` ${study.question}`)),
  el("td", null, studyProgress(study)), el("td", { class: "num" }, el("a", { class: "btn sm", href: `/label/${study.id}`, "aria-label": `Label ${study.name}` }, "Label"))))));

function runsLine(runs) {
  const count = (status) => runs.filter((run) => run.status === status).length;
  return [count("running") && `${count("running")} running`, count("waiting") && `${count("waiting")} waiting`, count("failed") && `${count("failed")} failed`].filter(Boolean).join(", ");
}

function runTable(runs) {
  return el("table", { class: "tbl pad" },
    el("thead", null, el("tr", null, ["status", "run", "recipe", "step"].map((word, i) => el("th", { class: i === 2 ? "opt" : null }, word)), el("th", { class: "opt spark" }, "reward"), el("th", { class: "num" }, "held-out, vs base"), el("th", { class: "num opt" }, "left or ended"))),
    el("tbody", null, runs.slice(0, 6).map((run) => el("tr", null, el("td", null, runPill(run)), el("td", null, el("a", { class: "strong", translate: "no", href: `/runs/${run.id}` }, run.name)),
      el("td", { class: "muted opt" }, methodName(run)), el("td", null, stepMeter(run)), el("td", { class: "opt spark" }, spark(run.spark)), el("td", { class: "num" }, gainText(run.gain)), el("td", { class: "num opt" }, whenText(run))))));
}

/** A line of a run's reward, gaps left as gaps. @param {(number | null)[]} values */
function spark(values) {
  const known = (values || []).filter((v) => Number.isFinite(v));
  if (known.length < 2) return null;
  const low = Math.min(...known);
  const scale = 12 / (Math.max(...known) - low || 1);
  let pen = "M";
  const d = values.map((v, i) => {
    if (!Number.isFinite(v)) { pen = "M"; return ""; }
    const point = `${pen}${(2 + (68 * i) / (values.length - 1)).toFixed(1)} ${(15 - (v - low) * scale).toFixed(1)}`;
    pen = "L";
    return point;
  }).join("");
  return el("svg", { width: 72, height: 18, "aria-hidden": "true" }, el("path", { d, fill: "none", stroke: "var(--muted)", "stroke-width": 1.25 }));
}

function rewardTable(rewards) {
  return el("table", { class: "tbl pad" },
    el("thead", null, el("tr", null, el("th", null, "reward"), el("th", null, "kind"), el("th", { class: "num" }, "agrees with people, held out"), el("th", { class: "num opt" }, "pairs"), el("th", { class: "num opt" }, "made"))),
    el("tbody", null, rewards.slice(0, 6).map((reward) => el("tr", null, el("td", null, el("a", { class: "strong", translate: "no", href: `/rewards?reward=${reward.id}` }, reward.name)), el("td", { class: "muted" }, reward.kind),
      el("td", { class: "num" }, share(reward.figures?.accuracy, reward.figures?.low, reward.figures?.high)), el("td", { class: "num opt" }, reward.figures?.pairs ? fmt.int(reward.figures.pairs) : "–"), el("td", { class: "num muted opt" }, fmt.ago(reward.created_at))))));
}

const alarm = (entry) => el("div", { class: "al" }, icon(entry.level === "error" ? "fail" : "warn", entry.level === "error" ? "bad" : "warn"),
  el("p", null, entry.text, entry.url && [" ", el("a", { class: "link", href: entry.url }, "Open")]));

const working = (job) => el("div", { class: "wk", "data-testid": "working" }, el("span", { class: "grow clip" }, el("b", { class: "strong" }, jobWord(job.kind)), el("span", { class: "meta muted" }, ` ${job.message}`)),
  el("span", { class: "meter go", role: "progressbar", "aria-label": jobWord(job.kind), "aria-valuenow": Math.floor(100 * job.progress), "aria-valuemin": 0, "aria-valuemax": 100 }, el("b", { style: `width:${100 * job.progress}%` })), el("span", { class: "meta tn" }, `${Math.floor(100 * job.progress)} %`));

const checkpoint = (entry) => el("div", { class: "ck", "data-testid": "checkpoint" }, el("span", { class: "clip" }, el("a", { class: "strong", translate: "no", href: `/runs/${entry.run_id}` }, entry.name), el("span", { class: "meta muted" }, ` step ${entry.step}, ${fmt.ago(entry.created_at)}`)),
  el("a", { class: "btn sm", href: `/compare?sources=policy:${entry.base},run:${entry.run_id}@${entry.step}`, "aria-label": `Look at step ${entry.step} of ${entry.name} beside its base` }, "Look"));

const comparison = (entry) => el("div", { class: "ck" },
  el("span", null, el("b", { class: "strong", translate: "no" }, entry.name), el("span", { class: "meta muted", style: "display:block" }, "tuned against base, blind"),
    el("span", { class: "meta", style: "display:block" }, Number.isFinite(entry.win_rate) ? share(entry.win_rate, entry.low, entry.high) : el("span", { class: "faint" }, "no votes yet"))),
  el("a", { class: "btn sm", href: `/compare?id=${entry.id}` }, "Compare"));

function workersLine(workers) {
  // A worker that said good-bye, or whose successor is there, is not missed.
  const lost = workers.filter((w) => w.state !== "gone" && w.heartbeat_age_s > 30).length;
  const alive = workers.filter((w) => w.state !== "gone").length - lost;
  return el("div", { class: "sec", style: "margin-top:auto;border-top:1px solid var(--line)" }, el("a", { class: "row meta", href: "/workers" },
    el("span", { class: "muted grow" }, alive ? fmt.count(alive, "worker") : "No workers"),
    !alive || lost ? el("span", { class: "pill warn" }, icon("warn"), lost ? `${lost} not answering` : "nothing runs yet") : el("span", { class: "pill ok" }, icon("check"), "all answering")));
}
