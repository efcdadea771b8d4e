"""A message that is too large is dropped while it is received, and noted once."""

from __future__ import annotations

import pytest

from deploy.flower.size_guard import MessageTooLarge, SizeGuard


def test_parts_of_one_message_are_added_up() -> None:
    noted: list[tuple[int, int]] = []
    guard = SizeGuard(10, lambda run, size: noted.append((run, size)))
    guard.begin()
    guard.count(7, 6)
    for _ in range(2):
        with pytest.raises(MessageTooLarge):
            guard.count(7, 6)
    assert noted == [(7, 12)]
    guard.begin()
    guard.count(7, 10)


def test_without_a_limit_everything_passes() -> None:
    guard = SizeGuard(None, lambda run, size: pytest.fail("refused"))
    guard.begin()
    guard.count(1, 10**12)
