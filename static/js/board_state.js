/** What a board shows, to and from the address. Only what differs from the usual is written. */

const list = (text, of = String) => (text || "").split(",").map((part) => part.trim()).filter(Boolean).map((part) => of(part));
const number = (text, usual) => (text !== null && text !== "" && Number.isFinite(Number(text)) ? Number(text) : usual);
const MODES = ["side", "wipe", "flicker", "difference", "grid"];
const AXES = ["source", "prompt", "seed", "steps", "guidance"];

/** @param {URLSearchParams} query */
export function read(query) {
  const sources = list(query.get("sources")).slice(0, 6);
  const [a, b] = list(query.get("pair"), Number);
  const view = list(query.get("zoom"), Number);
  const axis = (name, usual) => (AXES.includes(query.get(name) || "") ? String(query.get(name)) : usual);
  return {
    sources, set: number(query.get("set"), 0), at: Math.max(0, number(query.get("prompt"), 0)), mode: MODES.includes(query.get("mode") || "") ? String(query.get("mode")) : "side",
    seeds: list(query.get("seed")).length ? list(query.get("seed")) : ["0"], locked: query.get("lock") !== "0", steps: list(query.get("steps"), Number), guidances: list(query.get("guidance"), Number),
    x: axis("x", "source"), y: axis("y", "prompt"), rows: Math.max(1, Math.min(60, number(query.get("rows"), 12))), tile: number(query.get("tile"), 128),
    sync: query.get("sync") !== "0", view: view.length === 3 && view.every(Number.isFinite) ? { z: view[0], x: view[1], y: view[2] } : { z: 1, x: 0.5, y: 0.5 },
    cut: number(query.get("cut"), 50), gain: number(query.get("gain"), 4), shown: number(query.get("shown"), 0),
    pair: /** @type {[number, number]} */ ([Number.isInteger(a) && a < sources.length ? a : 0, Number.isInteger(b) && b < sources.length ? b : Math.min(1, Math.max(0, sources.length - 1))]),
  };
}

/** @param {ReturnType<typeof read>} state */
export function write(state) {
  const { z, x, y } = state.view;
  const unless = (value, usual) => (String(value) === String(usual) ? null : value);
  return {
    sources: state.sources.join(","), set: state.set || null, prompt: state.at || null, mode: unless(state.mode, "side"), seed: unless(state.seeds.join(","), "0"), lock: state.locked ? null : 0,
    steps: state.steps.join(","), guidance: state.guidances.join(","), x: unless(state.x, "source"), y: unless(state.y, "prompt"), rows: unless(state.rows, 12), tile: unless(state.tile, 128),
    sync: state.sync ? null : 0, zoom: z > 1 ? [z, x, y].map((v) => Number(v.toFixed(4))).join(",") : null, cut: state.mode === "wipe" ? unless(state.cut, 50) : null, gain: unless(state.gain, 4),
    shown: state.mode === "flicker" ? state.shown || null : null, pair: unless(state.pair.join(","), "0,1"),
  };
}
