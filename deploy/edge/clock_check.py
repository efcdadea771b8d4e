"""Compare the members' clocks: Flower rejects a SuperNode whose clock is five minutes off.

Every answer of a peer's edge carries its time, even the refusal of an unsigned call.
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

TOLERATED_SECONDS = 60.0
PATIENCE_SECONDS = 5.0
CALL = "/v1/fleet/send-node-heartbeat"


def clock_difference(port: int, root_certificate: Path) -> float | None:
    """Return how many seconds a peer's clock is ahead of this site's; None if it is silent.

    ``port`` is the loopback port of this site's edge that leads to the peer.
    """
    context = ssl.create_default_context(cafile=str(root_certificate))
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=PATIENCE_SECONDS, context=context
    )
    try:
        before = time.time()
        connection.request("POST", CALL, body=b"")
        answer = connection.getresponse()
        now = (before + time.time()) / 2
        if answer.status >= 500:  # our own edge speaks for a peer that it cannot reach
            return None
        date = answer.getheader("Date")
        return parsedate_to_datetime(date).timestamp() - now if date else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def clock_problems(ports: Mapping[str, int], root_certificate: Path) -> dict[str, str]:
    """Return peer → what is wrong with its clock, or with this site's."""
    problems = {}
    for peer, port in ports.items():
        ahead = clock_difference(port, root_certificate)
        if ahead is not None and abs(ahead) > TOLERATED_SECONDS:
            problems[peer] = (
                f"the clock of {peer} is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'}"
                " this site's; Flower refuses its SuperNodes beyond 300 s: set both by NTP"
            )
    return problems
