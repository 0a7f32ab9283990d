"""Alarms: signs that a run's numbers rise for the wrong reason, or mean nothing any more.

A rule is data: what it looks at, how far is too far, for how long. `RULES` is open: a metric that
is recorded tomorrow is watched by one more entry. A rule looks at the end of a run's story and
says what holds there; whoever asks remembers since when. The limits were set on runs of the pocket
world that cheat and runs that do not: `palate bench alarms`, docs/benchmarks.md.
"""

from __future__ import annotations

import math

from backend.rl import signs
from backend.rl.signs import KEPT as KEPT
from backend.rl.signs import Finding as Finding
from backend.rl.signs import Rule as Rule
from backend.rl.signs import Story as Story
from backend.rl.signs import is_number as is_number


def look(story: Story) -> list[Finding]:
    """Everything that holds at the end of a story, errors first."""
    found = []
    for name, rule in RULES.items():
        for about, step, value in rule.find(story, rule):
            shown = math.nan if value is None else value
            text = rule.says.format(about=about, value=shown, limit=rule.limit)
            found.append(Finding(name, about, step, value, text))
    return sorted(found, key=lambda one: RULES[one.rule].level != "error")


# --- the rules ----------------------------------------------------------------------------------

RULES: dict[str, Rule] = {
    "not-a-number": Rule(
        "A figure is not a number",
        "any figure of an update or an evaluation has no finite value",
        "{about} has no finite value.",
        signs.not_finite,
        limit=0,
        level="error",
        shows="log",
    ),
    "missing": Rule(
        "A reward is missing",
        "a reward, trained or watched, fails on more than {limit} of the pictures it is asked "
        "about",
        "'{about}' gave no value for {value:.0%} of the pictures.",
        signs.either(signs.holds("missing/"), signs.stands("missing/")),
        limit=0.1,
        level="error",
        shows="log",
    ),
    "leans": Rule(
        "A reward fails on pictures of one kind",
        "over {window} updates together, pictures that a reward fails on differ in a look from "
        "their siblings by {limit} standard errors",
        "Pictures that a reward fails on differ from their siblings by {value:+.1f} standard "
        "errors ({about}), so what is learned from the rest leans.",
        signs.off("lean/"),
        limit=4.0,
        window=8,
        shows="rollouts",
    ),
    "judge-split": Rule(
        "The reward may be cheated",
        "at {window} evaluations in a row a trained reward stands higher than at a watched one's "
        "best, and the watched one {limit} standard errors under that best",
        "'{about}', which is not trained, has come down by {value:.3g} from its best on held-out "
        "prompts while the trained reward went on rising.",
        signs.parts,
        limit=2.0,
        window=2,
        level="error",
        shows="rollouts",
        chart="hero",
    ),
    "conflict": Rule(
        "Two rewards pull apart",
        "the correlation of two rewards inside groups is below {limit} for {window} updates",
        "Inside groups {about} have a correlation of {value:.2f}: where one is high, the other is "
        "low.",
        signs.holds("agreement/", below=True),
        limit=-0.3,
        window=10,
        shows="rollouts",
    ),
    "no-spread": Rule(
        "Few groups teach anything",
        "more than {limit} of the groups have no spread for {window} updates",
        "{value:.0%} of the groups differ too little to learn from.",
        signs.holds("groups_kept", over="groups_total"),
        limit=0.5,
        window=3,
        shows="rollouts",
        chart="spread",
    ),
    "bound": Rule(
        "A reward is at its end",
        "more than {limit} of the samples stand at an end of a reward's range for {window} updates",
        "{value:.0%} of the samples have the highest or lowest '{about}' there is.",
        signs.holds("bound/"),
        limit=0.2,
        window=3,
        shows="rollouts",
        chart="rewards",
    ),
    "diversity": Rule(
        "Pictures become alike",
        "pictures of one prompt differ less than {limit} of what they did before the run",
        "Pictures of one prompt differ {value:.0%} as much as before the run.",
        signs.falls("diversity"),
        limit=0.6,
        shows="samples",
        chart="diversity",
    ),
    "prompts": Rule(
        "All prompts look alike",
        "pictures of different prompts differ less than {limit} of what they did before the run",
        "Pictures of different prompts differ {value:.0%} as much as before the run.",
        signs.falls("prompts_apart"),
        limit=0.6,
        shows="samples",
        chart="diversity",
    ),
    "dependence": Rule(
        "Pictures no longer mind the prompt",
        "with another's prompt a reward loses less than {limit} of what it lost at the base",
        "What '{about}' loses with another's prompt is {value:.0%} of what it lost at the base.",
        signs.falls("dependence/", least=0.02),
        limit=0.5,
        shows="samples",
    ),
    "bought": Rule(
        "The reward pays for a look",
        "plain looks explain more than {limit} of the advantages for {window} updates",
        "{value:.0%} of the advantages follow from brightness, saturation, contrast, texture and "
        "the like, whatever is shown.",
        signs.holds("style_r2"),
        limit=0.3,
        window=5,
        shows="rollouts",
    ),
    "texture": Rule(
        "Texture drifts",
        "the finest detail of held-out pictures is {limit} deviations off the base",
        "The finest detail of held-out pictures is {value:+.1f} deviations off the base: grain, "
        "ringing or smear.",
        signs.drifts("style/", "style_sd/", "texture"),
        limit=0.5,
        shows="samples",
        chart="style",
    ),
    "look": Rule(
        "The look drifts",
        "brightness, contrast or saturation of held-out pictures is {limit} deviations off the "
        "base",
        "The {about} of held-out pictures is {value:+.1f} deviations off the base, whatever they "
        "show.",
        signs.drifts("style/", "style_sd/", "brightness", "contrast", "saturation"),
        limit=0.5,
        shows="samples",
        chart="style",
    ),
    "text": Rule(
        "Pictures fill with text",
        "the share of pictures with readable text is {limit} times that of the base",
        "Readable text is in {value:.1f} times as many held-out pictures as before the run.",
        signs.grows("style/text"),
        limit=2.0,
        shows="samples",
        chart="style",
    ),
    "grid": Rule(
        "Pictures repeat themselves",
        "held-out pictures repeat themselves, as tiles and grids do, {limit} times as much as at "
        "the base",
        "Held-out pictures repeat themselves {value:.1f} times as much as before the run: tiles or "
        "a grid.",
        signs.grows("style/tiling"),
        limit=1.2,
        shows="samples",
        chart="style",
    ),
    "leverage": Rule(
        "A cheap edit buys the reward",
        "one of eight cheap edits raises a reward by more than {limit} of its spread on held-out "
        "pictures",
        "A cheap edit, which makes no picture better, raises '{about}' by {value:.1f} times its "
        "spread on held-out pictures.",
        signs.stands("leverage/"),
        limit=1.0,
        shows="samples",
    ),
    "unsure": Rule(
        "A reward no longer knows the pictures",
        "a reward abstains from held-out pictures, or doubts what it says of them, {limit} times "
        "as much as at the base",
        "'{about}' abstains or doubts {value:.1f} times as much as before the run; label pictures "
        "of the present policy.",
        signs.grows("abstained/", "unsure/"),
        limit=2.0,
        shows="samples",
    ),
    "spike": Rule(
        "An update leaps",
        "gradient norm, distance, clipped share or ratio is {limit} times its running median",
        "{about} is {value:.0f} times its running median.",
        signs.spikes("grad_norm", "kl", "clip_share", "ratio_max_dev"),
        limit=5.0,
        window=20,
        chart="grad",
    ),
    "clipped": Rule(
        "Most of the update is clipped",
        "more than {limit} of the edges are clipped",
        "{value:.0%} of the edges are clipped; lower the learning rate.",
        signs.holds("clip_share"),
        limit=0.5,
        chart="clip",
    ),
}
"""Every rule by its name, which settings and webhooks use."""
