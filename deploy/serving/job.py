"""The launcher's job for one run of the ServerApp, and the outcome of the job, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from clients.files.locks import is_held
from strategies.protocol.bounds import ByName, Many
from strategies.protocol.records import Noun, RunOrder

TaskName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""An identifier.  Files are named by it, and a run configuration may come from any local user who
reaches the control interface: it must not lead to another folder."""


class ServerJob(Noun):
    """The job of one run of the ServerApp.

    ``serve``: make one attempt at the open term. ``order``: spread a run order. ``sync``: fetch the
    missed terms after a start and, if the site has lost its state, learn when it may vote again.
    ``ask``: ask who answers and could vote.

    ``expected`` are the vendors that were asked to connect: the ServerApp waits some seconds for
    them.  Nobody asks those in ``gone``.  An ``early`` attempt is made before its time, as the
    named vendor, for which all wait, cannot be reached.
    ``nodes`` maps each vendor to its SuperNode's id on this SuperLink if all members are online,
    and is empty otherwise.  ``registered`` maps all vendors to these ids, and decides in whose name
    a node may answer.
    """

    name: TaskName
    kind: Literal["serve", "order", "sync", "ask"]
    attempt: int = 0
    order: RunOrder | None = None
    expected: Many[str] = ()
    gone: Many[str] = ()
    early: str = ""
    nodes: ByName[int] = Field(default_factory=dict)
    registered: ByName[int] = Field(default_factory=dict)


class JobOutcome(Noun):
    """The outcome of a task.

    ``committed``: the term is in the ledger. ``outvoted``: another server was granted ``attempt``.
    ``yielded``: this site cannot do its own part of the attempt and leaves it to the next vendor.
    ``caught-up``: this site had missed terms and now has them. ``failed``: see ``code``; the text
    stays in the site's log. ``ordered``: a quorum follows the order. ``outnumbered``: the order
    is not new, as the others know orders up to ``number``. ``synced``: no missed terms or orders
    are left. ``told``: the sites in ``answered`` have answered, those in ``able`` know their votes.
    """

    task: TaskName
    result: Literal[
        "committed",
        "outvoted",
        "yielded",
        "caught-up",
        "failed",
        "ordered",
        "outnumbered",
        "synced",
        "told",
    ]
    attempt: int = 0
    number: int = 0
    answered: Many[str] = ()
    able: Many[str] = ()
    code: str = ""
    text: str = ""


def names_in(task: ServerJob) -> dict[int, str]:
    """Return node → vendor, as the own SuperLink has registered the nodes."""
    return {node: vendor for vendor, node in task.registered.items()}


def outcome_path(run_folder: Path, task: str) -> Path:
    """Return the path of a task's outcome file."""
    return run_folder / "outcomes" / f"{task}.json"


def read_outcome(run_folder: Path, task: str) -> JobOutcome | None:
    """Return the outcome of a task, or None if there is no outcome file yet."""
    path = outcome_path(run_folder, task)
    return JobOutcome.model_validate_json(path.read_bytes()) if path.exists() else None


def lock_path(run_folder: Path, task: str) -> Path:
    """Return the path of the lock that a ServerApp holds during a task."""
    return run_folder / "outcomes" / f"{task}.lock"


def was_abandoned(run_folder: Path, task: str) -> bool:
    """Return whether a task's process has ended without an outcome."""
    path = lock_path(run_folder, task)
    if not path.exists():
        return False
    # The system frees a dead process's lock, even after kill -9.
    return not is_held(path) and read_outcome(run_folder, task) is None
