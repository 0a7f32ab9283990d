/** Which settings stand where in the form of a new run: every setting of a run has exactly one place. */

/** @typedef {import("/static/js/form.js").Field} Field @typedef {import("/static/js/form.js").Group} Group */

/** Drawn by parts of their own. */
const OWN = ["recipe", "rewards", "watch", "prompt_set", "heldout_set", "method.name", "method.settings", "policy.family", "policy.config"];
const BUDGET = ["num_steps", "sampling.prompts_per_step", "sampling.num_steps", "optim.lr", "minutes", "seed"];
/** Method settings that say how a difference becomes an update, and what holds the policy back. */
const OBJECTIVE = ["clip_nats", "ratio", "step_weight", "clip", "power", "beta", "temperature", "times", "draw", "refresh", "lag_rate", "lag_most", "lag_from"];
const LEASH = ["kl", "kl_on", "fast_kl", "fast_decay"];
const GUIDANCE = ["sampling.guidance", "sampling.train_guidance", "sampling.reference_guidance"];
const WHERE = ["processes", "scoring.where", "sampling.overlap"];
/** How a method's plan reads best; what is not named here follows. */
const PLAN = ["fork_steps", "split_steps", "forks_per_prompt", "seeds", "group_size", "branches", "last_fork", "width", "move", "first", "last", "strides", "kernel", "eta", "psi", "backup", "width_pruning", "keep", "depth_pruning", "dwell"];
/** Names that say more here than the field's own. */
const LABELS = { "sampling.num_steps": "Denoising steps", num_steps: "Updates", minutes: "At most", "sampling.prompts_per_step": "Prompts a step", "sampling.train_guidance": "With gradient", "sampling.reference_guidance": "Of the base", "sampling.guidance": "In sampling", "scoring.where": "Rewards are asked", labels: "Judged by", "method.settings.psi": "Noise by step ψ" };
/** Of use only where pairs are stored and learned from. */
const PAIRS = ["labels"];

/**
 * @param {{fields: {run: (Field|Group)[], method: Field[], policy: Field[]}}} schema @param {any} config
 * @returns {{method: Field[], budget: Field[], advanced: Group[]}}
 */
export function arrange(schema, config) {
  const method = prefixed(schema.fields.method, "method.settings.");
  const all = new Map(schema.fields.run.flatMap((item) => ("fields" in item ? item.fields : [item])).map((f) => [f.path, f]));
  const own = (names) => names.map((name) => method.find((f) => f.path === `method.settings.${name}`)).filter(Boolean);
  const named = (paths) => paths.map((path) => all.get(path)).filter(Boolean);
  const elsewhere = new Set([...own(OBJECTIVE), ...own(LEASH)]);
  const plan = [...own(PLAN), ...method.filter((f) => !PLAN.includes(short(f)) && !elsewhere.has(f))];
  const stored = config.method.settings?.source === "labels";
  const used = new Set([...OWN, ...BUDGET, ...GUIDANCE, ...WHERE, ...PAIRS]);
  const of = (path) => schema.fields.run.flatMap((item) => ("fields" in item && item.path === path ? item.fields.filter((f) => !used.has(f.path)) : []));
  const loose = [...all.values()].filter((f) => !used.has(f.path) && !f.path.includes("."));
  const groups = [
    { label: "Objective", help: "How a difference becomes an update.", fields: own(OBJECTIVE) },
    { label: "Leash", help: "What holds the policy near the base model.", fields: own(LEASH) },
    { label: "Credit", help: "How rewards become one advantage.", fields: of("compose") },
    { label: "Early stop", help: "End by itself when the trained reward rises while a watched one falls.", fields: of("early_stop").map((f) => (f.path === "early_stop.gold" ? watched(f, config) : f)) },
    { label: "Sampling", help: "", fields: of("sampling") },
    { label: "Guidance", help: "1 is off, and halves the cost.", fields: named(GUIDANCE) },
    { label: "Optimiser", help: "What is trained, and how fast.", fields: of("optim") },
    { label: "Where it runs", help: "", fields: named(WHERE) },
    { label: "Evaluation", help: "On held-out prompts, with the same noise every time.", fields: of("evaluation") },
    { label: "Model", help: "", fields: prefixed(schema.fields.policy ?? [], "policy.config.") },
    { label: "Records", help: "", fields: [...loose, ...(stored ? [] : named(PAIRS))] },
  ];
  return {
    method: [...(stored ? named(PAIRS) : []), ...plan].map(titled),
    budget: named(BUDGET).map(titled),
    advanced: groups.map((group) => ({ ...group, path: group.label, fields: group.fields.map(titled) })).filter((group) => group.fields.length),
  };
}

/** A reward that is watched, by its name. @param {Field} field @param {any} config @returns {Field} */
export const watched = (field, config) => ({ ...field, kind: "choice", choices: ["", ...(config.watch ?? []).map((term) => term.name)] });

/** What the section of a method's own settings is called. @param {any} schema @param {any} config */
export function methodTitle(schema, config) {
  const { name, settings } = config.method;
  const title = schema.methods.find((method) => method.name === name)?.title ?? name;
  if (settings?.source === "labels") return `What ${title} learns from`;
  return schema.fields.method.some((field) => field.path === "kernel") ? `How ${title} explores` : `How ${title} samples`;
}

const titled = (field) => ({ ...field, label: LABELS[field.path] ?? field.label });
const short = (field) => field.path.slice(field.path.lastIndexOf(".") + 1);

/** @param {Field[]} fields @param {string} prefix */
const prefixed = (fields, prefix) => fields.map((field) => ({ ...field, path: prefix + field.path }));
