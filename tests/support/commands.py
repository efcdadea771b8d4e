"""Run the project's commands as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

BIN = Path(sys.executable).parent
SRFLM = str(BIN / "srflm")


def run(
    command: Sequence[str | Path],
    cwd: Path,
    timeout: float = 1800,
    env: Mapping[str, str] = os.environ,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; the output is text."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**env, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
