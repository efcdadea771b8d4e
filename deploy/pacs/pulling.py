"""Fetch the series that a query asks for into a folder; nothing is fetched twice (WADO-RS).

``FOLDER/<series>/<image>.dcm`` holds whole series only, so that an index of the folder never sees
half of one.  ``FOLDER/.pull`` is hidden from it: ``part/<series>`` has the images of series that
are not whole yet, ``series.csv`` says which series has which name.  Names are hashes of UIDs.
"""

from __future__ import annotations

import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from clients.files.durable import not_writable, sweep_temporaries
from clients.files.locks import AlreadyLocked, locked
from clients.imaging.objects import check_reader
from deploy.pacs.connection import Connection
from deploy.pacs.fetching import MEND, Fetched, SeriesFolders, fetch_series
from deploy.pacs.query import Query
from deploy.pacs.search import Series, find_series
from deploy.pacs.table import write_table
from deploy.processes.private import PRIVATE, private_files
from strategies.errors import ConfigurationError, PacsError, RunFolderError

HIDDEN = ".pull"
TABLE = f"{HIDDEN}/series.csv"
GRACE_SECONDS = 2.0
"""How long threads may take to see that the pull has ended."""


@dataclass
class Pulled:
    """Counts of a pull: series that fit, and the images and bytes that came now.

    Of the series, ``before`` were whole before, and ``whole`` are so now.  Of those ``not_whole``
    some images could not be fetched, which ``reasons`` counts.  ``others`` counts what the PACS
    told besides, and why it does not fit the query.
    """

    series: int = 0
    before: int = 0
    whole: int = 0
    not_whole: int = 0
    images: int = 0
    bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)


Progress = Callable[[str, int, int], None]
"""Told what is counted ("studies" or "series"), how many are done, and of how many."""


def look(pacs: Connection, query: Query, progress: Progress) -> tuple[tuple[Series, ...], Pulled]:
    """Return the series that a pull would fetch; nothing is written.

    Raises :class:`PacsError` if none fits, or the PACS does not answer as it should.
    """
    found = find_series(pacs, query, lambda at, of: progress("studies", at, of))
    if not found.series:
        told = ", ".join(f"{count} {reason}" for reason, count in found.others.most_common())
        raise PacsError(
            "no series fits the query" + (f"; the PACS told of others: {told}" if told else ""),
            "at least one series",
            "change the query file; descriptions may need a * at both ends",
            PacsError.NOTHING,
        )
    return found.series, Pulled(series=len(found.series), others=found.others)


def pull(pacs: Connection, query: Query, folder: Path, progress: Progress) -> Pulled:
    """Fetch all series that fit into ``folder``, which is made, for its owner alone.

    A series that cannot be fetched whole is counted and left out; the next pull tries the rest of
    it.  Raises :class:`PacsError` if the PACS does not answer as it should,
    :class:`RunFolderError` if the folder is in use or cannot be written, and
    :class:`ConfigurationError` if other users can look into it.
    """
    check_reader(folder)
    with private_files(), _own(folder):
        wanted, pulled = look(pacs, query, progress)
        folders = SeriesFolders(folder, folder / HIDDEN / "part")
        write_table(folder / TABLE, wanted)
        _fetch_all(pacs, wanted, folders, pulled, progress)
    return pulled


@contextmanager
def _own(folder: Path) -> Iterator[None]:
    """Make the folder, and hold it against other pulls inside the block."""
    hidden = folder / HIDDEN
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & PRIVATE:
            raise ConfigurationError(
                f"{folder} has the mode {mode:04o}, so that others can look into it",
                "a folder for its owner alone, as patients' images come into it",
                f"`chmod 700 {folder}`, or name a new folder",
            )
        hidden.mkdir(exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error, MEND) from None
    try:
        with locked(hidden / "lock"):
            sweep_temporaries(hidden)
            yield
    except AlreadyLocked as error:
        raise RunFolderError(
            f"{folder}, into which process {error.holder} pulls",
            "one pull into a folder at a time",
            "wait until it has ended, or name another folder",
            RunFolderError.BUSY,
        ) from None


def _fetch_all(
    pacs: Connection,
    wanted: tuple[Series, ...],
    folders: SeriesFolders,
    pulled: Pulled,
    progress: Progress,
) -> None:
    """Fetch some series at a time; the first error of any of them ends it."""
    left: SimpleQueue[Series] = SimpleQueue()
    ended: SimpleQueue[Fetched | BaseException] = SimpleQueue()
    for each in wanted:
        left.put(each)

    def work() -> None:
        while not pacs.stopping.is_set():
            try:
                ended.put(fetch_series(pacs, left.get_nowait(), folders))
            except Empty:
                return
            except BaseException as error:
                ended.put(error)  # raised by the main thread

    # Daemons: after Ctrl-C, nobody waits for a PACS that is silent.
    workers = [Thread(target=work, daemon=True) for _ in range(pacs.settings.at_once)]
    for worker in workers:
        worker.start()
    try:
        for at in range(len(wanted)):
            progress("series", at, len(wanted))
            fetched = ended.get()
            if isinstance(fetched, BaseException):
                raise fetched
            _count(fetched, pulled)
        progress("series", len(wanted), len(wanted))
    finally:
        # The images that are under way are given up, the others stay.
        pacs.stopping.set()
        until = time.monotonic() + GRACE_SECONDS
        for worker in workers:
            worker.join(max(0.0, until - time.monotonic()))


def _count(fetched: Fetched, pulled: Pulled) -> None:
    pulled.images += fetched.images
    pulled.bytes += fetched.bytes
    pulled.reasons += fetched.reasons
    if fetched.reasons:
        pulled.not_whole += 1
    elif fetched.before:
        pulled.before += 1
    else:
        pulled.whole += 1
