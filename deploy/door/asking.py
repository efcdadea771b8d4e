"""Ask a peer's edge something through this site's own, without Flower."""

from __future__ import annotations

import http.client
import ssl
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 200


@dataclass(frozen=True)
class Answer:
    """A peer's answer: its header Date, and the first bytes of what it says."""

    date: str | None
    body: bytes


def ask_peer(
    port: int, root_certificate: Path, method: str, path: str, patience: float
) -> Answer | None:
    """Return the answer of the peer to which the loopback ``port`` of this site's edge leads.

    None if it is not reached; a refusal is an answer.  There are few waits, each of ``patience``
    seconds at most.
    """
    try:
        context = ssl.create_default_context(cafile=str(root_certificate))
        with closing(
            http.client.HTTPSConnection("127.0.0.1", port, timeout=patience, context=context)
        ) as connection:
            connection.request(method, path)
            answer = connection.getresponse()
            if answer.status >= 500:  # from this site's own edge, which cannot reach the peer
                return None
            # One piece of it: each byte of a peer that sends them one by one might take as long as
            # the patience.
            return Answer(answer.getheader("Date"), answer.read1(MOST_BYTES))
    except (OSError, http.client.HTTPException):
        return None
