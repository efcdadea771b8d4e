"""The problems that a site's programs have noted in their logs, in words for its operator.

Pure functions of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from deploy.processes.supervisor import ROSTER_CHANGED


def problem_in(event: Mapping[str, Any]) -> str | None:
    """Return the problem that an event of a log tells of, or None if it tells of none."""
    match event.get("event"):
        case "failed":
            return str(event.get("problem", ""))
        # The launcher ends so that the site starts again with a new edition: nothing has failed.
        case "program-ended" if event.get("code") != ROSTER_CHANGED:
            return f"{event.get('program')} ended ({event.get('code')})"
        case "bundle-refused":
            return f"{event.get('peer')} sent another app bundle: refused"
        case "message-too-large":
            return f"{event.get('peer')} sent a message of more than {event.get('found')} bytes"
        case "problem" | "clock":
            return str(event.get("text", ""))
    return None


def problems_in(events: Iterable[Mapping[str, Any]]) -> list[tuple[float, str]]:
    """Return the time of day and the text of each problem in the events, the oldest first."""
    found = [(time_of(each), problem_in(each)) for each in events]
    return sorted((when, text) for when, text in found if text is not None)


def time_of(event: Mapping[str, Any]) -> float:
    """Return an event's time of day in seconds; 0 without one."""
    when = event.get("time", 0.0)
    return float(when) if isinstance(when, int | float) else 0.0
