"""Pairs of the newest checkpoint first; a sample loses half of its claim with each newer one.

What a run draws now is where its reward must be right next, and where old labels say least.
Source: the labels of online preference learning are taken from the present policy (Christiano et
al. 2017, arXiv 1706.03741; Xiong et al. 2024, arXiv 2312.11456).
"""

from __future__ import annotations

from typing import Final

from backend.preferences.choosing import Known, Need
from backend.rewards.interface import Floats

NAME: Final = "frontier"
TITLE: Final = "Newest checkpoint"
SUMMARY: Final = (
    "Pictures of the newest checkpoint first, older ones less and less. For a reward that follows "
    "a run that is training."
)
NEEDS: Final[tuple[Need, ...]] = ("sources",)
HALF_LIFE: Final = 1.0
"""Newer checkpoints after which a sample counts half."""


def utility(known: Known) -> Floats:
    """Mean of 2^(−age / half-life) over both samples. (N,)"""
    claim = 0.5 ** (known.age / HALF_LIFE)
    return (claim[known.a] + claim[known.b]) / 2
