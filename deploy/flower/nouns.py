"""The data between a deployed site and Flower, in types that do not depend on Flower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["client", "server"]


@dataclass(frozen=True)
class Hooks:
    """Functions that a SuperNode calls to wait, and after a message has arrived."""

    on_message: Callable[[], None]
    idle: Callable[[], None]  # waits before the next call for messages at the SuperLink
    waiting: Callable[[], None]  # waits before the next look for the ClientApp's reply


@dataclass(frozen=True)
class FlowerTask:
    """An acquired task: one message to answer, or one ServerApp to run."""

    kind: Kind
    run_id: int
    bundle: str
    token: str = field(repr=False)  # it gives access to the run, so it must not reach a log


@dataclass(frozen=True)
class RunStatus:
    """A run in the SuperLink's list; ``status`` is e.g. ``running`` or ``finished:completed``."""

    run_id: int
    status: str
    details: str
    bundle: str

    @property
    def finished(self) -> bool:
        """Whether the run has ended, for any reason."""
        return self.status.startswith("finished")
