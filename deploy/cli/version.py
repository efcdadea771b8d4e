"""``srflm --version``: what a site runs, to be compared with the other members."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory


def about_version() -> str:
    """Return the versions, and the bundle: the hash of the code that all members agree on."""
    from deploy.flower.bundle import installed_bundle

    with TemporaryDirectory(prefix="srflm-") as folder:
        bundle = installed_bundle(Path(folder))
    return (
        f"srflm-flower {version('srflm-flower')}\nFlower {version('flwr')}\n"
        f"Python {platform.python_version()}\nbundle {bundle}"
    )
