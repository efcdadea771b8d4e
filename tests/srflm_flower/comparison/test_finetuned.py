"""The steps at home are what the run has left of the budget, whatever was rounded in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from srflm_flower.comparison.finetuned import in_proportion

PARTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50), min_size=1)


@given(st.integers(0, 500), PARTS)
def test_nothing_is_lost_and_nobody_gets_more_than_a_step_off_its_part(
    steps: int, parts: dict[str, int]
) -> None:
    found, whole = in_proportion(steps, parts), sum(parts.values())
    assert found.keys() == parts.keys()
    assert sum(found.values()) == (steps if whole else 0)
    for vendor, part in parts.items():
        assert found[vendor] >= 0
        assert not whole or abs(found[vendor] - steps * part / whole) < 1
