"""Start one program every day, as long as a site is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from deploy.processes.children import Child

DAY: Final = 86_400.0


@dataclass
class Daily:
    """A program that ends by itself; it is first started a day after the site.

    A day that comes while it still runs is left out.
    """

    start: Callable[[], Child]
    clock: Callable[[], float] = time.monotonic
    _due: float = field(init=False)
    _child: Child | None = None

    def __post_init__(self) -> None:
        self._due = self.clock() + DAY

    def tend(self) -> None:
        """Take an end, and start the program if it is time."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        if self.clock() < self._due:
            return
        self._due = self.clock() + DAY
        if self._child is None:
            self._child = self.start()
