"""Settings of a run, checked against what its project has before anything is written down."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from backend.errors import ConfigError
from backend.rl.recipe import RewardTerm, RunConfig, learns_from_pairs
from backend.services import rewards
from backend.services.studio import Studio
from db import queries
from db.tables import PromptSet

WHOLE = ("settings", "config")
"""Settings that are taken whole where changes are laid over them: those of another kind must go."""


def resolve(studio: Studio, project_id: int, config: dict[str, Any]) -> RunConfig:
    """The whole config with every default written out, checked against what this project has.

    A prompt set that is not named is the project's first of that split. Raises ConfigError with the
    path of the setting that is at fault.
    """
    read = RunConfig.read(config)
    named = {
        "prompt_set": _set_name(studio, project_id, read.prompt_set, "train", "prompt_set"),
        "heldout_set": _set_name(studio, project_id, read.heldout_set, "heldout", "heldout_set"),
        "rewards": _terms(studio, read.rewards, "rewards"),
        "watch": _terms(studio, read.watch, "watch"),
    }
    return read.model_copy(update=named)


def shared_prompts(studio: Studio, project_id: int, config: RunConfig) -> int:
    """Prompts that are both trained on and evaluated on."""
    with studio.read() as session:
        train = queries.prompt_set_named(session, project_id, config.prompt_set)
        heldout = queries.prompt_set_named(session, project_id, config.heldout_set)
        if train is None or heldout is None:
            return 0
        return queries.shared_prompts(session, train.id, heldout.id)


def judged_pairs(studio: Studio, project_id: int, config: RunConfig) -> tuple[int, int, int]:
    """(of those this config learns from, people's, simulated) decided pairs that are not held
    out."""
    with studio.read() as session:
        people, simulated = queries.decided_pairs(session, project_id, config.heldout_set)
    both = {"people": people, "simulated": simulated, "both": people + simulated}
    return both[config.labels], people, simulated


def check_pairs(studio: Studio, project_id: int, config: RunConfig) -> None:
    """A method that learns from judged pairs alone needs some."""
    if not learns_from_pairs(config):
        return
    found, people, simulated = judged_pairs(studio, project_id, config)
    if not found:
        raise ConfigError(
            f"'{config.method.name}' learns from judged pairs alone, and on prompts that are not "
            f"held out there are {people} from people and {simulated} simulated; label some, or "
            "let it learn from the others' too.",
            field="labels",
        )


def lay(config: dict[str, Any], path: list[str], value: Any) -> None:
    """Put a value at a path; a dict is laid over a dict key by key.

    The settings of a method, a model or a reward are taken whole: those of another kind must go.
    """
    key, rest = path[0], path[1:]
    inside = config.get(key)
    both = isinstance(value, dict) and isinstance(inside, dict) and key not in WHOLE
    if rest or both:
        if not isinstance(inside, dict):
            inside = config[key] = {}
        for name, inner in [(rest[0], value)] if rest else value.items():
            lay(inside, [name, *rest[1:]], inner)
    else:
        config[key] = value


def _terms(studio: Studio, terms: list[RewardTerm], at: str) -> list[RewardTerm]:
    found = []
    for number, term in enumerate(terms):
        settings = rewards.read_config(studio, term.kind, term.config, f"{at}.{number}.config")
        found.append(term.model_copy(update={"config": settings.plain()}))
    return found


def _set_name(studio: Studio, project_id: int, name: str, split: str, field: str) -> str:
    with studio.read() as session:
        if name:
            found = queries.prompt_set_named(session, project_id, name)
        else:
            found = session.scalar(
                select(PromptSet)
                .where(PromptSet.project_id == project_id, PromptSet.split == split)
                .order_by(PromptSet.id)
                .limit(1)
            )
        if found is not None:
            return found.name
    missing = (
        f"There is no prompt set '{name}' in this project; import one on the Prompts page."
        if name
        else f"There is no prompt set of split '{split}' in this project; import one on the "
        "Prompts page."
    )
    raise ConfigError(missing, field=field)


def checked_name(name: str) -> str:
    """A run's name without needless spaces; refuses what could not be shown in a line."""
    clean = " ".join(name.split())
    if not 1 <= len(clean) <= 200 or not clean.isprintable():
        raise ConfigError("A run needs a name of 1 to 200 printable characters.", field="name")
    return clean
