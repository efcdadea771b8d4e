"""Whether a site may start, by the lines of the doctor."""

from __future__ import annotations

from pathlib import Path

from deploy.doctor.codes.table import CHECKS
from deploy.operating.diagnosis import Diagnosis, Line
from strategies.errors import DeploymentError


def stopping(found: Diagnosis) -> tuple[Line, ...]:
    """Return the errors with which a site must not start."""
    # A peer's fault, a certificate that is good for some days, or a spent budget would only take
    # one more member out.
    return tuple(line for line in found.of("error") if CHECKS[line.code].stops)


def require_fit(found: Diagnosis, folder: Path) -> None:
    """Raise :class:`DeploymentError` with the mend of each line that keeps a site from starting."""
    lines = stopping(found)
    if not lines:
        return
    named = [
        f"{line.code}{f' {line.about}' if line.about else ''}: {line.finding}" for line in lines
    ]
    raise DeploymentError(
        "\n  ".join(["a site that is not fit to start:", *named]),
        "a site without errors",
        "; ".join(dict.fromkeys(line.mend for line in lines))
        + f". `srflm doctor {folder}` shows all; `--skip-doctor` starts all the same",
        DeploymentError.NOT_UP,
    )
