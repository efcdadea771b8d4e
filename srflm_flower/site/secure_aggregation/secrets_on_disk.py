"""A client's notes on disk: secrets of the open term, readable by their owner only.

::

    secure/t<term>-<digest of the context>.json

The secrets outlive the process that answers one message, and are deleted when the term is
committed.  Every note is durable before :meth:`SecretsOnDisk.keep` returns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clients.files.durable import write_durably
from clients.files.locks import locked
from strategies.protocol.secure_nouns import Context
from strategies.secure_aggregation.client import Secrets


class SecretsOnDisk:
    """A folder with one file for each aggregation of the open term."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of the notes, so that requests are answered one after another."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # no other user of the machine
        with locked(self._folder / "lock", wait=True):
            yield

    def find(self, context: Context) -> Secrets | None:
        """Return the notes about ``context``, if there are any."""
        path = self._path(context)
        if not path.exists():
            return None
        return Secrets.model_validate_json(path.read_bytes())

    def keep(self, notes: Secrets) -> None:
        """Store notes durably."""
        write_durably(self._path(notes.context), notes.model_dump_json().encode(), private=True)

    def of_server(self, context: Context) -> list[Secrets]:
        """Return the notes of all aggregations that this server has begun in this term."""
        paths = sorted(self._folder.glob(f"t{context.term:06}-*.json"))
        found = [Secrets.model_validate_json(path.read_bytes()) for path in paths]
        return [notes for notes in found if notes.context.server == context.server]

    def forget_through(self, term: int) -> None:
        """Delete the secrets of all terms up to this one."""
        for path in self._folder.glob("t*.json"):
            if int(path.name[1:].split("-")[0]) <= term:
                path.unlink(missing_ok=True)

    def _path(self, context: Context) -> Path:
        return self._folder / f"t{context.term:06}-{context.digest}.json"
