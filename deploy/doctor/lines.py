"""Make lines: each has a code of the table, and its mend unless there is a better one."""

from __future__ import annotations

from deploy.doctor.codes.table import CHECKS
from deploy.site.diagnosis import Line, Severity
from strategies.coded_error import SrflmError


def ok(code: str, finding: str, about: str = "", at_home: str = "") -> Line:
    """Return the line of something that is in order."""
    return _line(code, "ok", finding, about, "", at_home)


def warning(code: str, finding: str, about: str = "", mend: str = "", at_home: str = "") -> Line:
    """Return the line of something that somebody should look at."""
    return _line(code, "warning", finding, about, mend, at_home)


def error(code: str, finding: str, about: str = "", mend: str = "", at_home: str = "") -> Line:
    """Return the line of something with which the site cannot do its part."""
    return _line(code, "error", finding, about, mend, at_home)


def of_error(code: str, caught: SrflmError, finding: str, about: str = "") -> Line:
    """Return the line of an error that was caught; its own texts stay at home.

    They may have paths, and names of cases.
    """
    at_home = f"{caught.found}; expected: {caught.expected}; to mend it: {caught.mend}"
    return _line(code, "error", f"{finding} ({caught.code})", about, "", at_home)


def _line(code: str, severity: Severity, finding: str, about: str, mend: str, at_home: str) -> Line:
    usual = "" if severity == "ok" else CHECKS[code].mend
    return Line(
        code=code,
        severity=severity,
        about=about,
        finding=finding,
        mend=mend or usual,
        at_home=at_home,
    )
