"""Which peers a site is connected to: those that may serve next, and those that knock.

The launcher writes the first ones into a file.  A peer that rings its bell, through this site's
edge (:mod:`deploy.door.door`) or because a commit names it as the next server, is connected for
``LINGER_SECONDS``, and for as long after its last message.  A program that runs on demand, for the
SuperNodes or as the warm worker, is needed as long as a peer is named, or as one of the bells was
rung for which it works.

Bells are kept on disk, so no knock is lost while nobody listens: whoever starts next looks at the
time of the last one.  These are the races, each with its answer:

* A knock before the program runs, or while it imports its libraries: on a busy machine it may be
  older than ``LINGER_SECONDS`` once the program is ready.  It counts as one of that moment
  (:meth:`Company.wanted`), and the program does not end before (:meth:`Company.needs`).
* A knock after the program has looked for the last time, and before it has ended: the supervisor
  sees the bell, and then the end, which is no failure, so it starts the program again at once
  (:mod:`deploy.processes.keeping`).  A SuperNode that ends is started again in the same way.
* A program that ends where its supervisor finds it needed would start without end.  So both ask the
  same :meth:`Company.needs`, and a program's answer is yes at least as long as the supervisor's.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clients.files.durable import write_durably
from deploy.processes.bell import Bell

LINGER_SECONDS = 60.0
NEXT_SERVERS = 3
"""How many vendors of the ranking are connected: the elected one, and the first two stand-ins."""
FILE = "wanted.json"
STARTED = "SRFLM_STARTED"
"""Environment variable: when the supervisor found a program needed, in seconds since 1970."""


def asked_at() -> float:
    """Return when this program was found to be needed, else the time now."""
    return float(os.environ.get(STARTED) or time.time())


@dataclass(frozen=True)
class Company:
    """The peers that are wanted; ``bells`` is the folder of bells, which has the file, too."""

    bells: Path
    clock: Callable[[], float] = time.time

    def want(self, peers: Sequence[str]) -> None:
        """Keep connections to ``peers`` until the next call.

        Raises :class:`strategies.errors.RunFolderError` when the file cannot be written.
        """
        wanted, path = json.dumps(sorted(set(peers))).encode(), self.bells / FILE
        if not path.exists() or path.read_bytes() != wanted:
            write_durably(path, wanted)

    def wants(self, peer: str, last_message: float = 0.0) -> bool:
        """Return whether a connection to ``peer`` is wanted; times are seconds since 1970.

        A bell or message of the future, after a clock was set back, counts as one of now.
        """
        return self._heard_lately(peer, last_message) or peer in self._named()

    def wanted(
        self, peers: Iterable[str], asked: float = math.inf, ready: float = 0.0
    ) -> list[str]:
        """Return those of ``peers`` to which a connection is wanted.

        A bell that was remembered when the program was ``asked`` for, or has been rung since,
        counts as rung when it was ``ready``: starting may take longer than a bell is remembered.
        """
        named = self._named()  # once: this is asked ten times a second, however many peers
        found = []
        for peer in peers:
            rung = Bell(self.bells / peer).last_rung()
            began = ready if rung > asked - LINGER_SECONDS else 0.0
            if peer in named or self._is_lately(max(rung, began)):
                found.append(peer)
        return found

    def needs(self, bells: Iterable[str], ready: float = 0.0) -> bool:
        """Return whether a program that works for these ``bells``, ``ready`` since then, is needed.

        It must not end before it has looked for the work for which a bell was rung.
        """
        if self._is_lately(ready) or self._named():
            return True
        return any(self._heard_lately(bell) for bell in bells)

    def _heard_lately(self, name: str, last_message: float = 0.0) -> bool:
        return self._is_lately(max(Bell(self.bells / name).last_rung(), last_message))

    def _is_lately(self, moment: float) -> bool:
        return self.clock() - moment < LINGER_SECONDS

    def _named(self) -> Sequence[str]:
        try:
            found = json.loads((self.bells / FILE).read_bytes())
        except (OSError, ValueError):
            return ()
        return found if isinstance(found, list) else ()
