"""The files of a model package: written as a folder and as one .zip file, and read from either.

Equal files give equal bytes of the .zip: the order, the times, and the rights in it are fixed, and
nothing in it is compressed, so it is no matter which version of zlib packs it.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from clients.files.durable import durable_file, not_writable, write_durably
from srflm_flower.package.bag import MANIFEST
from strategies.errors import PackageError

MOST_FILES: Final = 1000
MOST_BYTES: Final = 64 * 2**30
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MEND = "free space or correct the permissions, then export again"


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files into ``folder``, in place of a package that is there.

    Raises :class:`PackageError` for a folder with anything else in it, and
    :class:`strategies.errors.RunFolderError` when it cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            if not (folder / MANIFEST).is_file():
                raise PackageError(
                    f"{folder}, in which something else lies",
                    "a package of an earlier export, or no such folder",
                    "name another folder with --out",
                    PackageError.NO_PACKAGE,
                )
            shutil.rmtree(folder)  # a file of the earlier package must not stay behind
        for name, content in files.items():
            write_durably(folder / name, content, mend=_MEND)
    except OSError as error:
        raise not_writable(folder, error, _MEND) from error


def write_zip(path: Path, top: str, files: Mapping[str, bytes]) -> None:
    """Write the files into the .zip file ``path``, all within its one folder ``top``."""
    with durable_file(path, mend=_MEND) as file, zipfile.ZipFile(file, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{top}/{name}", _EPOCH)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.create_system = 3  # Unix, on every system
            archive.writestr(entry, files[name], zipfile.ZIP_STORED)


def is_package(path: Path) -> bool:
    """Return whether ``path`` is to be read as a package and not as a site's folder."""
    return path.suffix == ".zip" or (path / MANIFEST).is_file()


def read_files(path: Path) -> dict[str, bytes]:
    """Return the files of the package at ``path``, a folder or a .zip file, by name.

    Raises :class:`PackageError` for anything but plain files of a reasonable number and size.
    """
    try:
        found = _in_folder(path) if path.is_dir() else _in_zip(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise no_package(path, f"nothing that can be read ({type(error).__name__})") from error
    if MANIFEST not in found:
        raise no_package(path, f"no {MANIFEST}")
    return found


def _in_folder(folder: Path) -> dict[str, bytes]:
    paths: list[Path] = []
    for where, folders, names in os.walk(folder):
        paths += [Path(where) / name for name in names]
        strange = [name for name in folders if (Path(where) / name).is_symlink()]
        if strange:
            raise no_package(folder, f"the link {strange[0]!r}")
    _require_few(folder, len(paths), sum(path.lstat().st_size for path in paths))
    for path in paths:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise no_package(folder, f"{path.name!r}, which is no plain file")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)}


def _in_zip(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    tops: set[str] = set()
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        entries = [each for each in archive.infolist() if not each.is_dir()]
        _require_few(path, len(entries), sum(each.file_size for each in entries))
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED:  # a few bytes may become many
                raise no_package(path, "compressed files: unpack it, and name the folder")
            name = PurePosixPath(entry.filename)
            if name.is_absolute() or ".." in name.parts or len(name.parts) < 2:
                raise no_package(path, f"the name {entry.filename!r}")
            inner = PurePosixPath(*name.parts[1:]).as_posix()
            if inner in found:
                raise no_package(path, f"two files {inner!r}")
            tops.add(name.parts[0])
            found[inner] = archive.read(entry)
    if len(tops) != 1:
        raise no_package(path, f"{len(tops)} folders at its top")
    return found


def _require_few(path: Path, files: int, size: int) -> None:
    if files > MOST_FILES or size > MOST_BYTES:
        raise no_package(path, f"{files} files of {size} bytes")


def no_package(path: Path, found: str) -> PackageError:
    """Return the error for what is no package."""
    return PackageError(
        f"{path} with {found}",
        "a folder or a .zip file that `srflm export` has made",
        "get the package again from the site that made it",
        PackageError.NO_PACKAGE,
    )
