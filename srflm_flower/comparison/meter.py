"""Measure a run in memory: bytes between sites, and seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flwr.app import Message

from srflm_flower.run.memory_grid import Deliver
from strategies.protocol.memory import NOUN
from strategies.protocol.messages import payload_bytes


def between_sites(message: Message) -> bool:
    """Whether a message crosses the network: always, with a server that is no vendor."""
    return True


def not_to_itself(roster: tuple[str, ...]) -> Callable[[Message], bool]:
    """Return a check of whether a message of a term crosses the network.

    In SRFLM the server is a vendor: its messages to itself stay at its site.  Node n is the n-th
    vendor of the roster, from 1.
    """

    def crosses(message: Message) -> bool:
        noun = json.loads(str(message.content.config_records[NOUN]["json"]))
        server: str = noun["envelope"]["server"]
        return server != roster[message.metadata.dst_node_id - 1]

    return crosses


@dataclass
class Meter:
    """Counts the payload bytes of requests and answers, and the seconds, until the run closes.

    It is a fault of a :class:`MemoryGrid` that changes nothing, and an observer of a run.
    """

    crosses: Callable[[Message], bool] = between_sites
    clock: Callable[[], float] = time.monotonic
    bytes_sent: int = 0
    seconds: float = 0.0
    _started: float = field(init=False)
    _stopped: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def deliver(self, message: Message, deliver: Deliver) -> Message | None:
        """Deliver a message, and count it with its answer."""
        counts = not self._stopped and self.crosses(message)
        if counts:
            self.bytes_sent += payload_bytes(message.content)
        reply = deliver(message)
        if counts and reply is not None and reply.has_content():
            self.bytes_sent += payload_bytes(reply.content)
        return reply

    def observe(self, event: str, **fields: object) -> None:
        """Stop when a run closes: the closing only serves the report."""
        if event == "closing":
            self.stop()

    def stop(self) -> None:
        """Stop counting; a second call changes nothing."""
        if not self._stopped:
            self._stopped, self.seconds = True, self.clock() - self._started
