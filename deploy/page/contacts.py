"""Contacts with the other members: the last good and the last failed call, and the bytes sent.

They follow from the logs of the site's edge, which leaves out polls that succeed and find nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.page.log_following import FollowedLog
from deploy.page.snapshot import PeerSeen
from deploy.site.problems import time_of

FAILED = 500
"""From this status on a call has not reached the peer: 502 is the edge's own, 503 a full one."""


@dataclass
class Contacts:
    """What the logs in the folder ``logs`` of a site's edge say."""

    logs: Path
    outgoing: int = 0
    _seen: dict[str, PeerSeen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._in, self._out = (FollowedLog(self.logs / f"{way}.jsonl", 1) for way in ("in", "out"))
        self._looked = False

    def look(self) -> None:
        """Read the new lines of both logs."""
        for call in self._in.look():
            # It is the answer that leaves the site: models that a peer fetches here.
            self._note(call, str(call.get("key_owner", "")), "out")
        for call in self._out.look():
            self._note(call, str(call.get("to", "")), "in")
        if not self._looked:  # a counter begins when its program does
            self.outgoing, self._looked = 0, True

    def peers(self, audit: Iterable[Mapping[str, Any]]) -> dict[str, PeerSeen]:
        """Return each peer with its last message in ``audit``, and the calls from and to it."""
        heard: dict[str, float] = {}
        for event in audit:
            vendor = event.get("vendor")
            if isinstance(vendor, str):
                heard[vendor] = max(heard.get(vendor, 0.0), time_of(event))
        names = heard.keys() | self._seen.keys()
        calls = {name: self._seen.get(name, PeerSeen()) for name in names}
        return {
            name: PeerSeen(heard.get(name, 0.0), each.good, each.failed)
            for name, each in calls.items()
        }

    def _note(self, call: Mapping[str, Any], peer: str, size: str) -> None:
        before, when, status = self._seen.get(peer, PeerSeen()), _time(call), call.get("st")
        bytes_out = call.get(size)
        self.outgoing += bytes_out if isinstance(bytes_out, int) else 0
        if not isinstance(status, int):
            return
        good, failed = before.good, before.failed
        if status >= FAILED:
            failed = max(failed, when)
        elif status < 400:
            good = max(good, when)
        self._seen[peer] = PeerSeen(before.heard, good, failed)


def _time(call: Mapping[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(call.get("t"))).timestamp()
    except ValueError:
        return 0.0
