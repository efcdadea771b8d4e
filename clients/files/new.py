"""Write results under names that nobody has yet: whole or not at all, and never in place of others.

Results show patients, so that only their owner can read them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from clients.files.durable import not_writable, sync_folder, write_durably


def write_new_file(path: Path, data: bytes) -> None:
    """Write a file durably; raises as :func:`write_new_folder` does."""
    with _Beside(path) as made:
        whole = made / "0"
        write_durably(whole, data, private=True)
        try:
            # Unlike a rename, a link never takes the place of a file that came meanwhile.
            os.link(whole, path)
        except FileExistsError:
            raise
        except OSError:
            # Some file systems have no links; the time between is then as short as it can be.
            _check_new(path)
            whole.rename(path)


def write_new_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder with files of these names durably.

    Raises :class:`FileExistsError` if anything has the name ``path``, also a link to nothing, and
    :class:`strategies.errors.RunFolderError` if it cannot be written.
    """
    with _Beside(path) as made:
        for name, data in files.items():
            write_durably(made / name, data, private=True)
        _check_new(path)
        # A folder of another call at this instant is not empty, and is not replaced.
        made.rename(path)


class _Beside:
    """A new folder beside ``path``, which no other call has or had; what is left of it goes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        _check_new(self.path)
        try:
            made = tempfile.mkdtemp(prefix=f".{self.path.name[:100]}.", dir=self.path.parent)
        except OSError as error:
            raise not_writable(self.path, error) from error
        self.made = Path(made)
        return self.made

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        shutil.rmtree(self.made, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, FileExistsError):
            if os.path.lexists(self.path):
                raise FileExistsError(str(self.path)) from error
            raise not_writable(self.path, error) from error
        if error is None:
            sync_folder(self.path.parent)


def _check_new(path: Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(str(path))
