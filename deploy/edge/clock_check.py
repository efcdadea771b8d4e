"""Compare the clocks of the members; Flower rejects SuperNodes with a clock five minutes off."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

from deploy.door.asking import ask_peer

TOLERATED_SECONDS = 60.0  # a warning long before Flower's limit of 300 s
PATIENCE_SECONDS = 5.0
CLOCKS_AFTER_SECONDS, CLOCKS_EVERY_SECONDS = 20.0, 3600.0
CALL = "/v1/fleet/send-node-heartbeat"


def clock_difference(port: int, root_certificate: Path) -> float | None:
    """Return the seconds by which a peer's clock is ahead of this site's, or None without answer.

    ``port`` is the loopback port of this site's edge that leads to the peer.
    """
    before = time.time()
    # Unsigned, so the peer's edge refuses it; but every answer, even a refusal, has a date.
    answer = ask_peer(port, root_certificate, "POST", CALL, PATIENCE_SECONDS)
    return ahead_of(answer.date, before, time.time()) if answer is not None else None


def ahead_of(date: str | None, before: float, after: float) -> float | None:
    """Return by how many seconds an answer's ``date`` is ahead, None if it is no date.

    ``before`` and ``after`` are when the question was sent and the answer came, by this clock.
    """
    try:
        # The peer answered about halfway.
        return parsedate_to_datetime(date).timestamp() - (before + after) / 2 if date else None
    except ValueError:
        return None


def watch_clocks(
    ports: Mapping[str, int], root_certificate: Path, log: Callable[..., None]
) -> None:
    """Log clocks that disagree, soon after the start and then every hour; never return."""
    time.sleep(CLOCKS_AFTER_SECONDS)
    while True:
        for text in clock_problems(ports, root_certificate).values():
            log("clock", text=text)
        time.sleep(CLOCKS_EVERY_SECONDS)


def clock_problems(ports: Mapping[str, int], root_certificate: Path) -> dict[str, str]:
    """Return peer → a message about the difference of its clock; without peers in order."""
    problems = {}
    for peer, port in ports.items():
        ahead = clock_difference(port, root_certificate)
        if ahead is not None and abs(ahead) > TOLERATED_SECONDS:
            problems[peer] = (
                f"the clock of {peer} is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'}"
                " this site's; Flower refuses its SuperNodes beyond 300 s: set both by NTP"
            )
    return problems
