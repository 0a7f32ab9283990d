"""A project's own pairs as the material of an audit: what people answered, and worthless pictures.

Nothing is known of such pictures but the answers, so there are no ladders and no groups. Keys are
of each picture's own size and mean colour; what is painted on them is painted small and made
larger, so that it can be read at any size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from backend.pocket.audit_material import key
from backend.pocket.judge_lessons import JUNK
from backend.preferences.intervals import Share
from backend.rewards._audit import Material
from backend.rewards.interface import Images


def material(
    prompts: Sequence[str],
    better: Images,
    worse: Images,
    votes: Sequence[Sequence[float]],
    ties: Share,
    seed: int = 0,
) -> Material:
    """M pairs (M, H, W, 3) of which most people chose `better`; votes: (P, M), 1 for the better."""
    rng = np.random.default_rng([seed, 0x0_1A])
    num = min(max(len(prompts) // 8, 4), len(prompts))
    grounds = better[:num].mean(axis=(1, 2)).round().astype(np.uint8)
    size = better.shape[2], better.shape[1]
    keys = {}
    for name in JUNK:
        small = [Image.fromarray(x) for x in key(name, prompts[:num], grounds, rng)]
        keys[name] = np.stack([np.asarray(x.resize(size, Image.Resampling.NEAREST)) for x in small])
    return Material(
        prompts=list(prompts),
        better=better,
        worse=worse,
        votes=[list(row) for row in votes],
        keys=keys,
        ties=ties,
    )
