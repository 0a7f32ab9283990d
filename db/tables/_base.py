"""What all tables have in common: the base, plain annotations as columns, keys and times."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Float, Integer, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

JsonDict = dict[str, Any]


class Base(DeclarativeBase):
    """Declarative base; maps plain Python annotations to column types."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        JsonDict: JSON,
        list[Any]: JSON,
        float: Float,
        str: String,
    }


def key() -> Mapped[int]:
    """A number of its own for each row, as wide as the database counts."""
    return mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )


def now() -> Mapped[float]:
    """When the row was made, unless told otherwise."""
    return mapped_column(default=time.time)
