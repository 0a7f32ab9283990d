"""Reports: one HTML page of a run to send to a colleague, in the language they read.

It says what was trained on which reward, whether it is better on held-out prompts and how surely,
what the alarms found, how the same prompts look before and after, and how to do it again. Pictures
and curves are inside, and it is sent piece by piece, a picture at a time.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

from PIL import Image

from backend.languages import ENGLISH
from backend.preferences.intervals import Z95
from backend.services import report_facts, report_setup
from backend.services.media import sniff
from backend.services.report_charts import Curve, Point, charts, number
from backend.services.report_facts import Facts, Gain
from backend.services.report_markup import (
    ENDED,
    NOTHING,
    Html,
    Words,
    begun,
    day,
    el,
    fact,
    joined,
    named,
    opening,
    row,
    section,
    table,
)
from backend.services.studio import Studio
from backend.services.version import code_version

SIDE = 320
"""Longest side of a picture in a report; small ones stay as they are."""


def stream(studio: Studio, run_id: int, language: str = ENGLISH) -> Iterator[bytes]:
    """The page of a run, piece by piece, in a language of `backend.languages`."""
    words = Words(language)
    facts = report_facts.read(studio, run_id)
    return (part.encode() for part in _written(studio, facts, words))


def _written(studio: Studio, facts: Facts, words: Words) -> Iterator[str]:
    yield begun(facts.run["name"], words)
    yield "<main>"
    yield _head(facts, words)
    yield _gains(facts, words)
    yield _alarms(facts, words)
    yield from _samples(studio, facts, words)
    yield _curves(facts, words)
    yield _votes(facts, words)
    yield report_setup.parts(facts, words)
    yield el("footer", words(f"Written by Palate {code_version()[:12]} on {day(time.time())}."))
    yield f"</main>{ENDED}"


# what it is, and whether it is better ------------------------------------------------------------


def _head(facts: Facts, words: Words) -> Html:
    run = facts.run
    trained = [term["name"] for term, is_trained in facts.terms if is_trained]
    method = named(run["method_title"])
    what = joined(method, " · ", named(facts.model))
    note = named(run["note"], "p", class_="note") if run["note"] else NOTHING
    failed = el("p", words(run["error"]), class_="bad") if run["error"] else NOTHING
    return el(
        "header",
        el("p", words("Report of a run"), class_="kicker"),
        named(run["name"], "h1"),
        note,
        el(
            "dl",
            fact(words("method, model"), what),
            fact(
                words("trained on rewards"), named(", ".join(trained)) if trained else _pairs(words)
            ),
            fact(
                words("status"),
                words(run["status"]),
                " · ",
                words(f"step {run['step']} of {run['num_steps']}"),
            ),
            fact(words("made"), day(run["created_at"])),
            fact(words("begun by"), named(run["owner"])) if run["owner"] else NOTHING,
            class_="facts",
        ),
        failed,
    )


def _pairs(words: Words) -> Html:
    return words("judged pairs, without a reward")


def _gains(facts: Facts, words: Words) -> Html:
    title = words.plain("Gain on held-out prompts")
    if not facts.gains:
        text = "It was not evaluated on held-out prompts after step 0, so no gain can be told."
        return el("section", el("h2", title), el("p", words(text), class_="m"))
    many = facts.run["config"]["evaluation"]["num_prompts"]
    step = facts.told_step
    about = (
        f"Step {step}, which it delivered, against the base on {many} held-out prompts."
        if step == facts.delivered
        else f"Step {step} against the base on {many} held-out prompts."
    )
    how = "Each prompt is drawn with the same noise both times; the intervals are of 95 %."
    return el(
        "section",
        el("h2", title),
        el("p", words(f"{about} {how}"), class_="m"),
        el("div", *(_card(gain, words) for gain in facts.gains), class_="cards"),
    )


VERDICTS = {1: "above the base", -1: "below the base", 0: "no change shown"}
"""By the side of 0 on which the whole interval stands."""
SHAPES = {1: "▲", -1: "▼", 0: "◆"}


def _card(gain: Gain, words: Words) -> Html:
    role = "trained on" if gain.is_trained else "only watched"
    low_high = NOTHING
    if gain.half is not None:
        ends = (number(gain.value + way * gain.half, signed=True) for way in (-1, 1))
        low_high = words(f"{next(ends)} to {next(ends)}")
    means = NOTHING
    if gain.before is not None and gain.after is not None:
        means = el("p", f"{number(gain.before)} → {number(gain.after)}", class_="m")
    verdict = joined(el("i", SHAPES[gain.verdict], aria_hidden="true"), " ", _verdict(gain, words))
    return el(
        "div",
        el("p", named(gain.name, "b"), el("span", words(role), class_="m"), class_="top"),
        el("p", number(gain.value, signed=True), class_="figure"),
        el("p", low_high, class_="range"),
        means,
        el("p", verdict, class_=("even", "up", "down")[gain.verdict]),
        class_="card",
    )


def _verdict(gain: Gain, words: Words) -> Html:
    return words(VERDICTS[gain.verdict] if gain.half is not None else "no interval is known")


def _alarms(facts: Facts, words: Words) -> Html:
    if not facts.alarms:
        none = "No alarm was raised: no rule found its reward cheated or its training unsound."
        return section(words, "Alarms", about=none)
    return section(
        words, "Alarms", el("ul", *(_alarm(one, words) for one in facts.alarms), class_="alarms")
    )


def _alarm(alarm: dict[str, Any], words: Words) -> Html:
    error = alarm["level"] == "error"
    about = named(alarm["about"]) if alarm.get("about") else NOTHING
    closed = words("closed since") if alarm.get("closed_at") else NOTHING
    return el(
        "li",
        el(
            "p",
            el("i", "▲" if error else "△", aria_hidden="true"),
            " ",
            el("b", words(alarm["title"])),
            el("span", words(f"step {alarm['step']}"), class_="m"),
            el("span", about, class_="m") if about else NOTHING,
            el("span", closed, class_="m") if closed else NOTHING,
            class_="top",
        ),
        el("p", words(alarm["text"])),
        class_="bad" if error else "warn",
    )


# pictures -----------------------------------------------------------------------------------------


def _samples(studio: Studio, facts: Facts, words: Words) -> Iterator[str]:
    """A row for each fixed prompt, a column for each step; every picture is read by itself."""
    if not facts.shown:
        return
    steps = [step for step, _ in facts.shown]
    by_prompt: dict[tuple[str, int], dict[int, dict[str, Any]]] = {}
    for step, samples in facts.shown:
        for sample in samples:
            by_prompt.setdefault((sample["prompt"], sample["seed"]), {})[step] = sample
    about = "The same prompts from the same noise; step 0 is the base."
    yield "<section>"
    yield el("h2", words("Samples before and after"))
    yield el("p", words(about), " ", _labelled(facts, words), class_="m")
    yield opening("div", class_="samples", style=f"--n:{len(steps)}")
    for (prompt, seed), drawn in by_prompt.items():
        said = el("span", words(f"seed {seed}"), class_="m")
        yield opening("div", class_="sample")
        yield el("p", named(prompt), said, class_="prompt")
        for step in steps:
            middle = "mid" if step not in (steps[0], facts.told_step or steps[-1]) else None
            yield el("figure", *_cell(studio, facts, words, step, drawn.get(step)), class_=middle)
        yield "</div>"
    yield "</div></section>"


def _labelled(facts: Facts, words: Words) -> Html:
    if not facts.main:
        return NOTHING
    return el("span", words("Under each picture:"), " ", named(facts.main))


def _cell(
    studio: Studio, facts: Facts, words: Words, step: int, sample: dict[str, Any] | None
) -> list[Html]:
    value = ((sample or {}).get("rewards") or {}).get(facts.main)
    delivered = step == facts.delivered and step > 0
    caption = el(
        "figcaption",
        el("span", words(f"step {step}"), class_="here" if delivered else None),
        el("span", number(value), class_="n") if isinstance(value, int | float) else NOTHING,
    )
    if sample is None or not studio.media.exists(sample["media"]):
        return [el("span", words("not kept"), class_="gone"), caption]
    return [_picture(studio, sample), caption]


def _picture(studio: Studio, sample: dict[str, Any]) -> Html:
    data = studio.media.read(sample["media"])
    kind = sniff(data[:16])
    with Image.open(io.BytesIO(data)) as picture:
        longest = max(picture.size)
        if longest > SIDE:
            picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            out = io.BytesIO()
            picture.convert("RGB").save(out, "JPEG", quality=85)
            data, kind = out.getvalue(), "image/jpeg"
    inside = base64.b64encode(data).decode()
    said = ", ".join(
        f"{k} {number(v)}" for k, v in (sample["rewards"] or {}).items() if v is not None
    )
    return el(
        "img",
        src=f"data:{kind};base64,{inside}",
        alt=sample["prompt"],
        title=said or None,
        translate="no",
        class_="tiny" if longest < SIDE // 2 else None,
    )


# curves -------------------------------------------------------------------------------------------


def _curves(facts: Facts, words: Words) -> Html:
    """Every reward with its 95 % band, and the few figures that say whether training is sound."""
    names = [term["name"] for term, _ in facts.terms]
    colour = {name: place for place, name in enumerate(names, 1)}

    def of(start: str, *, held: bool = False) -> Html:
        rows = facts.evaluated if held else facts.trained
        keys = {key.removeprefix(start) for _, m in rows for key in m if key.startswith(start)}
        listed = [name for name in names if name in keys] + sorted(keys - {*names})
        return charts(
            words,
            [
                Curve(
                    named(name),
                    name,
                    _points(rows, start + name, f"{start.removesuffix('/')}_se/{name}"),
                    colour.get(name, 0),
                    signed=start == "gain/",
                )
                for name in listed
            ],
        )

    singles = {
        "spread": words.plain("Group spread"),
        "diversity": words.plain("Diversity"),
        "kl": words.plain("Distance from the base"),
        "clip_share": words.plain("Clipped share"),
        "grad_norm": words.plain("Gradient norm"),
        "groups_kept": words.plain("Groups kept"),
        "dpo_accuracy": words.plain("Pairs as judged"),
        "loss": words.plain("Loss"),
    }
    sound = [
        Curve(Html(title), title, _points(facts.trained, key, "")) for key, title in singles.items()
    ]
    parts = (
        ("Gain on held-out prompts by step", of("gain/", held=True)),
        ("Rewards on held-out prompts", "" if facts.gains else of("heldout/", held=True)),
        ("Rewards while training", of("reward/")),
        ("How it trained", charts(words, sound)),
    )
    return joined(*(section(words, title, Html(drawn)) for title, drawn in parts if drawn))


def _points(rows: report_facts.Records, key: str, error: str) -> list[Point]:
    return [
        (step, float(m[key]), float(m.get(error) or 0.0) * Z95)
        for step, m in rows
        if isinstance(m.get(key), int | float)
    ]


# what people said ---------------------------------------------------------------------------------


def _votes(facts: Facts, words: Words) -> Html:
    if not facts.votes:
        return NOTHING
    rows = [
        row(
            named(vote.tuned),
            named(vote.base),
            words(vote.who),
            joined(
                f"{vote.win_rate:.0%} ", el("span", f"({vote.low:.0%}–{vote.high:.0%})", class_="m")
            ),
            str(vote.pairs),
        )
        for vote in facts.votes
    ]
    heads = [words(h) for h in ("model", "against", "judged by", "wins, 95 % interval", "pairs")]
    about = "Pairs were shown without saying which model drew which; a tie counts half."
    return section(words, "Judged blind", table(heads, rows), about=about)
