"""What ``srflm doctor`` has found; a site keeps the last result for ``srflm status`` and its page.

The file ``state/doctor.json`` has no path, no name of a case, and no text of an exception.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from clients.files.durable import write_durably
from deploy.processes.config import Strict

Severity = Literal["ok", "warning", "error"]
SEVERITIES: Final[tuple[Severity, ...]] = ("ok", "warning", "error")
"""From the best to the worst; the place is the exit code of ``srflm doctor``."""

SCHEMA_VERSION: Final = 1


class Line(Strict):
    """One finding: a fixed ``code``, what it is ``about`` (a peer, a file), and how to mend it.

    ``at_home`` is more about it, such as a path.  Only a terminal at the site shows it: it is left
    out of JSON, of the page, and of the file that is kept.
    """

    code: str
    severity: Severity
    about: str = ""
    finding: str
    mend: str = ""
    at_home: str = Field(default="", exclude=True, repr=False)


class Diagnosis(Strict):
    """All findings of one examination; ``quick`` ones leave out what takes long."""

    schema_version: Literal[1] = SCHEMA_VERSION
    vendor: str
    federation: str = ""
    version: str
    time: datetime
    quick: bool
    lines: tuple[Line, ...]

    @property
    def worst(self) -> Severity:
        """The severity of the worst line."""
        found = (SEVERITIES.index(line.severity) for line in self.lines)
        return SEVERITIES[max(found, default=0)]

    @property
    def exit_code(self) -> int:
        """0 if all is well, 1 with warnings, 2 with errors."""
        return SEVERITIES.index(self.worst)

    def of(self, severity: Severity) -> tuple[Line, ...]:
        """Return the lines of one severity."""
        return tuple(line for line in self.lines if line.severity == severity)

    def counted(self, severity: Severity) -> str:
        """Return the number of lines of one severity in words, as "1 error"."""
        count = len(self.of(severity))
        return f"{count} {severity}" + ("" if count == 1 else "s")


def diagnosis_file(state: Path) -> Path:
    """Return where a site keeps the last result."""
    return state / "doctor.json"


def keep_diagnosis(state: Path, found: Diagnosis) -> None:
    """Keep a result in a site's ``state``; raises RunFolderError when it cannot be written."""
    if not state.is_dir():  # a state that is lost must be seen to be lost
        return
    write_durably(diagnosis_file(state), found.model_dump_json(indent=2).encode(), private=True)


def last_diagnosis(state: Path) -> Diagnosis | None:
    """Return the last result in a site's ``state``, if there is one."""
    return read_diagnosis(diagnosis_file(state))


def read_diagnosis(file: Path) -> Diagnosis | None:
    """Return the result in a file; None if there is none that this version can read."""
    try:
        return Diagnosis.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None
