"""Find the programs that Flower installs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from deploy.flower.pins import FLOWER
from strategies.errors import SimulationError


def program(name: str) -> str:
    """Return the path of one of Flower's programs."""
    # First beside this Python: PATH may lead to another environment with another Flower.
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise SimulationError(
            f"no program {name}",
            "Flower with its simulation extra",
            f'pip install "flwr[simulation]=={FLOWER}.*"',
        )
    return found
