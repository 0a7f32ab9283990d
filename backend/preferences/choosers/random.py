"""Every open pair is as likely as any other."""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.preferences.choosing import Known, Need
from backend.rewards.interface import Floats

NAME: Final = "random"
TITLE: Final = "Random"
SUMMARY: Final = "By chance alone. Every figure of the study needs no correction."
NEEDS: Final[tuple[Need, ...]] = ()


def utility(known: Known) -> Floats:
    """All the same. (N,)"""
    return np.zeros(len(known.a))
