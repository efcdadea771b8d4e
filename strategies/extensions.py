"""Code of others that a federation has agreed on: found by entry point, checked before it is run.

A federation file names the distribution, its version, and the SHA-256 of its installed files, so
the agreed code stays agreed: a site with any other refuses to start.
"""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache
from importlib import metadata
from typing import Any, Final

from strategies.errors import ConfigurationError
from strategies.settings import EntrySettings

NETWORKS: Final = "srflm.networks"
AGGREGATIONS: Final = "srflm.aggregations"
ELECTIONS: Final = "srflm.elections"
TASKS: Final = "srflm.tasks"
GROUPS: Final = (NETWORKS, TASKS, AGGREGATIONS, ELECTIONS)

_OF_THE_METADATA = frozenset({"METADATA", "entry_points.txt"})
"""The others tell where and how it was installed, which differs between sites."""


def load_entry(group: str, entry: EntrySettings) -> Any:
    """Return the object of an entry point, after its distribution was checked; cached.

    Raises :class:`ConfigurationError` for a distribution that is not there or not the agreed one,
    and for an entry point that it does not have or that cannot be imported.
    """
    return _loaded(group, entry.name, entry.distribution, entry.version, entry.sha256)


def installed_digest(distribution: metadata.Distribution) -> str:
    """Return the SHA-256 (hex) of a distribution's installed files, names included.

    What depends on the machine is left out: compiled files, scripts, and notes of the installer.
    Raises :class:`ConfigurationError` if files of it are missing.
    """
    digest = hashlib.sha256()
    for name, path in sorted(_files(distribution).items()):
        try:
            content = path.read_binary()
        except OSError as error:
            raise _not_whole(distribution, f"without its file {name}") from error
        # The zero bytes separate names from contents: moving text between them changes the digest.
        digest.update(f"{name}\0".encode() + content + b"\0")
    return digest.hexdigest()


def entries_of(distribution: metadata.Distribution) -> list[tuple[str, str]]:
    """Return (group, name) of each entry point for a federation."""
    found = [(each.group, each.name) for each in distribution.entry_points]
    return sorted(each for each in found if each[0] in GROUPS)


def installed(name: str) -> metadata.Distribution:
    """Return an installed distribution; raises :class:`ConfigurationError` if it is not there."""
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise ConfigurationError(
            f"no distribution {name!r} in this installation",
            "the one that the federation file names, at every site",
            f"install it: pip install {name}",
        ) from error


@lru_cache(maxsize=32)
def _loaded(group: str, name: str, distribution: str, version: str, sha256: str) -> Any:
    found = installed(distribution)
    if found.version != version:
        raise ConfigurationError(
            f"{distribution} {found.version}, where the federation has agreed on {version}",
            f"{distribution} {version} at every site",
            f"install it: pip install {distribution}=={version}",
        )
    digest = installed_digest(found)
    if digest != sha256:
        raise ConfigurationError(
            f"{distribution} {version} whose installed files have the SHA-256 {digest}",
            f"the agreed one, {sha256}",
            "install the same build as the other members, unchanged; `srflm config entry"
            f" {distribution}` prints the hash",
        )
    return _object(found, group, name)


def _object(distribution: metadata.Distribution, group: str, name: str) -> Any:
    listed = [e for e in distribution.entry_points if (e.group, e.name) == (group, name)]
    if not listed:
        names = [each for of, each in entries_of(distribution) if of == group]
        raise ConfigurationError(
            f"{distribution.name} without an entry point {name!r} in {group}",
            ", ".join(names) or f"a distribution with an entry point in {group}",
            "correct the name in the federation file",
        )
    (entry,) = listed[:1]
    files, path = _files(distribution), entry.module.replace(".", "/")
    own = files.get(f"{path}.py") or files.get(f"{path}/__init__.py")
    if own is None:
        raise _not_whole(distribution, f"whose files have no {path}.py (an editable installation?)")
    try:
        found = entry.load()
    except Exception as error:  # code of others raises anything
        raise ConfigurationError(
            f"{distribution.name}, whose entry point {name!r} cannot be imported"
            f" ({type(error).__name__})",
            "a distribution whose requirements are installed",
            f"try it: python -c 'import {entry.module}'",
        ) from error
    # Another module of this name earlier on the path would run in its place, unchecked.
    imported = getattr(sys.modules.get(entry.module), "__file__", None)
    located: Any = own.locate()
    if imported is None or str(located.resolve()) != str(type(located)(imported).resolve()):
        raise _not_whole(distribution, f"whose module {entry.module} was imported from elsewhere")
    return found


def _files(distribution: metadata.Distribution) -> dict[str, metadata.PackagePath]:
    """Return the installed files that count, by name."""
    if distribution.files is None:
        raise _not_whole(distribution, "without a RECORD of its files")
    return {each.as_posix(): each for each in distribution.files if _counts(each)}


def _counts(path: metadata.PackagePath) -> bool:
    if path.parts[0] == ".." or "__pycache__" in path.parts or path.suffix == ".pyc":
        return False
    return not path.parts[0].endswith(".dist-info") or path.name in _OF_THE_METADATA


def _not_whole(distribution: metadata.Distribution, found: str) -> ConfigurationError:
    return ConfigurationError(
        f"{distribution.name} {distribution.version} {found}",
        "a distribution that pip has installed as a whole",
        "install it again from its wheel, not editable",
    )
