"""Where figures go: the one interface, and the function that fills it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from deploy.tracking.figures import figures
from strategies.protocol.records import TermRecord


class Sink(Protocol):
    """Takes figures; nothing need be stored before :meth:`close`."""

    def scalar(self, name: str, value: float, step: int) -> None:
        """Take the ``value`` of a figure in a step, which is a term."""
        ...

    def flush(self) -> None:
        """Let readers see what was taken so far."""
        ...

    def close(self) -> None:
        """Store what is left."""
        ...


def feed(records: Iterable[TermRecord], sink: Sink) -> int:
    """Give the figures of ``records`` to a sink; return the number of records."""
    count = 0
    for record in records:
        for figure in figures(record):
            sink.scalar(figure.name, figure.value, record.term)
        count += 1
    sink.flush()
    return count
