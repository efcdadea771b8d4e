"""How often a guard would have refused honest terms, from what the vendors told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measuring.alarms import Alarms, false_alarms
from benchmarks.poisoned import federation_of, missing
from srflm_flower.federation.loading import with_changes

ROSTER = "abcd"


def term(*values: float) -> dict[str, float]:
    return dict(zip(ROSTER, values, strict=False))


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ([term(0.5, 0.5, 0.5, 0.5)], Alarms(0, 0, 0, 0)),
        ([term(0.5, 0.5, 0.5, 0.5), term(0.2, 0.5, 0.5, 0.5)], Alarms(1, 4, 0, 1)),
        ([term(0.5, 0.5, 0.5, 0.5), term(0.2, 0.2, 0.5, 0.5)], Alarms(2, 4, 1, 1)),
        ([term(0.2), term(0.4), term(0.25)], Alarms(0, 2, 0, 2)),  # two before it count
        ([term(0.5, 0.5), term(0.5)], Alarms(0, 1, 0, 1)),  # the other did not tell
    ],
)
def test_alarms_are_counted_by_site_and_by_term(
    run: list[dict[str, float]], expected: Alarms
) -> None:
    assert false_alarms([run], 0.1, len(ROSTER)) == expected
    assert false_alarms([run], 0.9, len(ROSTER)).refusals == 0


def test_task_without_its_data_is_left_out_with_the_reason(tmp_path: Path) -> None:
    federation = federation_of("phantom")
    assert missing(federation) == ""
    gone = with_changes(federation, data={"source": "npz", "path": tmp_path / "gone.npz"})
    assert "gone.npz" in missing(gone)
