"""A comparison that was interrupted goes on: runs that are finished are not made again."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from clients.files.durable import write_durably
from clients.files.locks import AlreadyLocked, locked
from srflm_flower.comparison.result import MethodResult
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.federation.federation import Federation
from strategies.errors import RunFolderError

RESULT = "result.json"
BEGUN = "begun.txt"
LOCK = "begun.lock"


class Finished(BaseModel):
    """A finished run: its result, and of a run of SRFLM the budget of the other methods.

    ``asked`` names all that it was made from.
    """

    model_config = ConfigDict(frozen=True)

    asked: str
    result: MethodResult
    budget: StepBudget | None = None


def name_of(federation: Federation, *further: object) -> str:
    """Return a name of all that a run depends on: SHA-256 (hex) of the federation and the rest.

    A newer version, with further settings at their defaults, finds the runs of an older one.
    """
    run = federation.run.model_dump_json(exclude_defaults=True)
    path = str(getattr(federation.data, "path", ""))
    text = "\n".join([federation.hash, run, path, *map(repr, further)])
    return hashlib.sha256(text.encode()).hexdigest()


def once(
    folder: Path, asked: str, make: Callable[[], tuple[MethodResult, StepBudget | None]]
) -> Finished:
    """Return what ``make`` returns, from ``folder`` if it was made there before.

    A run that broke off there is begun again.  Raises :class:`RunFolderError` if the folder holds
    the run of something else, or another process writes to it.
    """
    begun = folder / BEGUN
    # Only what this function has begun is deleted, never a run that somebody made by hand.
    if not begun.exists() and not (folder / RESULT).exists() and _has_others(folder):
        raise _others(folder)
    try:
        with locked(folder / LOCK):
            return _once(folder, asked, make)
    except AlreadyLocked as error:
        raise RunFolderError(
            f"another comparison (process {error.holder}) writes to {folder}",
            "a folder of its own for every comparison",
            "wait until it ends, or name another folder with --out",
            RunFolderError.BUSY,
        ) from error


def _once(
    folder: Path, asked: str, make: Callable[[], tuple[MethodResult, StepBudget | None]]
) -> Finished:
    kept, begun = _kept(folder), folder / BEGUN
    if kept is not None:
        if kept.asked != asked:
            raise _others(folder)
        return kept
    if begun.exists() and begun.read_bytes() != asked.encode():
        raise _others(folder)
    begin_anew(folder, asked)
    result, budget = make()
    finished = Finished(asked=asked, result=result, budget=budget)
    write_durably(folder / RESULT, finished.model_dump_json().encode())
    return finished


def _has_others(folder: Path) -> bool:
    return folder.exists() and any(path.name != LOCK for path in folder.iterdir())


def _clear(folder: Path) -> None:
    """Delete all that is in the folder but the lock and the note of its beginning."""
    # The note stays: a call that is broken off here must know the rest for its own.
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in (BEGUN, LOCK):
            path.unlink()


def begin_anew(folder: Path, asked: str) -> None:
    """Empty ``folder`` for a run that is made from ``asked``, if a comparison has begun it.

    Raises :class:`RunFolderError` for a folder with anything else: it is left as it is.
    """
    begun = folder / BEGUN
    if begun.exists():
        _clear(folder)
    elif _has_others(folder):
        raise _others(folder)
    write_durably(begun, asked.encode())


def _kept(folder: Path) -> Finished | None:
    file = folder / RESULT
    if not file.exists():
        return None
    try:
        return Finished.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise _others(folder) from error


def _others(folder: Path) -> RunFolderError:
    return RunFolderError(
        f"{folder} holds a run of another comparison",
        "a new folder, or that of the same federation, methods, and seeds",
        "name another folder with --out",
        RunFolderError.BUSY,
    )
