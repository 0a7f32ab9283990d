"""Pairs: two samples of one prompt, handed out so that nobody judges what another already has.

A pair that is handed out is leased for two minutes. The side order is drawn when the lease is made
and stays with it, so a reload shows the same sides; the browser never learns which sample is which.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import random
import secrets
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from backend.errors import InputError
from backend.services import handing, users
from backend.services.handing import Handed
from backend.services.samples import content, url
from backend.services.studio import Studio
from db import queries
from db.queries import QUEUE, OpenPair, Scope
from db.tables import Lease, Pair, Sample

LEASE_S = 120.0
"""How long a pair is kept for the annotator to whom it was handed out."""
MAX_PREFETCH = 16


def make(
    studio: Studio,
    project_id: int,
    sample_ids: Sequence[int],
    *,
    source: str = "generate",
    per_prompt: int | None = None,
    seed: int = 0,
    overlap: int = 1,
    priority: int = 0,
) -> list[int]:
    """Pair up samples of the same prompt at random and queue them; returns the pairs' ids.

    `per_prompt` pairs of each prompt, by default as many as there are disjoint ones. Two samples
    that are the same picture make no pair. The chance with which each pair was chosen is kept with
    it.
    """
    with studio.read() as session:
        rows = session.execute(
            select(Sample.id, Sample.prompt_id, Sample.media)
            .where(Sample.id.in_(list(sample_ids)), Sample.project_id == project_id)
            .order_by(Sample.id)
        )
        of_prompt: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for sample_id, prompt_id, media in rows:
            of_prompt[prompt_id].append((sample_id, media))
    rng = random.Random(seed)
    found = []
    for prompt_id, drawn in of_prompt.items():
        chosen, chance = _choose(drawn, per_prompt, rng)
        found += [
            {
                "project_id": project_id,
                "prompt_id": prompt_id,
                "sample_a_id": one,
                "sample_b_id": other,
                "source": source,
                "propensity": chance,
                "overlap": overlap,
                "priority": priority,
            }
            for one, other in chosen
        ]
    rng.shuffle(found)
    with studio.write() as session:
        return add(session, found)


def add(session: Session, rows: list[dict[str, Any]]) -> list[int]:
    """Store pairs in a transaction that is open; returns their ids in the same order."""
    if not rows:
        return []
    inserted = insert(Pair).returning(Pair.id, sort_by_parameter_order=True)
    return list(session.scalars(inserted, rows))


def next_pairs(
    studio: Studio,
    project_id: int,
    user_id: int,
    n: int = 3,
    held: Iterable[int] = (),
    scope: Scope = QUEUE,
) -> dict[str, Any]:
    """Lease the next `n` pairs to an annotator, beyond those the browser says it still holds.

    Returns {pairs, done, total, median_s}. Pairs leased earlier and not judged come first, with the
    sides they had; leases of held pairs are prolonged. A study is handed out as its chooser and its
    share of attention checks say, the queue in its order.
    """
    if not 1 <= n <= MAX_PREFETCH:
        raise InputError(f"n is {n}; ask for 1 to {MAX_PREFETCH} pairs at a time.")
    now, kept = time.time(), set(held)
    with studio.write() as session:
        studio.store.serialise(session, "lease", project_id, *(part or 0 for part in scope))
        user = users.find(session, user_id)
        kind = user.kind
        if scope.study is None:
            users.refuse_judging(session, user, None)
        study = None if scope.study is None else handing.open_to(session, scope.study, user)
        mine = queries.leased_pairs(session, project_id, user_id, scope)
        # A lease that ran out may be somebody else's pair by now: ask for all of mine again.
        free = functools.partial(
            queries.free_pairs, session, project_id, user_id, kind, now=now, scope=scope
        )
        still = free(limit=max(len(mine), 1), among=list(mine))
        renewed = [pair_id for pair_id in still if pair_id in kept]
        again = [pair_id for pair_id in still if pair_id not in kept][:n]
        fresh: list[Handed] = []
        if len(again) < n:
            taken, wanted = {*mine, *kept}, n - len(again)
            if study is not None:
                fresh = handing.hand_out(session, study, user, wanted, taken, now)
            else:
                beyond = free(limit=n + len(mine))
                fresh = [Handed(pair) for pair in beyond if pair not in taken][:wanted]
        sides = _lease(session, user_id, mine, renewed + again, fresh, now + LEASE_S)
    chosen = again + [handed.pair_id for handed in fresh]
    with studio.read() as session:  # what is only told, without keeping others from their leases
        shown = {pair.pair_id: pair for pair in queries.shown_pairs(session, chosen)}
        views = _views(session, [shown[i] for i in chosen], sides, user_id, now + LEASE_S)
        done, total = queries.pair_counts(session, project_id, user_id, scope)
        seconds = queries.recent_seconds(session, project_id, user_id)
    return {
        "pairs": views,
        "done": done,
        "total": total,
        "median_s": statistics.median(seconds) if seconds else None,
    }


def unlabelled(
    studio: Studio,
    project_id: int,
    user_id: int,
    limit: int,
    scope: Scope = QUEUE,
) -> list[OpenPair]:
    """Pairs that still want a verdict of this kind of annotator, without leasing them."""
    with studio.read() as session:
        kind = users.find(session, user_id).kind
        free = queries.free_pairs(
            session,
            project_id,
            user_id,
            kind,
            limit=limit,
            now=time.time(),
            scope=scope,
        )
        return queries.shown_pairs(session, free)


def page(
    studio: Studio, project_id: int, *, after: int | None = None, limit: int = 60
) -> dict[str, Any]:
    """{items, next}: pairs of the queue, newest first, `after` a pair's id; for those who may know
    which sample is which."""
    with studio.read() as session:
        found = queries.pairs_with_counts(session, project_id, after=after, limit=limit + 1)
    items = [
        {
            "id": pair.id,
            "prompt": prompt,
            "a": {"sample_id": pair.sample_a_id, "url": url(media_a)},
            "b": {"sample_id": pair.sample_b_id, "url": url(media_b)},
            "source": pair.source,
            "chooser": pair.chooser,
            "propensity": pair.propensity,
            "overlap": pair.overlap,
            "settled": pair.settled,
            "verdicts": verdicts,
        }
        for pair, prompt, media_a, media_b, verdicts in found[:limit]
    ]
    return {"items": items, "next": items[-1]["id"] if len(found) > limit else None}


def counts(studio: Studio, project_id: int, user_id: int) -> dict[str, int]:
    """{open, total, done_mine} of the label queue."""
    with studio.read() as session:
        done, total = queries.pair_counts(session, project_id, user_id, QUEUE)
    return {"open": total - done, "total": total, "done_mine": done}


def again(session: Session, pair_id: int, user_id: int, left: str) -> dict[str, Any]:
    """A pair handed back to its annotator with the sides it had."""
    until = lease_again(session, pair_id, user_id, left)
    shown = queries.shown_pairs(session, [pair_id])
    return _views(session, shown, {pair_id: left}, user_id, until)[0]


def _views(
    session: Session, shown: list[OpenPair], sides: dict[int, str], user_id: int, until: float
) -> list[dict[str, Any]]:
    wanted = {sample for pair in shown for sample in pair.detail.get("more", [])}
    more = queries.sample_pictures(session, wanted)
    return [view(pair, sides[pair.pair_id], user_id, until, more) for pair in shown]


def view(
    pair: OpenPair,
    left: str,
    user_id: int,
    until: float,
    more: Mapping[int, tuple[str, int, int]] | None = None,
) -> dict[str, Any]:
    """A pair as its judge sees it: what stands left and right, a prompt, and no word about where
    they came from. Of four pictures the order is this annotator's own."""
    a = content(pair.media_a, pair.width_a, pair.height_a, pair.text_a)
    b = content(pair.media_b, pair.width_b, pair.height_b, pair.text_b)
    found = {
        "pair_id": pair.pair_id,
        "prompt": pair.prompt,
        "left": a if left == "a" else b,
        "right": b if left == "a" else a,
        "shown_left": veil(pair.media_a, pair.media_b, left),
        "lease_until": until,
    }
    further = pair.detail.get("more", [])
    if further and more:
        every = [a, b, *(content(*more[sample], None) for sample in further)]
        found["slots"] = [every[i] for i in slots(pair.pair_id, user_id, len(every))]
    if subject := pair.detail.get("subject"):
        found["subject"] = {"url": url(subject)}
    return found


def slots(pair_id: int, user_id: int, num: int) -> list[int]:
    """Which sample stands in which place, drawn once for each annotator and item."""
    return random.Random(f"slots:{pair_id}:{user_id}").sample(range(num), num)


def preview(pair: OpenPair) -> dict[str, Any]:
    """A pair to look at, not to judge: {left_url, right_url, prompt}, its sides by their hashes."""
    left, right = sorted((pair.media_a, pair.media_b))
    return {"left_url": url(left), "right_url": url(right), "prompt": pair.prompt}


def veil(media_a: str, media_b: str, side: str) -> str:
    """Swap the letters a and b for half of all pairs; applied twice it gives the letter back.

    In a comparison `a` is always the base, so the bare letter would tell which picture is tuned.
    """
    flip = hashlib.sha256(f"{media_a}:{media_b}".encode()).digest()[0] & 1
    return queries.OTHER[side] if flip else side


def lease_again(session: Session, pair_id: int, user_id: int, left: str) -> float:
    """Hand a pair back to its annotator with the sides it had; returns until when."""
    until = time.time() + LEASE_S
    lease = session.get(Lease, (pair_id, user_id))
    if lease is None:
        session.add(Lease(pair_id=pair_id, user_id=user_id, until=until, shown_left=left))
    else:
        lease.until, lease.shown_left = until, left
    return until


def _lease(
    session: Session,
    user_id: int,
    mine: dict[int, str],
    known: list[int],
    fresh: list[Handed],
    until: float,
) -> dict[int, str]:
    """Prolong the leases there are, make the others; returns the side of every pair."""
    if known:
        session.execute(
            update(Lease)
            .where(Lease.user_id == user_id, Lease.pair_id.in_(known))
            .values(until=until)
        )
    rows: list[dict[str, Any]] = [
        {
            "pair_id": handed.pair_id,
            "user_id": user_id,
            "until": until,
            "shown_left": handed.left or secrets.choice("ab"),
            "chooser": handed.chooser,
            "propensity": handed.propensity,
        }
        for handed in fresh
    ]
    if rows:
        session.execute(insert(Lease), rows)
    return {pair_id: mine[pair_id] for pair_id in known} | {
        row["pair_id"]: row["shown_left"] for row in rows
    }


def _choose(
    drawn: list[tuple[int, str]], wanted: int | None, rng: random.Random
) -> tuple[list[tuple[int, int]], float]:
    """Random pairs of different pictures, disjoint ones first, and the chance each had."""
    order = drawn[:]
    rng.shuffle(order)
    all_pairs = [
        (one, other) for one, other in itertools.combinations(order, 2) if one[1] != other[1]
    ]
    disjoint = [
        (order[i], order[i + 1])
        for i in range(0, len(order) - 1, 2)
        if order[i][1] != order[i + 1][1]
    ]
    rest = [pair for pair in all_pairs if pair not in disjoint]
    rng.shuffle(rest)
    number = len(disjoint) if wanted is None else wanted
    chosen = (disjoint + rest)[:number]
    chance = len(chosen) / len(all_pairs) if all_pairs else 1.0
    return [(one[0], other[0]) for one, other in chosen], chance
