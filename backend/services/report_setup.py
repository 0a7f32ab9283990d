"""The part of a report that says how a run was made: rewards, models, prompts, cost, what differs
from the run it was cloned from; and how to make it again."""

from __future__ import annotations

import json
from typing import Any

from backend import registry
from backend.services import bundles
from backend.services.durations import spell
from backend.services.report_facts import Facts
from backend.services.report_markup import (
    NOTHING,
    Html,
    Words,
    el,
    fact,
    joined,
    named,
    row,
    section,
    table,
)

SHORT = 12
"""Letters of a hash or a commit that are shown."""


def parts(facts: Facts, words: Words) -> Html:
    """All of it, the settings whole at the end."""
    return joined(
        _rewards(facts, words),
        _setup(facts, words),
        _changes(facts, words),
        NOTHING if facts.run["imported"] else _again(facts, words),
        _settings(facts, words),
    )


def _rewards(facts: Facts, words: Words) -> Html:
    if not facts.terms:
        return NOTHING
    rows = []
    for term, is_trained in facts.terms:
        only = joined(words("only prompts with"), " ", named(term["only"]))
        rows.append(
            row(
                named(term["name"], "b"),
                joined(
                    el("div", _kind(term["kind"], "TITLE", words)),
                    el("div", _kind(term["kind"], "SUMMARY", words), class_="m"),
                    el("div", only, class_="m") if term["only"] else NOTHING,
                ),
                f"{term['weight']:g}" if is_trained else words("only watched"),
            )
        )
    heads = [words("reward"), words("what it measures"), words("weight")]
    return section(words, "Rewards", table(heads, rows))


def _kind(kind: str, what: str, words: Words) -> Html:
    """What the file of a reward says of itself; its key when the file is gone."""
    if kind not in registry.rewards.names():
        return named(kind) if what == "TITLE" else NOTHING
    return words(str(getattr(registry.rewards.get(kind), what)))


def _setup(facts: Facts, words: Words) -> Html:
    run, config = facts.run, facts.run["config"]
    method, sampling, optim = config["method"]["name"], config["sampling"], config["optim"]
    updates = max(run["step"], 1)
    lines = [fact(words("method"), *_method(method, run["method_title"], words))]
    lines.append(fact(words("model"), named(facts.model), " · ", named(config["policy"]["family"])))
    for key, word in (
        ("prompt_set", "prompts to train on"),
        ("heldout_set", "prompts to evaluate on"),
    ):
        if config[key]:
            many = facts.prompts.get(config[key])
            said = f" · {many:,}" if many is not None else ""
            lines.append(fact(words(word), named(config[key]), said))
    drawn = (
        f"{sampling['prompts_per_step']} prompts a step, {sampling['num_steps']} denoising steps"
    )
    lines.append(fact(words("rollouts"), words(drawn)))
    if optim["train"] == "lora":
        said = words(f"LoRA of rank {optim['lora_rank']}")
    else:
        said = words("all weights of the network")
    lines.append(fact(words("what is trained"), said))
    lines.append(fact(words("learning rate"), f"{optim['lr']:g}"))
    if facts.seconds:
        per = words(f"{facts.seconds / updates:.1f} s an update")
        lines.append(fact(words("time of training"), words(spell(facts.seconds)), " · ", per))
    if facts.nfe:
        lines.append(fact(words("network evaluations"), f"{facts.nfe:,}"))
    lines.append(fact(words("seed"), str(run["seed"])))
    lines.append(fact(words("code version"), el("code", run["code_version"] or "—")))
    hashes = bundles.media_of(config)
    if hashes:
        found = (el("code", one[:SHORT]) for one in hashes)
        lines.append(fact(words("weights and references"), *(joined(one, " ") for one in found)))
    return section(words, "Set-up", el("dl", *lines, class_="kv"))


def _method(name: str, title: str, words: Words) -> tuple[str, ...]:
    if name not in registry.methods.names():
        return (named(title),)
    found = registry.methods.get(name)
    about = el("div", words(found.SUMMARY), class_="m")
    return named(title), " · ", named(found.SOURCE), about


def _changes(facts: Facts, words: Words) -> Html:
    if not facts.run["diff"]:
        return NOTHING
    rows = [
        row(
            el("code", one["key"]),
            el("code", _value(one["parent"])),
            el("code", _value(one["mine"])),
        )
        for one in facts.run["diff"]
    ]
    heads = [words("setting"), words("its parent"), words("this run")]
    return section(words, "What differs from its parent", table(heads, rows))


def _value(value: Any) -> str:
    return "—" if value is None else json.dumps(value, ensure_ascii=False)


def _again(facts: Facts, words: Words) -> Html:
    run = facts.run
    name = bundles.named(run["name"], run["id"], ".zip")
    about = (
        "The bundle of this run holds its settings, prompts, seeds, metrics, adapters and samples. "
        "On the same machine with the same packages a replay repeats every figure to the bit."
    )
    lines = f"palate bundle {run['id']}\npalate replay {name}\npalate replay {name} --against RUN"
    changed = NOTHING
    if facts.changes:
        text = "People changed settings while it ran: from there a replay goes another way."
        changed = el("p", words(text), class_="m")
    loading = NOTHING
    if run["tuned_policy_id"] or run["checkpoints"]:
        folder, _, file = bundles.DELIVERED.partition("/")
        code = f'pipeline.load_lora_weights("{folder}", weight_name="{file}")'
        text = "The adapter in the bundle loads in stock diffusers:"
        loading = joined(el("p", words(text), class_="m"), el("pre", code))
    return section(words, "Do it again", el("pre", lines), changed, loading, about=about)


def _settings(facts: Facts, words: Words) -> Html:
    config = json.dumps(facts.run["config"], indent=1, ensure_ascii=False)
    summary = el("summary", el("h2", words("All settings")))
    return el("section", el("details", summary, el("pre", config)))
