"""What `palate probe` prints."""

from __future__ import annotations

from backend.rl.probe import Independent, Probe, Proposal, SpreadRow
from backend.rl.psi import PsiRow
from workers.probing import table


def test_spread_is_shown_by_noise_and_step() -> None:
    rows = [SpreadRow(step, 0.7, 0.1 * (step + 1), 0.01, 1.0, 0.5, -0.02, 0.01) for step in (0, 3)]
    rows[1] = SpreadRow(3, 0.7, float("nan"), 0.01, 1.0, 0.5, 0.2, 0.01)
    found = Probe(rows, Independent(0.2, 0.01, 0.5), Proposal({}, ""), 1, 1, 1.0)
    assert table(found.plain()) == [
        "spread at step       0      3",
        "eta 0.7          0.100      –",
        "  drop          -0.020  0.200",
        "independent samples: 0.200",
    ]


def test_calibrated_noise_is_shown_by_step() -> None:
    found = Probe([PsiRow(0, 3.5, 3.25, [4], [5])], None, Proposal({}, ""), 1, 1, 1.0)
    assert table(found.plain()) == [
        "step  noise before  calibrated",
        "0            3.500       3.250",
    ]
