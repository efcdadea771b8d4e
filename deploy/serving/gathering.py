"""Wait until the sites that were asked to connect are there, and leave out those that are gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import cast

from flwr.serverapp import Grid

from deploy.serving.job import ServerJob
from deploy.serving.wrapped_grid import WrappedGrid

GATHER_SECONDS = 30.0
"""A SuperNode that is asked to connect takes about one second in a run.  At a site without a run
its program starts first, which takes some seconds, and more on a busy machine."""
GRACE_SECONDS = 5.0
"""Once most of them are there, the others have as long again, and this at least."""
LOOK_SECONDS = 0.1


class Present(WrappedGrid):
    """A grid without the nodes in ``gone``."""

    def __init__(self, grid: Grid, gone: Collection[int]) -> None:
        super().__init__(grid)
        self._gone = frozenset(gone)

    def get_node_ids(self) -> Iterable[int]:
        """Return the ids of the nodes that are connected, and not gone."""
        return [node for node in self._grid.get_node_ids() if node not in self._gone]


def gathered(
    task: ServerJob,
    grid: Grid,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Grid:
    """Wait for the nodes that ``task`` expects, some seconds at most; return the grid to ask."""
    expected = {task.registered[v] for v in task.expected if v in task.registered}
    start, most = clock(), None
    while (missing := len(expected - {*grid.get_node_ids()})) > 0:
        waited = clock() - start
        if most is None and 2 * missing < len(expected):
            # One site whose edge answers, but whose SuperNode does not come, must not cost each
            # term the time that a site may take that was asleep.
            most = max(waited + GRACE_SECONDS, 2 * waited)
        if waited >= min(GATHER_SECONDS, most or GATHER_SECONDS):
            break
        sleep(LOOK_SECONDS)
    gone = [task.registered[v] for v in task.gone if v in task.registered]
    return cast(Grid, Present(grid, gone)) if gone else grid


def nodes_present(task: ServerJob, grid: Grid, roster: Collection[str]) -> dict[str, int]:
    """Return vendor → node if all of the roster but those that are gone are connected, else {}.

    An elected server needs no round of questions then.
    """
    if task.nodes or not task.expected:
        return dict(task.nodes)
    here = set(grid.get_node_ids())
    found = {v: task.registered[v] for v in roster if task.registered.get(v) in here}
    return found if found.keys() == {*roster} - {*task.gone} else {}
