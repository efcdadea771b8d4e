"""Tell systemd that the site is up and alive (sd_notify(3)); without systemd nothing happens."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class ServiceManager:
    """The program that has started this one as a service, by its variables in ``environment``.

    ``pause`` is the longest time in seconds between two signs of life; None if it wants none.
    """

    address: str | None
    pause: float | None
    _told: float | None = field(default=None, init=False)

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> ServiceManager:
        """Return the one in the environment, if any."""
        timeout = environment.get("WATCHDOG_USEC", "")
        # systemd ends a service that is silent for the whole time: half of it leaves room.
        pause = int(timeout) / 2e6 if timeout.isdigit() else None
        return cls(environment.get("NOTIFY_SOCKET"), pause)

    def ready(self) -> None:
        """Tell it that the programs have been started."""
        self._send("READY=1")

    def alive(self) -> None:
        """Give a sign of life, if one is due."""
        now = time.monotonic()
        if self.pause is not None and (self._told is None or now >= self._told + self.pause):
            self._told = now
            self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self.address:
            return
        # An @ stands for the zero byte with which a name begins that is not a file's.
        name = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(state.encode(), name)
