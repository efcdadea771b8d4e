"""The report of a run for people: one self-contained HTML file.

Importing this package imports neither torch nor matplotlib, as a site's page shows the same tables;
writing a report imports both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srflm_flower.report.page import write_cases, write_report

__all__ = ["write_cases", "write_report"]


def __getattr__(name: str) -> Any:
    """Import a function when it is first used; raise AttributeError for any other name."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from srflm_flower.report import page

    return getattr(page, name)
