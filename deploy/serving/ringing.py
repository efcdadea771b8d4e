"""Ring for each message: sites come for it at once, and need not ask often when there is none.

A site fetches its messages from the server's SuperLink.  Right after a message is pushed, the
server knocks at the recipient's edge, whose SuperNode then asks at once (:mod:`deploy.door.door`).
A knock that is lost costs a pause between two questions, a few seconds at most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import cast

from flwr.app import Message
from flwr.serverapp import Grid

from deploy.door.door import Door
from deploy.processes.bell import Bell
from deploy.processes.config import load_config
from deploy.serving.job import ServerJob, names_in
from deploy.serving.launcher_config import LauncherConfig
from deploy.serving.wrapped_grid import WrappedGrid
from deploy.site.deployed_site import DeployedSite
from deploy.site.layout import Layout
from strategies.errors import SrflmError

Ring = Callable[[Collection[str]], object]
"""Ring at the sites of these vendors."""


class Ringing(WrappedGrid):
    """A grid that rings, in the background, at the vendors to whose nodes it pushes messages."""

    def __init__(self, grid: Grid, names: Mapping[int, str], ring: Ring) -> None:
        super().__init__(grid)
        self._names, self._ring = names, ring

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Push the messages, then ring; return what the grid returns."""
        messages = list(messages)
        ids = list(self._grid.push_messages(messages))
        nodes = {message.metadata.dst_node_id for message in messages}
        vendors = sorted(self._names[node] for node in nodes if node in self._names)
        # A site that does not answer must not keep the others' answers waiting.
        with suppress(RuntimeError):  # no thread can be had: as if the knock were lost
            threading.Thread(target=self._ring, args=(vendors,), daemon=True).start()
        return ids


def ringing(site: DeployedSite, task: ServerJob, grid: Grid) -> Grid:
    """Return ``grid`` as one that rings; itself where the site has no edge, as in tests."""
    try:
        config = load_config(LauncherConfig, Layout.of(site.settings).config("launcher"))
    except SrflmError:
        return grid
    door = Door(config.ways_out, config.root_certificate)
    own = Bell(config.bells / config.vendor)  # the own SuperNode, which passes no edge
    return cast(Grid, Ringing(grid, names_in(task), partial(_ring, config.vendor, own, door)))


def _ring(vendor: str, own: Bell, door: Door, vendors: Collection[str]) -> None:
    with suppress(OSError, RuntimeError):  # no space, or no threads: as if the knock were lost
        if vendor in vendors:
            own.ring()
        door.knock(vendors)  # it knows no way to the own site
