"""Rollouts as other trainers log them: one record of a file is one sample with its rewards.

Two layouts are known, and what lies between them:

    flow_grpo   {"epoch" or "global_step", "prompt", "image", "rewards": {"avg": …, "ocr": …},
                "advantages": … }, rewards also as columns `reward_ocr` or `rewards/ocr`
    TRL         its completions: "step", "prompt", "completion", "advantage", and a column for every
                reward function; a picture in "image" or "images", or named by the completion

A total is what `avg` (before it `ori_avg`), `reward` or `total` says. Where a list says it for
every denoising step, its mean is taken. Prompts and completions may be chats: the last turn speaks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.preferences.formats import Fault, picture

STEPS: Final = ("step", "global_step", "epoch", "iteration")
PROMPTS: Final = ("prompt", "caption")
PICTURES: Final = ("image", "images", "image_path", "image_file", "file_name", "path")
TEXTS: Final = ("completion", "response")
ADVANTAGES: Final = ("advantage", "advantages")
TOTALS: Final = ("ori_avg", "avg", "reward", "total", "total_reward")
GROUPS: Final = ("group", "group_id")
OTHERS: Final = frozenset(
    {*STEPS, *PROMPTS, *PICTURES, *TEXTS, *ADVANTAGES, *TOTALS, *GROUPS, "rewards", "seed"}
    | {"index", "idx", "id", "mode", "rank", "timestep", "timesteps", "width", "height"}
    | {"num_tokens", "completion_length", "answer", "__index_level_0__"}
)
"""Columns of numbers that are no rewards."""
LONGEST: Final = 4_000
"""Characters of a completion that are kept."""
MOST_REWARDS: Final = 32
_PICTURE = re.compile(r"\S+\.(png|jpe?g|webp)", re.I)
_REWARD = re.compile(r"(?:rewards?[/_.])(?P<name>.+)")
_NUMBER = re.compile(r"(\d+)\D*$")
Floats = NDArray[np.float64]


@dataclass
class Logged:
    """One sample that another trainer drew; `picture` names a file or one of `blobs`."""

    step: int
    prompt: str
    group: str = ""
    picture: str = ""
    text: str = ""
    rewards: dict[str, float | None] = field(default_factory=dict)
    total: float | None = None
    advantage: float | None = None
    seed: int | None = None
    blobs: dict[str, bytes] = field(default_factory=dict, repr=False)


def read(record: dict[str, Any], file: str = "") -> Logged:
    """What a record says; a Fault names the column that is at fault.

    A step that no column says is the last number in the file's name.
    """
    row = Logged(_step(record, file), _prompt(record))
    named = (record[key] for key in GROUPS if record.get(key) is not None)
    row.group = str(next(named, ""))[:200]
    completion = next((_said(record[key]) for key in TEXTS if record.get(key)), "")
    row.picture = _picture(record, row.blobs)
    if not row.picture and _PICTURE.fullmatch(completion.strip()):
        row.picture = completion.strip()
    else:
        row.text = completion[:LONGEST]
    if not row.picture and not row.text:
        raise Fault("image", "is missing, and there is no completion either")
    row.rewards, row.total = _rewards(record)
    row.advantage = _first(record, ADVANTAGES)
    if not row.rewards and row.total is None:
        raise Fault("rewards", "are missing: no column of numbers is a reward")
    if not row.rewards:
        row.rewards, row.total = {"reward": row.total}, None
    seed = record.get("seed")
    row.seed = seed if isinstance(seed, int) and 0 <= seed < 2**63 else None
    return row


def weights(rewards: Sequence[str], value_NR: Floats, total_N: Floats) -> Floats | None:
    """The weights (R,) with which totals follow from the rewards; None when none are seen.

    Least squares over the samples that have everything; only weights that meet every total to a
    thousandth of their spread count.
    """
    known = np.isfinite(value_NR).all(axis=1) & np.isfinite(total_N)
    if known.sum() < len(rewards) + 1:
        return None
    found, _residual, rank, _singular = np.linalg.lstsq(value_NR[known], total_N[known], rcond=None)
    off = np.abs(value_NR[known] @ found - total_N[known]).max()
    spread = float(total_N[known].std())
    if rank < len(rewards) or spread == 0 or off > 1e-3 * spread:
        return None
    return np.asarray(np.round(found, 6))


def advantages(total_N: Floats) -> Floats:
    """(total − mean) / (standard deviation + 1e-4) over one group, NaN where there is no total."""
    known = total_N[np.isfinite(total_N)]
    if len(known) < 2:
        return np.where(np.isfinite(total_N), 0.0, np.nan)
    return np.asarray((total_N - known.mean()) / (known.std(ddof=1) + 1e-4))


def divisor(total_N: Floats, advantage_N: Floats) -> float | None:
    """By what (total − mean) was divided to become the advantages of a group; None where they do
    not follow from its totals. An advantage of nothing but zeros follows from any."""
    known = np.isfinite(total_N) & np.isfinite(advantage_N)
    if known.sum() < 2:
        return None
    away = total_N[known] - total_N[known].mean()
    size = float(away @ away)
    slope = float(advantage_N[known] @ away) / size if size > 0 else 0.0
    if not slope > 0 or np.abs(slope * away - advantage_N[known]).max() > 1e-3:
        return None
    return 1 / slope


def _step(record: dict[str, Any], file: str) -> int:
    for key in STEPS:
        value = record.get(key)
        if value is None:
            continue
        try:
            step = int(float(value))
        except (TypeError, ValueError, OverflowError):
            raise Fault(key, "is no whole number") from None
        if not 0 <= step < 2**31:
            raise Fault(key, "is below 0 or beyond what a step can be")
        return step
    found = _NUMBER.search(file.rsplit("/", 1)[-1].rsplit(".", 1)[0])
    if found and len(found[1]) < 10:
        return int(found[1])
    raise Fault("step", "is missing, and the file's name ends in no number")


def _prompt(record: dict[str, Any]) -> str:
    for key in PROMPTS:
        if record.get(key):
            return " ".join(_said(record[key]).split())
    raise Fault("prompt", "is missing")


def _said(value: Any) -> str:
    """Text, or what the last turn of a chat says in words."""
    if isinstance(value, list) and value:
        return _said(value[-1])
    if isinstance(value, dict):
        content = value.get("content", value.get("text", ""))
        if isinstance(content, list):
            return " ".join(_said(part) for part in content if isinstance(part, dict))
        return content if isinstance(content, str) else ""
    return value if isinstance(value, str) else ""


def _picture(record: dict[str, Any], blobs: dict[str, bytes]) -> str:
    for key in PICTURES:
        value = record.get(key)
        if isinstance(value, list):
            value = value[0] if value else None
        if value:
            return picture({key: value}, key, blobs)
    return ""


def _rewards(record: dict[str, Any]) -> tuple[dict[str, float | None], float | None]:
    """(rewards by name, total)."""
    given = record.get("rewards")
    found: dict[str, float | None] = {}
    if isinstance(given, dict):
        found = {str(name): _number(value) for name, value in given.items() if _is_figure(value)}
    elif given is not None and _is_figure(given):
        found = {"reward": _number(given)}
    for key, value in record.items():
        named = _REWARD.fullmatch(key)
        if named and key not in OTHERS and _is_figure(value):
            found[named["name"]] = _number(value)
        elif value is not None and not isinstance(given, dict | list) and _is_bare(key, value):
            found[key] = _number(value)
    total = next((found[key] for key in TOTALS if found.get(key) is not None), None)
    if total is None:
        total = _first(record, TOTALS)
    found = {name: value for name, value in found.items() if name not in TOTALS}
    if len(found) > MOST_REWARDS:
        raise Fault("rewards", f"are {len(found)}; {MOST_REWARDS} can be kept")
    return found, total


def _first(record: dict[str, Any], keys: Sequence[str]) -> float | None:
    values = (_number(record[key]) for key in keys if key in record and _is_figure(record[key]))
    return next((value for value in values if value is not None), None)


def _is_figure(value: Any) -> bool:
    """A number, a list of numbers, or nothing where a number might be."""
    if isinstance(value, list | tuple):
        return bool(value) and all(_is_figure(one) for one in value)
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_bare(key: str, value: Any) -> bool:
    """A column that is a reward because it holds a number and nothing else is known of it."""
    return key not in OTHERS and _is_figure(value)


def _number(value: Any) -> float | None:
    if isinstance(value, list | tuple):
        known = [one for one in map(_number, value) if one is not None]
        if len(set(known)) == 1:  # the mean would round it
            return known[0]
        return sum(known) / len(known) if known else None
    return float(value) if value is not None and math.isfinite(value) else None
