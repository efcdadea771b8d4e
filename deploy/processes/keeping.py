"""Keep children running: one that ends is started again, after a wait that doubles each time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from deploy.processes.backoff import Backoff
from deploy.processes.children import Child, take_ended


@dataclass
class KeptChildren:
    """One child for each of ``names``, which may change; ``start`` starts it.

    Each end is told to ``ended``: the name, the exit code, and the seconds until the next start.
    The end of a child that is not in ``names`` any more is no failure, and is told to nobody.
    Neither is the end, with code 0, of one that ``may_end``: it was not needed when it looked last.
    If it has become needed since then, it is started again at once.
    """

    names: Collection[str]
    start: Callable[[str], Child]
    ended: Callable[[str, int, float], None]
    clock: Callable[[], float] = time.monotonic
    may_end: Collection[str] = ()
    running: dict[str, Child] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    """How often each child has ended; names of children that never have are missing."""
    _born: dict[str, float] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)
    _backoffs: dict[str, Backoff] = field(default_factory=dict)

    def tend(self) -> bool:
        """Note the children that have ended, start those that are due; return whether any was."""
        ended = self.note_ends()
        due = [name for name in self.names if self._is_due(name)]
        for name in due:
            self.running[name] = self.start(name)
            self._born[name] = self.clock()
        return ended or bool(due)

    def note_ends(self) -> bool:
        """Note the children that have ended; return whether there are any."""
        ends = take_ended(self.running)
        for name, code in ends:
            if name not in self.names or (code == 0 and name in self.may_end):
                continue
            now = self.clock()
            wait = self._backoffs.setdefault(name, Backoff()).after(now - self._born[name])
            self._due[name] = now + wait
            self.restarts[name] = self.restarts.get(name, 0) + 1
            self.ended(name, code, wait)
        return bool(ends)

    def _is_due(self, name: str) -> bool:
        return name not in self.running and self.clock() >= self._due.get(name, 0.0)
