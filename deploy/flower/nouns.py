"""The data that a deployed site and Flower exchange, in types that do not depend on Flower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["client", "server"]


@dataclass(frozen=True)
class Hooks:
    """The functions that a SuperNode calls to wait, and when a message has arrived."""

    on_message: Callable[[], None]
    idle: Callable[[], None]
    """Waits before the SuperLink is asked for messages again."""
    waiting: Callable[[], None]
    """Waits before looking again whether the ClientApp has answered."""


@dataclass(frozen=True)
class FlowerTask:
    """A task that this process has acquired: one message to answer, or one ServerApp to run."""

    kind: Kind
    run_id: int
    bundle: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class RunStatus:
    """A run as the SuperLink lists it; ``status`` is as in ``running``, ``finished:completed``."""

    run_id: int
    status: str
    details: str
    bundle: str

    @property
    def finished(self) -> bool:
        """Whether the run has ended, for any reason."""
        return self.status.startswith("finished")
