"""What the launcher needs of its site's own SuperLink, and a run that it has started there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from deploy.serving.job import JobOutcome, ServerJob


class Runs(Protocol):
    """The site's own SuperLink, which runs the ServerApps."""

    def start(self, task: ServerJob, doubted: Collection[str] = ()) -> int:
        """Start a run of the ServerApp with ``task``; return its id.

        The vendors in ``doubted`` were missed lately: nobody waits for those that cannot be
        reached.
        """
        ...

    def ended(self, run: int, task: str) -> bool:
        """Return whether a run has ended, for any reason, or its process is gone."""
        ...

    def stop(self, run: int) -> None:
        """End a run."""
        ...

    def outcome(self, task: str) -> JobOutcome | None:
        """Return the outcome of a task, or None if there is none yet."""
        ...


@dataclass(frozen=True)
class Serving:
    """A run of the ServerApp, started by this launcher."""

    task: ServerJob
    run: int
    term: int
    since: float
