"""The door between two edges: look whether a peer is there, or ask its site to connect.

At its door a site shows how far it is, in a file that the edge gives to every member that looks.

A site keeps connections only towards the vendors that may serve next.  Whoever needs the others at
its SuperLink *knocks*: the peer's edge rings the bell of the vendor that its certificate names, and
the peer's SuperNode for that vendor connects (:mod:`deploy.processes.company`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from deploy.door.asking import Answer, ask_peer
from deploy.door.sign import Sign, sign_in

PATHS: Final = {"alive": "/v1/door/alive", "knock": "/v1/door/knock"}
"""What the edge answers: whether somebody is at home, and the wish that a SuperNode connects."""
PATIENCE_SECONDS = 2.0
TOGETHER = 8
"""Calls at a time: a peer that does not answer must not make the others wait."""


@dataclass(frozen=True)
class Door:
    """The way to the peers' edges; ``ways_out`` are this edge's loopback ports, by peer."""

    ways_out: Mapping[str, int]
    root_certificate: Path

    def knock(self, peers: Collection[str]) -> frozenset[str]:
        """Ask the sites of ``peers`` to connect; return those whose edges have answered."""
        return self._answering(peers, "knock")

    def look(self, peer: str) -> Sign | None:
        """Return the sign at a peer's door, or None if nobody answers; nothing happens there."""
        answer = self._call(peer, PATHS["alive"])
        return sign_in(answer.body) if answer is not None else None

    def look_at(self, peers: Collection[str]) -> frozenset[str]:
        """Return those of ``peers`` whose edges answer; nothing happens there."""
        return self._answering(peers, "alive")

    def _answering(self, peers: Collection[str], call: str) -> frozenset[str]:
        known = [peer for peer in peers if peer in self.ways_out]
        if not known:
            return frozenset()
        with ThreadPoolExecutor(min(TOGETHER, len(known))) as pool:
            answers = zip(
                known, pool.map(partial(self._call, path=PATHS[call]), known), strict=True
            )
            return frozenset(peer for peer, answer in answers if answer is not None)

    def _call(self, peer: str, path: str) -> Answer | None:
        return ask_peer(self.ways_out[peer], self.root_certificate, "GET", path, PATIENCE_SECONDS)
