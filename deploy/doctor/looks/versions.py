"""Look at the installed code, the packages that it asks for, and nginx."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Collection, Iterator
from contextlib import suppress
from importlib import metadata
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from deploy.doctor.facts import VersionFacts
from deploy.edge.nginx import find_nginx
from deploy.flower.bundle import installed_hash
from strategies.errors import ConfigurationError

PROJECT: Final = "srflm-flower"
TOLD: Final = (PROJECT, "flwr", "torch", "monai")
"""The packages whose versions a ticket should have."""
PATIENCE_SECONDS: Final = 20.0


def version_facts(agreed: Collection[str]) -> VersionFacts:
    """Return the installed versions; ``agreed`` are the hashes of the agreed bundles."""
    versions = {name: found for name in TOLD if (found := installed(name)) is not None}
    versions["Python"] = platform.python_version()
    return VersionFacts(installed_hash(), tuple(agreed), versions, tuple(_unfit()), _nginx())


def installed(name: str) -> str | None:
    """Return the version of an installed package, or None."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return None


def _unfit() -> Iterator[str]:
    """Yield what is not as the project asks for; nothing for code that was not installed."""
    try:
        about = metadata.metadata(PROJECT)
    except metadata.PackageNotFoundError:
        return
    wanted = about["Requires-Python"]
    if wanted and platform.python_version() not in SpecifierSet(wanted):
        yield f"Python {platform.python_version()}; needed is {wanted}"
    for text in metadata.requires(PROJECT) or ():
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        found = installed(needed.name)
        if found is None:
            yield f"{needed.name} is not installed; needed is {needed.specifier or 'any'}"
        elif not needed.specifier.contains(found, prereleases=True):
            yield f"{needed.name} {found}; needed is {needed.specifier}"


def _nginx() -> str | None:
    """Return what ``nginx -V`` prints, or None without a program nginx."""
    try:
        told = subprocess.run(
            [find_nginx(), "-V"],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    except ConfigurationError:
        return None
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stderr + told.stdout
