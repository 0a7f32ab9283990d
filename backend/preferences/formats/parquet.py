"""Ours as a Parquet file: the columns of `jsonl`, and the pictures' bytes where they are wanted."""

from __future__ import annotations

from typing import Final

from backend.preferences.formats.jsonl import COLUMNS, HOLDS, KEYS, read, write

TITLE: Final = "Palate, Parquet"
SUMMARY: Final = "The columns of `jsonl` in a Parquet file, with the pictures inside if wanted."
CONTAINER: Final = "parquet"
__all__ = ["COLUMNS", "CONTAINER", "HOLDS", "KEYS", "SUMMARY", "TITLE", "read", "write"]
