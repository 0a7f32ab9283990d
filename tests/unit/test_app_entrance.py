"""Where somebody is sent who has come in: to this studio and nowhere else."""

from __future__ import annotations

import pytest

from app import entrance


@pytest.mark.parametrize("address", ["//evil.example", "/\\evil.example", "https://x", "", "/a\nb"])
def test_nobody_is_sent_to_another_studio(address: str) -> None:
    assert entrance.safe_path(address) == "/"
    assert entrance.safe_path("/runs/7?step=3") == "/runs/7?step=3"
