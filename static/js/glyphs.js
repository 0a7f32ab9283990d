/** The signs of methods: what a tree does, in 40 × 26, as it stands on a recipe's card. */

import { svg } from "./svg.js";

/** trunk, explored edges (dark), tails, dashed tails */
const CHAINS = [[], ["M2 4h36M2 10h36M2 16h36M2 22h36"], [], []];
const SOLVED = [[], [], ["M2 4h32M2 10h32M2 16h32M2 22h32"], []];
const GLYPHS = {
  "flow-grpo": CHAINS,
  "grpo-guard": [[], ["M2 4h36M2 10h36M2 16h36M2 22h36M30 1v24"], [], []],
  "pref-grpo": [[], ["M2 4h26M2 10h26M2 16h26M2 22h26M28 4c5 0 5 6 0 6M28 16c5 0 5 6 0 6"], [], []],
  "dance-grpo": [[], ["M2 13c6 0 4-9 10-9h6M2 13c6 0 4-3 10-3h6M2 13c6 0 4 3 10 3h6M2 13c6 0 4 9 10 9h6M28 4h10M28 16h10"], ["M18 4h10M18 10h20M18 16h10M18 22h20"], []],
  "mix-grpo": [[], ["M12 4h12M12 10h12M12 16h12M12 22h12"], ["M2 4h10M2 10h10M2 16h10M2 22h10M24 4h14M24 10h14M24 16h14M24 22h14"], []],
  "dense-grpo": [[], ["M2 6h32M2 20h32"], [], ["M12 6c3 0 3 4 7 4h17M22 6c3 0 3 4 7 4", "M12 20c3 0 3-4 7-4h17M22 20c3 0 3-4 7-4"]],
  "branch-grpo": [["M2 13h6"], ["M8 13c4 0 2-7 7-7M8 13c4 0 2 7 7 7M22 6c4 0 2-4 7-4M22 6c4 0 2 4 7 4M22 20c4 0 2-4 7-4M22 20c4 0 2 4 7 4"], ["M15 6h7M15 20h7M29 2h9M29 10h9M29 16h9M29 24h9"], []],
  "tempflow": [["M2 13h36"], ["M6 13c4 0 2-10 8-10M6 13c4 0 2-5 8-5M18 13c4 0 2 5 8 5M18 13c4 0 2 10 8 10"], ["M14 3h24M14 8h24M26 18h12M26 23h12"], []],
  "diffusion-nft": [SOLVED[0], ["M34 4h4M34 10h4"], SOLVED[2], ["M34 16h4M34 22h4"]],
  "awm": [SOLVED[0], ["M34 4h4M34 10h4M34 16h4M34 22h4"], SOLVED[2], []],
  "best-of-n-sft": [SOLVED[0], ["M34 4h4M36 2v4"], SOLVED[2], []],
  "flow-dpo": [[], ["M6 7h11v11H6z"], [], ["M23 7h11v11H23z"]],
  "flow-rwr": [[], ["M4 5h22"], ["M4 11h16M4 17h10M4 23h5"], []],
  "g2rpo": [["M2 13h36"], ["M7 13c6 0 4-10 10-10M7 13c6 0 4-5 10-5M7 13c6 0 4 5 10 5M7 13c6 0 4 10 10 10"], ["M17 3h21M17 8h21"], ["M17 18h21M17 23h21"]],
};

/** The sign of a method: what its tree does, in 40 × 26. */
export function glyph(method) {
  const [trunk, explored, tails, dashed] = GLYPHS[method] ?? [["M2 13h36"], ["M7 13c6 0 4-8 10-8M7 13c6 0 4 8 10 8"], ["M17 5h21M17 21h21"], []];
  return svg("svg", { class: "gly", width: 40, height: 26, viewBox: "0 0 40 26", "aria-hidden": "true" },
    ...[...trunk, ...tails].map((d) => svg("path", { d })),
    ...explored.map((d) => svg("path", { d, class: "x" })),
    ...dashed.map((d) => svg("path", { d, "stroke-dasharray": "3 3" })));
}
