"""Scrub a site's logs of all that could name a host, a path, a user, or a patient.  Pure.

A line of JSON keeps the fields that :mod:`deploy.operating.support.allowed` lists, a line of text
the codes, kinds of exceptions, phrases, and places in known code that are in it.  Vendors become
``this-site`` and ``vendor-<n>``, by their place in the roster.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from deploy.operating.support import allowed
from deploy.operating.support.log_lines import LogLine

SOMEBODY: Final = "somebody"
"""A vendor that is not in the roster."""
LEFT_OUT: Final = "left_out"
MOST: Final = 2**53
"""A number from here on counts no bytes and no seconds."""
_CODE = re.compile(r"SRFLM-[A-Z]?\d{1,3}")
_EXCEPTION = re.compile(r"\b[A-Z]\w+\b")
_ERRNO = re.compile(r"\((?:\[Errno )?(\d{1,3})(?:\]|:)|\[Errno (\d{1,3})\]")
_LEVEL = re.compile(
    r"\[?\b(debug|info|notice|warn|warning|error|crit|critical|alert|emerg)\b\]?", re.I
)
_MODULE = r"(\w+(?:/\w+)*\.py)\", line (\d+)"
_STANDARD = re.compile(rf'File "[^"]*/lib/python3\.\d+/{_MODULE}')
_INSTALLED = re.compile(
    rf'File "[^"]*/(?:site-packages|apps/srflm\.srflm-flower\.[0-9a-f.]+)/{_MODULE}'
)
_LEVEL_REACH: Final = 40
"""Characters of a line in which its level stands."""


@dataclass(frozen=True)
class Scrubber:
    """Scrubs the logs of the site of ``vendor``, in a federation with this ``roster``."""

    vendor: str
    roster: Sequence[str] = ()

    def name(self, vendor: object) -> str:
        """Return what stands for a vendor."""
        if vendor == self.vendor:
            return "this-site"
        found = [n for n, each in enumerate(self.roster, 1) if each == vendor]
        return f"vendor-{found[0]}" if found else SOMEBODY

    def file(self, source: str) -> str | None:
        """Return the name under which a log is handed out; None for a file that is no log."""
        if source in allowed.FILES:
            return source
        peer = re.fullmatch(r"supernode-(.+)\.log", source)
        return f"supernode-{self.name(peer[1])}.log" if peer is not None else None

    def lines(self, lines: Sequence[LogLine]) -> Iterator[dict[str, Any]]:
        """Yield what stays of each line; lines of which nothing stays are counted at the end."""
        left_out = 0
        for line in lines:
            kept = self.event(line.event) if line.event is not None else _of_text(line.text)
            if kept:
                yield {**({"time": _time(line.time)} if line.dated else {}), **kept}
            else:
                left_out += 1
        if left_out:
            yield {LEFT_OUT: left_out}

    def event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return what stays of an event."""
        found = {key: self._value(key, value) for key, value in event.items()}
        return {key: value for key, value in found.items() if value is not None}

    def _value(self, key: str, value: object) -> object:
        if key in allowed.NUMBERS and isinstance(value, int | float) and abs(value) < MOST:
            return value
        if not isinstance(value, str):
            return None
        if key in allowed.WORDS:
            return value if value in allowed.WORDS[key] else None
        if key in allowed.CODES:
            return value if value in allowed.KNOWN_CODES else None
        if key in allowed.VENDORS:
            return self.name(value)
        return _of_text(value).get("text") if key in allowed.TEXTS else None


def _of_text(text: str) -> dict[str, Any]:
    """Return the level of a line of text, and what else of it stays; nothing without the latter."""
    parts = dict.fromkeys(_parts(text))  # each once, in order
    if not parts:
        return {}
    level = _LEVEL.search(text[:_LEVEL_REACH])
    kept = {"level": level[1].lower()} if level is not None else {}
    return {**kept, "text": "; ".join(parts)}


def _parts(text: str) -> Iterator[str]:
    yield from (code for code in _CODE.findall(text) if code in allowed.KNOWN_CODES)
    yield from _frames(text)
    if not text.lstrip().startswith('File "'):
        yield from (name for name in _EXCEPTION.findall(text) if name in allowed.EXCEPTIONS)
        yield from (phrase for phrase in allowed.PHRASES if phrase.lower() in text.lower())
        yield from (f"errno {a or b}" for a, b in _ERRNO.findall(text))


def _frames(text: str) -> Iterator[str]:
    """Yield the places in installed code that a line of a stack trace names."""
    for file, line in _INSTALLED.findall(text):
        if file.partition("/")[0] in allowed.PACKAGES:
            yield f"{file}:{line}"
    for file, line in _STANDARD.findall(text):
        if file.partition("/")[0].removesuffix(".py") in sys.stdlib_module_names:
            yield f"python/{file}:{line}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
