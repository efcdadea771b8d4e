"""The page about the lines of ``srflm doctor``."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.doctor.codes.check import Check
from deploy.doctor.codes.table import CHECKS
from docs.markdown import page, table

TITLES = {
    "site": "The site's files",
    "keys": "Keys",
    "certificate": "Certificates",
    "version": "Programs and versions",
    "disk": "The machine",
    "port": "Ports and addresses",
    "peer": "The other members",
    "data": "Data and network",
    "privacy": "Privacy",
    "doctor": "The doctor itself",
}
"""Heading before the first line whose code begins so."""


def doctor_page() -> str:
    """Return the page with all lines, when each warns, and what mends it."""
    intro = (
        "Every line of `srflm doctor` has one of these codes, which never change their meaning. An"
        " error marked † does not keep `srflm up` from starting: a peer must mend it, or the site"
        " can go on for a while. [Examine a site](../how-to/doctor.md) says how to use them."
    )
    return page("Lines of the doctor", intro, _parts())


def _parts() -> Iterator[str]:
    rows: dict[str, list[tuple[str, ...]]] = {}
    title = ""
    for code, check in CHECKS.items():
        title = TITLES.get(code.partition(".")[0], title)
        rows.setdefault(title, []).append(_row(check))
    for title, listed in rows.items():
        yield f"## {title}"
        yield table(("line", "what is looked at", "a warning", "an error", "to mend it"), listed)


def _row(check: Check) -> tuple[str, ...]:
    errs = f"{check.errs} †" if check.errs and check.stops == "nothing" else check.errs
    return f"`{check.code}`", check.what, check.warns or "–", errs or "–", check.mend
