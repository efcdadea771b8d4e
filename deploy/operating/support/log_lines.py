"""The newest lines of all logs of a site, in order of time."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from clients.files.rotation import newest_lines, with_old_files
from deploy.site.layout import Layout

MOST_BYTES: Final = 2**20
"""No more is read of each log."""
EDGE, STATE = "edge/", "state/"
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_OLD = re.compile(r"\.\d+$")
_TIMES: Final = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)"), None),
    (re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d"), "%Y/%m/%d %H:%M:%S"),  # nginx
    (re.compile(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d"), "%m/%d/%Y %H:%M:%S"),  # Flower
)
"""How programs write the time at the beginning of a line; without a zone it is the local one."""


@dataclass(frozen=True)
class LogLine:
    """A line of the log ``source``, such as ``worker.log`` or ``edge/in.jsonl``.

    ``time`` is in seconds since 1970.  A line of text without a time of its own has that of the
    line before it, and in a file without any time that of the file's last change; it is not
    ``dated`` then.  ``event`` is the content of a JSON line.
    """

    source: str
    time: float
    text: str
    event: Mapping[str, Any] | None = None
    dated: bool = True


def log_files(layout: Layout) -> dict[str, Path]:
    """Return the logs of a site by their names, rotated ones too."""
    state = {f"{STATE}{name}": layout.state / name for name in ("audit.jsonl", "site.log")}
    edge = {f"{EDGE}{path.name}": path for path in _in(layout.edge / "logs")}
    found = {path.name: path for path in _in(layout.logs)} | edge | state
    return {
        name: path for name, path in found.items() if any(map(Path.exists, with_old_files(path)))
    }


def newest(layout: Layout, count: int) -> list[LogLine]:
    """Return the newest ``count`` lines of all logs, the oldest first."""
    found = [
        line for name, path in log_files(layout).items() for line in lines_of(name, path)[-count:]
    ]
    return sorted(found, key=lambda line: line.time)[-count:]


def lines_of(source: str, path: Path) -> list[LogLine]:
    """Return the newest lines of one log in their order."""
    return [*_with_times(source, newest_lines(path, MOST_BYTES), _last_change(path))]


def without_control(text: str) -> str:
    """Return a text without colours and whatever else a terminal would obey."""
    return _CONTROL.sub("", text)


def _in(folder: Path) -> list[Path]:
    names = {
        _OLD.sub("", path.name)
        for pattern in ("*.jsonl*", "*.log*")
        for path in folder.glob(pattern)
    }
    return [folder / name for name in sorted(names) if name.endswith((".jsonl", ".log"))]


def _with_times(source: str, lines: list[bytes], last_change: float) -> Iterator[LogLine]:
    parsed = [_parsed(line) for line in lines]
    last = next((when for when, _, _ in parsed if when is not None), last_change)
    for when, text, event in parsed:
        if not text.strip():
            continue
        last = last if when is None else when
        yield LogLine(source, last, text, event, when is not None)


def _parsed(line: bytes) -> tuple[float | None, str, dict[str, Any] | None]:
    text = without_control(line.decode("utf-8", "replace").rstrip("\r\n"))
    if text.startswith("{"):
        with suppress(ValueError, RecursionError):
            event = json.loads(text)
            return _time_of(event), _in_words(event), event
    for pattern, form in _TIMES:
        if found := pattern.match(text):
            with suppress(ValueError, OverflowError):
                parsed = (
                    datetime.fromisoformat(found[0])
                    if form is None
                    else datetime.strptime(found[0], form)
                )
                return parsed.timestamp(), text[found.end() :].lstrip(" :"), None
    return None, text, None


def _time_of(event: Mapping[str, Any]) -> float | None:
    when = event.get("time", event.get("t"))
    if isinstance(when, str):
        with suppress(ValueError, OverflowError):
            return datetime.fromisoformat(when).timestamp()
    if isinstance(when, int | float) and 0 <= when < 2**33:  # not NaN, nor in ten thousand years
        return float(when)
    return None


def _in_words(event: Mapping[str, Any]) -> str:
    head = str(event.get("event", "")).strip()
    rest = [
        f"{key}={_value(value)}"
        for key, value in event.items()
        if key not in ("time", "t", "event")
    ]
    return without_control(" ".join(filter(None, (head, *rest))))


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _last_change(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
