"""The Flower app that every site has installed, as a bundle whose hash the federation agrees on.

The bundle holds names only: the code is the installed package, and its digest stands in the bundle.
So two sites with different code have different hashes, and a site that is handed any other bundle
refuses it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import clients
import srflm_flower
import strategies
from deploy.flower_app import write_app
from deploy.flower_internals import bundle_of

PACKAGES = (srflm_flower, strategies, clients)
ONLY_COMMANDS = "srflm_flower/cli/"
"""Commands that people type answer no message."""

RUN_SETTINGS = ("task",)
"""What a run may set; everything else stands in files of the site."""


def code_digest() -> str:
    """Return the SHA-256 (hex) of the installed code that answers messages, names included."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            name = f"{root.name}/{path.relative_to(root).as_posix()}"
            if name.startswith(ONLY_COMMANDS):
                continue
            digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def write_bundle_folder(folder: Path) -> Path:
    """Write the app's ``pyproject.toml`` into ``folder``; equal code gives equal bytes."""
    settings = dict.fromkeys(RUN_SETTINGS, "")
    return write_app(folder, settings, {"srflm": {"code": code_digest()}})


def installed_bundle(folder: Path) -> str:
    """Return the hash of the bundle of the installed code; its app is written into ``folder``."""
    return bundle_of(write_bundle_folder(folder))[1]
