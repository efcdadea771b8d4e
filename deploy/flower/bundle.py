"""Build the bundle of the installed Flower app; all members agree on its hash.

The bundle holds names and a digest of the installed code, but no code. So two sites with different
code have different hashes, and a site refuses every bundle but its own.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import clients
import deploy
import srflm_flower
import strategies
from deploy.flower.app import DEPLOYED, write_app
from deploy.flower.internals import bundle_of

PACKAGES = (strategies, clients, srflm_flower)

# The folders of ``deploy`` whose code answers messages; the others only run a site.
ROOMS = ("serving", "site", "processes", "door")

# The settings that a run may change; all others are in the site's files.
RUN_SETTINGS = ("task",)


def digested_files() -> list[Path]:
    """Return the installed files that the bundle's digest covers, in a fixed order."""
    folders = [_folder(package) for package in PACKAGES]
    folders += [_folder(deploy) / room for room in ROOMS]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def code_digest() -> str:
    """Return the SHA-256 (hex) of the installed code that answers messages, names included."""
    digest, root = hashlib.sha256(), _folder(deploy).parent
    for path in digested_files():
        name = path.relative_to(root).as_posix()
        # The zero bytes separate names from contents: moving text between them changes the digest.
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _folder(package: ModuleType) -> Path:
    return Path(str(package.__file__)).parent


def write_bundle_folder(folder: Path) -> Path:
    """Write the app's ``pyproject.toml`` into ``folder``; equal code gives equal bytes."""
    settings = dict.fromkeys(RUN_SETTINGS, "")
    return write_app(folder, DEPLOYED, settings, {"srflm": {"code": code_digest()}})


def installed_hash() -> str:
    """Return the hash of the installed code's bundle, of which no file is kept."""
    with TemporaryDirectory(prefix="srflm-") as folder:
        return installed_bundle(Path(folder))


def installed_bundle(folder: Path) -> str:
    """Write the installed code's app into ``folder`` and return the hash of its bundle."""
    return bundle_of(write_bundle_folder(folder))[1]
