"""Limit the size of a peer's messages, so that a huge one cannot fill the memory."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock


class MessageTooLarge(Exception):
    """A message has more bytes than this federation's largest message."""


class SizeGuard:
    """Counts the bytes of one message after another; ``limit`` None accepts every size."""

    def __init__(self, limit: int | None, on_refusal: Callable[[int, int], None]) -> None:
        self._limit, self._on_refusal = limit, on_refusal
        self._lock = Lock()  # Flower pulls the parts of a message in several threads
        self._bytes = 0

    def begin(self) -> None:
        """Begin counting a new message."""
        with self._lock:
            self._bytes = 0

    def count(self, run: int, size: int) -> None:
        """Count a part of ``size`` bytes.

        Raises :class:`MessageTooLarge` over the limit, and reports it once per message.
        """
        with self._lock:
            before, self._bytes = self._bytes, self._bytes + size
            over = self._limit is not None and self._bytes > self._limit
            first = over and before <= (self._limit or 0)
        if first:
            self._on_refusal(run, self._bytes)
        if over:
            raise MessageTooLarge(f"more than {self._limit} bytes")
