"""Which peers a site is connected to: those that may serve next, and those that knock.

The launcher writes the first ones into a file.  A peer that rings its bell, through this site's
edge (:mod:`deploy.edge.door`) or because a commit names it as the next server, is connected for
``LINGER_SECONDS``, and for as long after its last message.  A program that works for any of them,
the warm worker, is needed as long as there is one, or as its own bell was rung.
"""

from __future__ import annotations

import json
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

    def wanted(self, peers: Iterable[str]) -> list[str]:
        """Return those of ``peers`` to which a connection is wanted."""
        named = self._named()  # once: this is asked ten times a second, however many peers
        return [peer for peer in peers if peer in named or self._heard_lately(peer)]

    def needs(self, program: str, ready: float = 0.0) -> bool:
        """Return whether a program with a bell of its own, ``ready`` since then, is needed.

        On a busy machine it may take longer to start than a bell is remembered; it must not end
        before it has looked for the work for which the bell was rung.
        """
        return bool(self._named()) or self._heard_lately(program, ready)

    def _heard_lately(self, name: str, last_message: float = 0.0) -> bool:
        heard = max(Bell(self.bells / name).last_rung(), last_message)
        return self.clock() - heard < LINGER_SECONDS

    def _named(self) -> Sequence[str]:
        try:
            found = json.loads((self.bells / FILE).read_bytes())
        except (OSError, ValueError):
            return ()
        return found if isinstance(found, list) else ()
