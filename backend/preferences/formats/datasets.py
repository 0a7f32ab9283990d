"""Ours as a folder that Hugging Face `datasets` loads with `load_from_disk`."""

from __future__ import annotations

from typing import Final

from backend.preferences.formats.jsonl import COLUMNS, HOLDS, KEYS, read, write

TITLE: Final = "Palate, a folder of Hugging Face datasets"
SUMMARY: Final = "The columns of `jsonl` in Arrow files, for `datasets.load_from_disk`."
CONTAINER: Final = "folder"
__all__ = ["COLUMNS", "CONTAINER", "HOLDS", "KEYS", "SUMMARY", "TITLE", "read", "write"]
