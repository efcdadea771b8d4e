"""``srflm --version``: what a site runs, to be compared with the other members."""

from __future__ import annotations

import platform
from importlib.metadata import version


def about_version() -> str:
    """Return the versions, and the bundle: the hash of the code that all members agree on."""
    from deploy.flower.bundle import installed_hash

    return (
        f"srflm-flower {version('srflm-flower')}\nFlower {version('flwr')}\n"
        f"Python {platform.python_version()}\nbundle {installed_hash()}"
    )
