"""Faults to put between a grid and its nodes."""

from __future__ import annotations

from collections.abc import Callable, Collection

from flwr.app import Error, Message

from srflm_flower.run.memory_grid import Deliver, Fault
from strategies.protocol import messages as wire

Chosen = Callable[[Message], bool]


def node_of(vendor: str, roster: tuple[str, ...] = ("a", "b", "c", "d")) -> int:
    """Return the node at which a vendor of the tiny federation answers."""
    return roster.index(vendor) + 1


def at(vendor: str, kinds: Collection[str] = (), term: int | None = None) -> Chosen:
    """Choose messages to ``vendor``, of these kinds (all if empty), of one term."""

    def chosen(message: Message) -> bool:
        return (
            message.metadata.dst_node_id == node_of(vendor)
            and (not kinds or message.metadata.message_type in kinds)
            and (term is None or term_of(message) == term)
        )

    return chosen


def term_of(message: Message) -> int:
    """Return the term in a message's envelope."""
    envelope = wire.envelope_of(message)
    assert envelope is not None
    return envelope.term


def silent_at(chosen: Chosen) -> Fault:
    """Never answer the chosen messages; they do not arrive either."""

    def fault(message: Message, deliver: Deliver) -> Message | None:
        return None if chosen(message) else deliver(message)

    return fault


def reply_lost_at(chosen: Chosen) -> Fault:
    """Let the chosen messages arrive, and lose the replies."""

    def fault(message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        return None if chosen(message) else reply

    return fault


def raising_at(chosen: Chosen) -> Fault:
    """Answer the chosen messages as Flower does when a ClientApp raises."""

    def fault(message: Message, deliver: Deliver) -> Message | None:
        if chosen(message):
            return Message(Error(code=2, reason="ValueError: /home/x/patient-7"), reply_to=message)
        return deliver(message)

    return fault


def delivered_twice(message: Message, deliver: Deliver) -> Message | None:
    """Deliver every message a second time; the first reply counts."""
    first = deliver(message)
    deliver(message)
    return first


class Crash(BaseException):
    """The process is killed: nothing may catch it."""


def crash_at_message(count: int, after_delivery: bool) -> Fault:
    """Kill the process at the ``count``-th message (from 0), before or after it is handled."""
    seen = -1

    def fault(message: Message, deliver: Deliver) -> Message | None:
        nonlocal seen
        seen += 1
        if seen == count and not after_delivery:
            raise Crash
        reply = deliver(message)
        if seen == count:
            raise Crash
        return reply

    return fault
