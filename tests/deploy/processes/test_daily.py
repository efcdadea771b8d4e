from __future__ import annotations

from deploy.processes.daily import DAY, Daily


class FakeChild:
    """A child that ends when the test says so."""

    pid = 1
    code: int | None = None

    def poll(self) -> int | None:
        return self.code


def test_program_starts_a_day_after_the_site_and_then_every_day() -> None:
    now, started = [0.0], list[FakeChild]()

    def start() -> FakeChild:
        started.append(FakeChild())
        return started[-1]

    daily = Daily(start, lambda: now[0])
    for hours, so_far in ((0, 0), (23, 0), (24, 1), (25, 1), (47, 1), (48, 1), (49, 1), (72, 2)):
        now[0] = hours * DAY / 24
        daily.tend()
        assert len(started) == so_far, hours
        if hours == 49:  # it ran over the second day, which is left out
            started[-1].code = 0
