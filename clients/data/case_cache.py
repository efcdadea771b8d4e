"""Prepared cases on disk, so that a later start need not decode and resample them again.

A case has one ``.npy`` file a part (image, target) and one ``.json`` file, which names the parts
with their hashes and is written last: without it there is no case.  What cannot be kept is made
again; the cache never stops a run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from clients.files.durable import durable_file, sweep_temporaries
from clients.files.locks import locked
from clients.files.user_folder import user_cache_folder
from clients.preparation.geometry import Geometry
from clients.preparation.prepare import VERSION, Prepared
from clients.preparation.settings import PrepareSettings
from clients.tasks.shared_settings import TargetKind
from strategies.errors import DataError, RunFolderError

MOST_BYTES: Final = 50 * 2**30
_FORMAT = "srflm-case-2"
_CHUNK = 2**20
LOOKS: Final = 64
"""Cases that are stored between two looks at all files of the cache."""

_OVERHEAD = 4096  # bytes of a case besides its values: headers, and the notes
_MEND = "free space, or choose another folder for the cache; the run goes on without it"

log = logging.getLogger(__name__)


def case_key(
    image: Sequence[Path], target: Sequence[Path], kind: TargetKind, settings: PrepareSettings
) -> str:
    """Return SHA-256 (hex) of all on which a prepared case depends.

    These are the content and the suffixes of the files, the kind of target, the agreed settings,
    and the version of the preparation; the files' names are left out.  Raises :class:`DataError` if
    a file cannot be read.
    """
    agreed = settings.changes.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    files = [[[each.suffix.lower(), _content(each)] for each in part] for part in (image, target)]
    text = json.dumps([_FORMAT, VERSION, kind, agreed, files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def users_cache() -> CaseCache:
    """Return the cache in the user's own folder for what can be made again."""
    return CaseCache(user_cache_folder() / "srflm" / "cases")


@dataclass
class CaseCache:
    """The cache in ``folder``, which only its owner can read; at most ``most_bytes`` large.

    The least recently used cases of others go first; those that this object has given stay, as the
    next start will want them again.  Several processes may use one folder.
    """

    folder: Path
    most_bytes: int = MOST_BYTES
    _checked: set[tuple[object, ...]] = field(default_factory=set, init=False)
    _given: set[str] = field(default_factory=set, init=False)
    _total: int | None = field(default=None, init=False)  # bytes, as of the last look, and ours
    _stored: int = field(default=0, init=False)
    _full: bool = field(default=False, init=False)

    def prepared(self, key: str, make: Callable[[], Prepared]) -> Prepared:
        """Return the case of this :func:`case_key`, from the cache or made by ``make``.

        The arrays of a cached case are mapped from their files, and cannot be written.  A damaged
        case is made again.  Raises only what ``make`` raises.
        """
        found = self._load(key)
        if found is not None:
            return found
        made = make()
        if self._full or not self._store(key, made):
            return made
        # Mapped, it takes no memory until it is used.
        return self._load(key) or made

    def again(self, state: str) -> Prepared | None:
        """Return the case that was noted for a ``state`` (hex) of its files, if it is kept."""
        try:
            key = self._path(state, "same").read_text(encoding="ascii")
        except (OSError, ValueError):
            return None
        return self._load(key)

    def note(self, state: str, key: str) -> None:
        """Note that files in this ``state`` (hex) give the case of ``key``, if the case is kept."""
        if self._full or not self._path(key, "json").exists():
            return
        with suppress(RunFolderError, OSError), self._new(state, "same") as file:
            file.write(key.encode("ascii"))

    def clear(self) -> None:
        """Delete all cases; raises :class:`RunFolderError` if the folder cannot be written."""
        if not self.folder.exists():
            return
        with self._alone():
            for case in self._cases():
                self._drop(case)
            for note in self.folder.glob("*.same"):
                note.unlink(missing_ok=True)
            self._sweep()

    # ---- reading -------------------------------------------------------------------------------

    def _load(self, key: str) -> Prepared | None:
        try:
            notes = self._notes(key)
            parts = {name: self._part(key, name, kept) for name, kept in notes["parts"].items()}
            found = Prepared(
                parts["image"],
                parts.get("target"),
                tuple(notes["spacing"]),
                _geometry_from(notes["geometry"]),
            )
        except FileNotFoundError:
            return None  # not made yet, or just dropped by another process
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            log.warning("a prepared case in %s is damaged, and is made again", self.folder)
            return None
        with suppress(OSError):  # only the order in which cases go
            os.utime(self._path(key, "json"))
        self._given.add(key)
        return found

    def _notes(self, key: str) -> dict[str, Any]:
        digest, _, body = self._path(key, "json").read_bytes().partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise ValueError("the notes are damaged")
        notes: dict[str, Any] = json.loads(body)
        return notes

    def _part(self, key: str, name: str, kept: dict[str, Any]) -> NDArray[Any]:
        path = self._path(key, f"{name}.npy")
        state = path.stat()
        if state.st_size != kept["bytes"]:
            raise ValueError("a part has another length")
        # Once a process: to look through a mapped file takes longer than to use a patch of it.
        # Damage is what it is to find; whoever may write here may write anything, and a SHA-256
        # takes three times as long.
        identity = (path.name, state.st_ino, state.st_mtime_ns)
        if identity not in self._checked and _checksum_of(path) != kept["crc32"]:
            raise ValueError("a part has other content")
        values: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
        self._checked.add(identity)
        return values

    # ---- writing -------------------------------------------------------------------------------

    def _store(self, key: str, made: Prepared) -> bool:
        """Return whether the case is kept now."""
        parts = {"image": made.image} | ({} if made.target is None else {"target": made.target})
        needed = sum(part.nbytes for part in parts.values()) + _OVERHEAD
        if needed > self.most_bytes:
            return False
        try:
            with self._alone():
                if not self._make_room(needed):
                    self._full = True
                    log.warning(
                        "the cache of prepared cases is full: %d MB; the rest is prepared again at"
                        " each start",
                        self.most_bytes // 10**6,
                    )
                    return False
                kept = {name: self._write_part(key, name, part) for name, part in parts.items()}
                notes = {
                    "parts": kept,
                    "spacing": made.spacing,
                    "geometry": _notes_of(made.geometry),
                }
                body = json.dumps(notes).encode()
                with self._new(key, "json") as file:
                    file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        except (RunFolderError, OSError) as error:
            # Said once: a cache that cannot grow is no reason to stop, nor to fill the log.
            self._full = True
            log.warning("prepared cases are not kept from now on: %s", error)
            return False
        self._given.add(key)
        return True

    def _write_part(self, key: str, name: str, values: NDArray[Any]) -> dict[str, Any]:
        with self._new(key, f"{name}.npy") as file:
            adding = _Adding(file)
            np.lib.format.write_array(adding, np.ascontiguousarray(values), allow_pickle=False)
        return {"bytes": adding.bytes, "crc32": adding.checksum}

    def _new(self, key: str, suffix: str) -> Any:
        return durable_file(self._path(key, suffix), private=True, mend=_MEND)

    def _alone(self) -> Any:
        """Return a block in which no other process writes or deletes."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        lock = self.folder / ".lock"
        os.close(os.open(lock, os.O_CREAT | os.O_RDWR, 0o600))
        return locked(lock, wait=True)

    def _make_room(self, needed: int) -> bool:
        """Return whether there is room now; cases of others go for it."""
        # To look through all files takes long where there are many; other processes write too.
        if (
            self._total is None
            or self._stored % LOOKS == 0
            or self._total + needed > self.most_bytes
        ):
            self._sweep()
            self._total = self._after_drops(needed)
        self._stored += 1
        if self._total + needed > self.most_bytes:
            return False
        self._total += needed
        return True

    def _after_drops(self, needed: int) -> int:
        """Drop the least recently used cases until there is room; return the bytes left."""
        sizes = {key: sum(map(_size, self._files(key))) for key in self._cases()}
        total = sum(sizes.values())
        for key, size in sizes.items():
            if total + needed <= self.most_bytes:
                break
            if key not in self._given:
                self._drop(key)
                total -= size
        return total

    def _cases(self) -> list[str]:
        """Return the keys of all cases, the least recently used first."""
        notes = [(path.stat().st_mtime_ns, path.stem) for path in self.folder.glob("*.json")]
        return [key for _, key in sorted(notes)]

    def _files(self, key: str) -> list[Path]:
        names = ("json", "image.npy", "target.npy")  # the notes first: then there is no case
        return [self._path(key, name) for name in names]

    def _drop(self, key: str) -> None:
        for path in self._files(key):
            path.unlink(missing_ok=True)  # a process that has it mapped keeps it

    def _sweep(self) -> None:
        """Delete what killed processes have left."""
        sweep_temporaries(self.folder)
        for path in self.folder.glob("*.npy"):
            if not self._path(path.name.partition(".")[0], "json").exists():
                path.unlink(missing_ok=True)

    def _path(self, key: str, suffix: str) -> Path:
        return self.folder / f"{key}.{suffix}"


class _Adding:
    """Pass bytes on to a file, and count them and their checksum (CRC-32)."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.bytes, self.checksum = file, 0, 0

    def write(self, data: bytes) -> int:
        self.checksum = zlib.crc32(data, self.checksum)
        self.bytes += len(data)
        return self._file.write(data)


def _notes_of(geometry: Geometry) -> dict[str, Any]:
    affine = geometry.source_affine
    return asdict(geometry) | {"source_affine": None if affine is None else affine.tolist()}


def _geometry_from(notes: dict[str, Any]) -> Geometry:
    affine = notes["source_affine"]
    lists = {name: tuple(value) for name, value in notes.items() if name != "source_affine"}
    return Geometry(source_affine=None if affine is None else np.array(affine), **lists)


def _content(path: Path) -> str:
    try:
        return _digest_of(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or type(error).__name__})",
            "a readable file",
            "correct its permissions, or copy it again",
            DataError.UNREADABLE,
        ) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _checksum_of(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for start in range(0, len(mapped), _CHUNK):
            checksum = zlib.crc32(mapped[start : start + _CHUNK], checksum)
    return checksum


def _digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
