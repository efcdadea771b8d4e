"""Whether a site may start, by the lines of the doctor."""

from __future__ import annotations

from pathlib import Path

from deploy.doctor.codes.table import CHECKS
from deploy.site.diagnosis import Diagnosis, Line
from strategies.errors import DeploymentError


def stopping(found: Diagnosis) -> tuple[Line, ...]:
    """Return the errors with which a site must not start, and which nobody else would find."""
    # A peer's fault, a certificate that is good for some days, or a spent budget would only take
    # one more member out.
    # And what the start itself refuses has a code of its own there.
    return tuple(line for line in found.of("error") if CHECKS[line.code].stops == "examination")


def require_fit(found: Diagnosis, folder: Path) -> None:
    """Raise :class:`DeploymentError` that names each line with which a site must not start."""
    lines = stopping(found)
    if not lines:
        return
    names = dict.fromkeys(f"{line.code} {line.about}".strip() for line in lines)
    raise DeploymentError(
        f"a site that is not fit to start: {', '.join(names)}",
        "a site without such errors",
        f"mend the lines above; `srflm doctor {folder}` shows all. In an emergency,"
        " `srflm up --skip-doctor` starts all the same",
        DeploymentError.NOT_UP,
    )
