"""Look at the site's files: owners, rights, folders, and what runs or was left of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from deploy.doctor.facts import FileFacts, RunningFacts
from deploy.operating.running import read_notes
from deploy.processes.private import PRIVATE
from deploy.site.deployed_site import SITE_VARIABLE
from deploy.site.layout import Layout
from deploy.site.settings import SiteSettings

RESTORES: Final = ".restore-*"


def file_facts(settings: SiteSettings) -> FileFacts:
    """Return the facts about a site's files."""
    places = {"state": settings.state, "run": settings.run, "logs": settings.logs}
    private = {**places, "identity": settings.identity}
    keys = sorted(settings.identity.glob("*.key"))
    # site.toml and the federation file may be somebody else's: it is enough to read them.
    written = [*private.values(), *keys]
    return FileFacts(
        user=os.geteuid(),
        owners=frozenset(info.st_uid for info in map(_info, written) if info is not None),
        open_keys=tuple(f"{settings.identity.name}/{key.name}" for key in keys if _is_open(key)),
        open_folders=tuple(name for name, path in private.items() if _is_open(path)),
        unwritable=tuple(name for name, path in places.items() if not _writable(path)),
    )


def running_facts(folder: Path, layout: Layout) -> RunningFacts:
    """Return the facts about what runs of a site, and what earlier starts have left."""
    notes = read_notes(layout)
    programs = notes.programs if notes is not None else {}
    return RunningFacts(
        up=notes is not None,
        ended=tuple(name for name, pid in programs.items() if not psutil.pid_exists(pid)),
        strays=0 if notes is not None else sum(1 for _ in _strays(folder)),
        notes_left=notes is None and layout.up.exists(),
        restores=tuple(path.name for path in sorted(folder.glob(RESTORES))),
    )


def _strays(folder: Path) -> Iterator[int]:
    """Yield the processes that a start of this site has left."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            mine = process.environ().get(SITE_VARIABLE) == str(folder)
            if mine and process.pid != os.getpid():
                yield process.pid


def _info(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _is_open(path: Path) -> bool:
    info = _info(path)
    return info is not None and bool(stat.S_IMODE(info.st_mode) & PRIVATE)


def _writable(path: Path) -> bool:
    """Return whether a folder can be written, or made if it is not there."""
    if path.exists():
        return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
    return next(
        (os.access(each, os.W_OK | os.X_OK) for each in path.parents if each.exists()), False
    )
