"""What rewards say of a set of pictures, and how far they agree with the people who judged it.

A pair's verdict is what most of its decided answers say; ties and draws are no verdict. A reward
agrees where it gives the chosen picture the higher value, and half where it gives both the same.
Beside it stands the people's own ceiling: how often one person agrees with the rest on the same
kind of pair. Intervals are over prompts, those of plain shares after Wilson besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.errors import InputError, PalateError
from backend.preferences import agreement as people
from backend.preferences import clustered
from backend.preferences.intervals import wilson
from backend.preferences.ledger import OVERALL, Answers
from backend.rewards._prompt_kinds import KINDS, kinds_of
from backend.services import ledgers, reward_sets, rewards, samples
from backend.services.ledgers import Warm
from backend.services.quality import finite, plain
from backend.services.reward_sets import Said, Shown
from backend.services.studio import Studio
from db import queries

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FAULTS: Final = 12
"""Pictures without a value that are shown, of each reward."""
DIGITS: Final = 9
"""Significant digits of values that a page gets: more than any reward's noise."""
MOST_WORDS: Final = 6


@dataclass(frozen=True)
class Verdicts:
    """Pairs that most people decided, by columns (P,)."""

    sample_a: Ints
    sample_b: Ints
    prompt: Ints
    a_won: NDArray[np.bool_]


@dataclass(frozen=True)
class _Peers:
    """Answers held against the rest of their pair: (M,) whether they agree, and the prompt."""

    same: Floats
    prompt: Ints


def points(
    studio: Studio, project_id: int, key: str, reward_ids: Sequence[int], *, simulated: bool = False
) -> dict[str, Any]:
    """A set by columns: {ids, prompts, prompt, urls, widths, rewards, judged, correlations}.

    `prompt` says which of `prompts` each picture has. Of each reward: {id, name, version, values,
    missing, stale, faults: [{row, status, detail}]}; None is a missing value. `judged` are rows
    [first, second, whether the first was chosen] of the pairs inside the set that people decided.
    `correlations` of every two rewards: {a, b, ranks, inside}, with intervals over prompts.
    """
    shown = reward_sets.resolve(studio, project_id, key)
    ids = [one.id for one in shown]
    said = {i: reward_sets.values(studio, i, ids) for i in _some(studio, project_id, reward_ids)}
    texts: dict[str, int] = {}
    at = [texts.setdefault(one.prompt, len(texts)) for one in shown]
    with ledgers.opened(studio, project_id) as warm:
        verdicts = _verdicts(warm, ledgers.answers_of(warm, OVERALL, None, simulated))
    return {
        "ids": ids,
        "prompts": list(texts),
        "prompt": at,
        "urls": [samples.url(one.media) for one in shown],
        "widths": [one.width for one in shown],
        "rewards": [_column(studio, i, one) for i, one in said.items()],
        "judged": _inside(verdicts, ids),
        "correlations": _correlations(said, np.array(at, dtype=np.int64)),
    }


def agreement(
    studio: Studio,
    project_id: int,
    reward_ids: Sequence[int],
    *,
    study_id: int | None = None,
    simulated: bool = False,
    words: Sequence[str] = (),
) -> dict[str, Any]:
    """How far rewards agree with people: {pairs, prompts, rows}.

    Rows are {name, by, pairs, people, rewards: {id: {value, low, high, num, wilson: {...}}}}: all
    pairs, then by aspect, by kind of prompt, and by the prompts that contain given words.
    """
    if len(words) > MOST_WORDS:
        raise InputError(f"{len(words)} words are too many; ask about {MOST_WORDS} at a time.")
    ids = reward_sets.checked_rewards(studio, project_id, reward_ids)
    with ledgers.opened(studio, project_id) as warm:
        asked: list[tuple[str, str]] = [("all pairs", OVERALL)]
        asked += [(name, name) for name in warm.ledger.aspects]
        given = []
        for title, aspect in asked:
            answers = ledgers.answers_of(warm, aspect, study_id, simulated)
            given.append((title, _verdicts(warm, answers), _peers(warm, answers)))
    wanted = np.unique(np.concatenate([np.r_[v.sample_a, v.sample_b] for _, v, _ in given]))
    values = {i: reward_sets.values(studio, i, wanted.tolist()).values for i in ids}
    known = {i: dict(zip(wanted.tolist(), v.tolist(), strict=True)) for i, v in values.items()}
    everything = given[0][1]
    texts = _texts(studio, np.r_[everything.prompt, given[0][2].prompt])
    rows = []
    for number, (title, verdicts, peers) in enumerate(given):
        if number == 0 or len(verdicts.prompt):
            rows.append(_row(title, "aspect" if number else "all", verdicts, peers, known))
    for name, by, of_class in _classes(texts, words):
        mine = np.isin(everything.prompt, of_class)
        theirs = given[0][2]
        here = np.isin(theirs.prompt, of_class)
        some = _Peers(theirs.same[here], theirs.prompt[here])
        if mine.any():
            rows.append(_row(name, by, _where(everything, mine), some, known))
    prompts = len(np.unique(everything.prompt))
    return {"pairs": len(everything.prompt), "prompts": prompts, "rows": rows}


# --- people -------------------------------------------------------------------------------------


def _verdicts(warm: Warm, answers: Answers) -> Verdicts:
    starts = people.starts(answers.pair)
    slot = np.cumsum(starts) - 1
    lead = np.bincount(slot, weights=ledgers.toward(answers), minlength=int(starts.sum()))
    decided = lead != 0
    pair_ids = answers.pair_ids[answers.pair[starts]][decided]
    rows = warm.pairs[np.searchsorted(warm.pairs[:, 0], pair_ids)]
    kept = rows[:, 1] != rows[:, 2]
    rows, lead = rows[kept], lead[decided][kept]
    return Verdicts(rows[:, 1], rows[:, 2], rows[:, 5], lead > 0)


def _peers(warm: Warm, answers: Answers) -> _Peers:
    at, same, _lead = people.matches(answers)
    pair_ids = answers.pair_ids[answers.pair[at]]
    prompt = warm.pairs[np.searchsorted(warm.pairs[:, 0], pair_ids), 5]
    return _Peers(same.astype(np.float64), prompt)


def _where(verdicts: Verdicts, mask: NDArray[np.bool_]) -> Verdicts:
    a, b, prompt, won = verdicts.sample_a, verdicts.sample_b, verdicts.prompt, verdicts.a_won
    return Verdicts(a[mask], b[mask], prompt[mask], won[mask])


def _texts(studio: Studio, prompt_ids: Ints) -> dict[int, str]:
    with studio.read() as session:
        return queries.prompt_texts(session, np.unique(prompt_ids).tolist())


def _classes(texts: dict[int, str], words: Sequence[str]) -> Iterable[tuple[str, str, list[int]]]:
    """(name, "kind" or "words", ids of the prompts of that class)."""
    kinds = {prompt_id: kinds_of(text) for prompt_id, text in texts.items()}
    for name in KINDS:
        yield name, "kind", [i for i, found in kinds.items() if name in found]
    for word in filter(None, (word.strip() for word in words)):
        yield word, "words", [i for i, text in texts.items() if word.lower() in text.lower()]


# --- figures ------------------------------------------------------------------------------------


def _row(
    name: str, by: str, verdicts: Verdicts, peers: _Peers, known: dict[int, dict[int, float]]
) -> dict[str, Any]:
    return {
        "name": name,
        "by": by,
        "pairs": len(verdicts.prompt),
        "people": plain(clustered.share(peers.same, peers.prompt)),
        "rewards": {i: _accuracy(verdicts, values) for i, values in known.items()},
    }


def _accuracy(verdicts: Verdicts, value: dict[int, float]) -> dict[str, Any]:
    hit = hits(
        np.array([value[i] for i in verdicts.sample_a.tolist()], dtype=np.float64),
        np.array([value[i] for i in verdicts.sample_b.tolist()], dtype=np.float64),
        verdicts.a_won,
    )
    has = np.isfinite(hit)
    found = plain(clustered.share(hit[has], verdicts.prompt[has]))
    return {**found, "wilson": plain(wilson(float(hit[has].sum()), int(has.sum())))}


def hits(a_P: Floats, b_P: Floats, a_won_P: NDArray[np.bool_]) -> Floats:
    """1 where the chosen picture has the higher value, ½ where both have the same, NaN where a
    value is missing. (P,)"""
    apart = a_P - b_P
    return np.where(np.isnan(apart), np.nan, np.where(apart == 0, 0.5, (apart > 0) == a_won_P))


def _correlations(said: dict[int, Said], prompt_N: Ints) -> list[dict[str, Any]]:
    found = []
    ids = list(said)
    for place, a in enumerate(ids):
        for b in ids[place + 1 :]:
            x, y = said[a].values, said[b].values
            ranks, within = (f(x, y, prompt_N) for f in (clustered.spearman, clustered.inside))
            found.append({"a": a, "b": b, "ranks": _plain(ranks), "inside": _plain(within)})
    return found


def _plain(found: clustered.Correlation) -> dict[str, Any]:
    ends = (found.value, found.low, found.high)
    return {**dict(zip(("value", "low", "high"), map(finite, ends), strict=True)), "num": found.num}


# --- columns ------------------------------------------------------------------------------------


def column(values: Floats) -> list[float | None]:
    """A column for a page: None where missing."""
    return [float(f"{v:.{DIGITS}g}") if np.isfinite(v) else None for v in values.tolist()]


def _some(studio: Studio, project_id: int, reward_ids: Sequence[int]) -> list[int]:
    return reward_sets.checked_rewards(studio, project_id, reward_ids) if reward_ids else []


def _column(studio: Studio, reward_id: int, said: Said) -> dict[str, Any]:
    reward = rewards.get(studio, reward_id)
    faults = [i for i, status in enumerate(said.status) if status not in ("", "ok", "n/a")]
    version = _version(reward)
    return {
        "id": reward_id,
        "name": reward["name"],
        "kind": reward["kind"],
        "version": reward["version"],
        "values": column(said.values),
        "unasked": said.status.count(""),
        "missing": len(faults),
        "stale": sum(old not in ("", version) for old in said.version) if version else 0,
        "faults": [
            {"row": i, "status": said.status[i], "detail": said.detail[i]} for i in faults[:FAULTS]
        ],
    }


def _version(reward: dict[str, Any]) -> str:
    """The reward's version now; empty where it cannot be read any more."""
    try:
        return rewards.version_of(reward)
    except PalateError:
        return ""


def _inside(verdicts: Verdicts, ids: Sequence[int]) -> list[list[int]]:
    place = {sample_id: i for i, sample_id in enumerate(ids)}
    rows = zip(
        verdicts.sample_a.tolist(), verdicts.sample_b.tolist(), verdicts.a_won.tolist(), strict=True
    )
    return [[place[a], place[b], int(won)] for a, b, won in rows if a in place and b in place]


def groups_of(shown: Sequence[Shown]) -> Ints:
    """Pictures of one prompt are siblings. (N,)"""
    return np.array([one.prompt_id for one in shown], dtype=np.int64)
