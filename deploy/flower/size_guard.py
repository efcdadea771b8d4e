"""The size limit of a peer's messages: a larger one is dropped before it fills the memory."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock


class MessageTooLarge(Exception):
    """A message has more bytes than the largest that this federation sends."""


class SizeGuard:
    """Counts the bytes of one message after another; ``limit`` None lets all through."""

    def __init__(self, limit: int | None, on_refusal: Callable[[int, int], None]) -> None:
        self._limit, self._on_refusal = limit, on_refusal
        self._lock = Lock()
        self._bytes = 0

    def begin(self) -> None:
        """Begin a message."""
        with self._lock:
            self._bytes = 0

    def count(self, run: int, size: int) -> None:
        """Count a part of ``size`` bytes.

        Raises :class:`MessageTooLarge` over the limit; reports it once per message.
        """
        with self._lock:
            before, self._bytes = self._bytes, self._bytes + size
            over = self._limit is not None and self._bytes > self._limit
            first = over and before <= (self._limit or 0)
        if first:
            self._on_refusal(run, self._bytes)
        if over:
            raise MessageTooLarge(f"more than {self._limit} bytes")
