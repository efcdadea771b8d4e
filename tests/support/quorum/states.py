"""States of a :class:`World`, and the steps between them: plain values."""

from __future__ import annotations

from typing import Literal, NamedTuple

from strategies.protocol.quorum import Votes
from tests.support.quorum.votes import Message

UNKNOWN = 10**9
"""Through which term a site is silent that has lost its disk and not yet asked enough others."""


class Site(NamedTuple):
    """A site: ``disk`` and ``stored`` are what a crash leaves of ``votes`` and ``proposals``.

    ``running`` is the attempt of its server, ``silent`` the last term in which it takes no part.
    """

    votes: Votes
    disk: Votes
    proposals: tuple[tuple[int, str], ...] = ()
    stored: tuple[tuple[int, str], ...] = ()
    ledger: tuple[str, ...] = ()
    running: int | None = None
    lives_lost: int = 0
    silent: int = 0
    heard: tuple[tuple[str, Votes], ...] = ()


class State(NamedTuple):
    """All sites, all messages sent, all acceptances that ever were, the faults still to come."""

    sites: tuple[Site, ...]
    sent: frozenset[Message] = frozenset()
    accepted: frozenset[Message] = frozenset()
    crashes: int = 0
    losses: int = 0


class Step(NamedTuple):
    """What happens at a site; ``messages`` is what arrives, or the answers that a server names.

    ``copy`` is what the site was earlier, for a restore of all its files.
    """

    kind: Literal[
        "start", "deliver", "propose", "commit", "crash", "lose_disk", "restore", "sync", "lie"
    ]
    site: int
    messages: tuple[Message, ...] = ()
    attempt: int = -1
    peer: int = -1
    dies: bool = False
    copy: Site | None = None
