"""What the choices of a setting are called. A Config names them as a file spells them; a form shows
these words and keeps the value. A choice without words here is a proper name, the same in every
language.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

WORDS: dict[str, dict[str, str]] = {
    "against": {"references": "references of the prompt", "siblings": "siblings of a group"},
    "ask": {
        "choice": "choice: the verdict alone",
        "verdict": "verdict: reasons first",
        "scores": "scores: two that add up to 1",
        "think": "think: dimensions, then the answer",
        "flex": "flex: categories of its own",
        "criterion": "criterion: one thing alone",
        "point": "point: a reason, then 1 to 5",
        "yes": "yes: yes against no",
        "checklist": "checklist: your items",
        "rubric": "rubric: your items with evidence",
        "words": "words: how wrong each is drawn",
        "rational": "rational: a critique in aspects",
        "errors": "errors: what is wrong",
    },
    "aspect": {
        "total": "the whole judgement",
        "present": "all things are there",
        "colour": "their colours",
        "shape": "their shapes",
        "size": "their sizes",
        "count": "how many there are",
        "relation": "where they stand",
        "background": "the background",
        "nothing_extra": "nothing else is there",
    },
    "backup": {"mean": "mean of the leaves", "softmax": "softmax of log-probabilities"},
    "coin_gate": {
        "complete": "where all pairs are judged",
        "always": "in every group",
        "never": "in no group",
    },
    "combine": {
        "each": "normalise each, then add up",
        "sum": "add up, then normalise",
        "pareto": "who beats whom (Pareto)",
    },
    "compare": {"seed": "within a trunk", "prompt": "over all trunks"},
    "difficulty": {
        "none": "all prompts alike",
        "peak": "peak: by 4p(1 − p)",
        "band": "band: p of 0.2 to 0.8",
    },
    "draw": {
        "schedule": "the sampling schedule",
        "uniform": "evenly spread",
        "logit-normal": "mostly the middle (logit-normal)",
    },
    "formula": {"cosine": "plain cosine", "paper": "as in the paper, 2.5 · max(cosine, 0)"},
    "kl_on": {
        "velocity": "the velocity",
        "mean": "the step's mean",
        "mean-dt": "the step's mean with Δ",
    },
    "labels": {
        "people": "people's judgements",
        "simulated": "simulated judgements",
        "both": "both kinds of judgements",
    },
    "move": {
        "frozen": "not at all",
        "progressive": "step by step",
        "decaying": "ever faster",
        "random": "at random",
    },
    "order": {"random": "once, in random order", "both": "in both orders"},
    "prefer": {
        "bright": "bright pictures",
        "dark": "dark pictures",
        "large": "hard to compress",
        "small": "easy to compress",
        "vivid": "vivid pictures",
        "muted": "muted pictures",
    },
    "ratio": {"plain": "plain ratio", "guard": "guard: bias and noise removed"},
    "reduce": {"mean": "mean of all words", "least": "the least of all words"},
    "respect": {
        "mean": "mean of all three",
        "alignment": "fits the prompt",
        "coherence": "hangs together",
        "style": "its style",
    },
    "role": {
        "sum": "part of the sum",
        "gate": "gate: leaves out",
        "soft-gate": "soft gate: counts less",
    },
    "scale": {
        "run": "as all others",
        "batch": "spread of the batch",
        "group": "spread of the group",
        "none": "no division",
        "frozen": "spread at the base (frozen)",
    },
    "server": {
        "plain": "plain: answers in free text",
    },
    "step_weight": {
        "none": "all steps alike",
        "noise": "by the step's noise",
        "inverse-dt": "by 1/Δ",
    },
    "source": {"labels": "stored judged pairs", "rollouts": "best and worst drawn now"},
    "taste": {"first": "the first taste", "second": "the second taste", "both": "mean of both"},
    "train": {"lora": "a LoRA adapter", "full": "all weights"},
    "transform": {
        "none": "no transform",
        "log": "logarithm (log)",
        "rank": "rank only",
        "sign": "sign only",
        "log-sigmoid": "saturating (log-sigmoid)",
        "threshold": "above a threshold",
    },
    "value": {"strict": "all or nothing", "share": "share that holds"},
    "way": {"best": "draw several, keep the best", "refine": "ask again in other words"},
    "weights_of": {"judge": "the judge", "biased": "its biased twin"},
    "where": {"inline": "in the training process", "workers": "by score workers"},
    "width_pruning": {
        "none": "all leaves",
        "best": "the best leaf",
        "extremes": "best and worst leaf",
    },
}
"""Name of a setting → value → words. Settings of the same name share theirs."""
PROPER = {
    "dtype": ("float32", "bfloat16", "float16"),
    "kernel": ("flow-sde", "const-sde", "table-sde", "cps"),
    "server": ("vllm", "openai", "systemone"),
    "solver": ("euler", "dpm2"),
}
"""Those that are called what they are."""


def labels(name: str, choices: Sequence[Any]) -> dict[str, str]:
    """Value → words, of the choices of a setting that have any."""
    words = WORDS.get(name, {})
    return {value: words[value] for value in choices if value in words}
