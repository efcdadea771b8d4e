"""Know the files of a case again that nobody has touched, without opening one of them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from clients.data.manifest.rows import MANIFEST

SETTLED: Final = 60.0
"""Seconds after a change within which another one may leave a file's times as they are: a program
that has the file mapped may write on, and Linux writes changed pages back within 35 s."""


@dataclass(frozen=True)
class State:
    """``digest`` changes with any file of a case; ``settled``: all were at rest for a while."""

    digest: str
    settled: bool


class Stamp(NamedTuple):
    """What the file system says of a file: times are in ns, the last one is the header's."""

    path: str
    device: int
    number: int
    length: int
    changed: int
    touched: int


@dataclass
class Untouched:
    """The states of files and folders; a folder that many cases share is looked through once."""

    _folders: dict[Path, tuple[str, int]] = field(default_factory=dict)

    def state(self, words: list[str], places: list[Path]) -> State | None:
        """Return the state of the files at ``places`` and below, None if they cannot be seen.

        It depends on ``words`` too.  A file counts as the same while its place, number, length,
        and the times of its last change of content and of its header are the same.
        """
        try:
            seen = [self._seen(place) for place in places]
        except OSError:
            return None
        text = json.dumps([words, [digest for digest, _ in seen]]).encode()
        newest = max((newest for _, newest in seen), default=0)
        settled = time.time_ns() - newest > SETTLED * 1e9
        return State(hashlib.sha256(text).hexdigest(), settled)

    def _seen(self, place: Path) -> tuple[str, int]:
        """Return a digest of all stamps at and below a place, and the newest time among them."""
        if not place.is_dir():
            return _digest([_stamp(place)])
        if place not in self._folders:
            self._folders[place] = _digest(list(_stamps_below(place)))
        return self._folders[place]


def _digest(stamps: list[Stamp]) -> tuple[str, int]:
    newest = max((max(each.changed, each.touched) for each in stamps), default=0)
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest(), newest


def _stamps_below(folder: Path) -> Iterator[Stamp]:
    # A manifest in the folder of a series is no part of it, and is written anew by each index.
    files = (path for path in sorted(folder.rglob("*")) if path.name != MANIFEST)
    return (_stamp(path) for path in files if path.is_file())


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    place = str(path), found.st_dev, found.st_ino
    return Stamp(*place, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
