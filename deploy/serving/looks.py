"""When the launcher looks at its ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from deploy.processes.bell import Bell
from strategies.errors import SrflmError
from strategies.protocol.succession import Turn

TICK_SECONDS, IDLE_TICK_SECONDS = 0.05, 0.25  # with a run, and without: each tick costs CPU time
# Between two looks at the ledger, if the bell does not ring earlier; the second without a run.
LOOK_SECONDS, RESTING_LOOK_SECONDS = 1.0, 3.0
FOLLOW_SECONDS = 0.2  # the same while a ServerApp runs


class Looker(Protocol):
    """A launcher, as far as its looks go."""

    problem: str

    def clock(self) -> float:
        """Return the time in seconds, from any moment on."""
        ...

    def log(self, event: str, **fields: Any) -> None:
        """Write a line of the launcher's log."""
        ...

    @property
    def resting(self) -> bool:
        """Whether the last step found no run and nothing to do."""
        ...

    @property
    def serving(self) -> Any:
        """The ServerApp that it follows, or None."""
        ...

    def step(self) -> Turn | None:
        """Look at the ledger once and act on it; return this vendor's next turn, if any."""
        ...


def watch(
    launcher: Looker,
    bell: Bell,
    stopping: Callable[[], bool],
    before_step: Callable[[], None] = lambda: None,
) -> None:
    """Step when the bell rings, a turn is due, and every second or three, until ``stopping``."""
    looked, heard, turn = -RESTING_LOOK_SECONDS, 0.0, None
    while not stopping():
        now = launcher.clock()
        rung = bell.rung_since(heard)
        due = turn is not None and launcher.serving is None and now >= turn.due
        following = launcher.serving is not None and now - looked >= FOLLOW_SECONDS
        pause = RESTING_LOOK_SECONDS if launcher.resting else LOOK_SECONDS
        if rung or due or following or now - looked >= pause:
            heard, looked = bell.last_rung(), now
            try:
                before_step()
                turn = launcher.step()
            except SrflmError as error:  # a full disk, for example, which may have space again
                launcher.problem = f"{error.code}: {error.found}"
                launcher.log("failed", problem=launcher.problem)
                time.sleep(LOOK_SECONDS)
        time.sleep(TICK_SECONDS if turn or launcher.serving else IDLE_TICK_SECONDS)
