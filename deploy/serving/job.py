"""The job that a site's launcher hands to a run of its ServerApp, and the outcome it gets back."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from clients.files.locks import AlreadyLocked, locked
from strategies.protocol.records import Noun, RunOrder


class ServerJob(Noun):
    """The job of one run of the ServerApp.

    ``serve``: make one attempt at the open term.  ``order``: spread a run order.  ``sync``, when a
    site comes up: fetch the terms that it has missed and, if it has lost its state, learn when it
    may vote again.  ``nodes`` maps each vendor to its SuperNode's id on this SuperLink if all
    members are online, and is empty otherwise.
    """

    name: str
    kind: Literal["serve", "order", "sync"]
    attempt: int = 0
    order: RunOrder | None = None
    nodes: dict[str, int] = Field(default_factory=dict)


class JobOutcome(Noun):
    """The outcome of a task.

    ``committed``: the term is in the ledger.  ``outvoted``: ``attempt`` was granted to another
    server.  ``caught-up``: this site had missed terms and has them now.  ``failed``: see ``code``;
    the text stays in the site's log.  ``ordered``: a majority follows the order.  ``outnumbered``:
    the order is not new, as the others know orders up to ``number``.  ``synced``: the missed terms
    and orders are here.
    """

    task: str
    result: Literal[
        "committed", "outvoted", "caught-up", "failed", "ordered", "outnumbered", "synced"
    ]
    attempt: int = 0
    number: int = 0
    code: str = ""
    text: str = ""


def outcome_path(run_folder: Path, task: str) -> Path:
    """Return the path of a task's outcome file."""
    return run_folder / "outcomes" / f"{task}.json"


def read_outcome(run_folder: Path, task: str) -> JobOutcome | None:
    """Return the outcome of a task, or None as long as there is no outcome file."""
    path = outcome_path(run_folder, task)
    return JobOutcome.model_validate_json(path.read_bytes()) if path.exists() else None


def lock_path(run_folder: Path, task: str) -> Path:
    """Return the path of the lock that a ServerApp holds while it does a task."""
    return run_folder / "outcomes" / f"{task}.lock"


def was_abandoned(run_folder: Path, task: str) -> bool:
    """Return whether the process that began a task is gone and has left no outcome."""
    path = lock_path(run_folder, task)
    if not path.exists():
        return False
    try:
        # The system frees the lock of a process that dies, however it dies.
        with locked(path):
            return read_outcome(run_folder, task) is None
    except AlreadyLocked:
        return False
