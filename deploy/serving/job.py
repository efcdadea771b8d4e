"""What a site's launcher hands to a run of its ServerApp, and what the run hands back."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from clients.files.locks import AlreadyLocked, locked
from strategies.protocol.records import Noun, RunOrder


class ServerJob(Noun):
    """What one run of the ServerApp is to do.

    ``serve`` one attempt at the open term; spread a run ``order``; or, when a site comes up,
    ``sync``: learn what it has missed and, if it has lost its state, when it may vote again.
    ``nodes``, where all members are online, has the node of each one's SuperNode here.
    """

    name: str
    kind: Literal["serve", "order", "sync"]
    attempt: int = 0
    order: RunOrder | None = None
    nodes: dict[str, int] = Field(default_factory=dict)


class JobOutcome(Noun):
    """What became of a task.

    ``committed``: the term is in the ledger.  ``outvoted``: ``attempt`` was granted to another
    server.  ``caught-up``: this site had missed terms and has them now.  ``failed``: see ``code``;
    the text stays in the site's log.  ``ordered``: a majority follows the order.  ``synced``: what
    was missed is there.
    """

    task: str
    result: Literal["committed", "outvoted", "caught-up", "failed", "ordered", "synced"]
    attempt: int = 0
    code: str = ""
    text: str = ""


def outcome_path(run_folder: Path, task: str) -> Path:
    """Return where the outcome of a task is written."""
    return run_folder / "outcomes" / f"{task}.json"


def read_outcome(run_folder: Path, task: str) -> JobOutcome | None:
    """Return the outcome of a task, once it is there."""
    path = outcome_path(run_folder, task)
    return JobOutcome.model_validate_json(path.read_bytes()) if path.exists() else None


def lock_path(run_folder: Path, task: str) -> Path:
    """Return the lock that a ServerApp holds while it does a task."""
    return run_folder / "outcomes" / f"{task}.lock"


def was_abandoned(run_folder: Path, task: str) -> bool:
    """Return whether a task was begun by a process that is gone, and has no outcome."""
    path = lock_path(run_folder, task)
    if not path.exists():
        return False
    try:
        with locked(path):
            return read_outcome(run_folder, task) is None
    except AlreadyLocked:
        return False
