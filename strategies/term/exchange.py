"""Send messages to sites and gather the answers within a deadline, over Flower's Grid.

This is the gate where a reply is parsed, once; the code behind it works with an ``Answer``.

Flower's ``send_and_receive`` sleeps three seconds between polls, and its ``sample_nodes`` waits
forever for a node that is gone, so neither is used here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from strategies.protocol.messages import Answer, answer_in, payload_bytes
from strategies.protocol.records import PhaseCost
from strategies.term.plan import Observer, silent

SLOWEST_POLL_SECONDS = 0.2
"""The longest pause between polls."""

GRACE_SECONDS = 5.0
"""The shortest time for the remaining replies once enough have arrived."""

Key = TypeVar("Key", str, int)


class Remembering(Protocol):
    """Puts memories into messages and reads them (:mod:`strategies.protocol.memory`)."""

    def tell(self, content: RecordDict, peer: str | None) -> RecordDict:
        """Return a message's content with those that ``peer`` is to see."""
        ...

    def hear(self, content: RecordDict, peer: str | None) -> bool:
        """Note those in an answer of ``peer``; return whether the answer may count."""
        ...


@dataclass(frozen=True)
class Peers:
    """The vendors behind a SuperLink's nodes.

    ``names`` (node → vendor) are the SuperLink's own, if it has any: an answer in another vendor's
    name is dropped.  A deployed site has a ``memory``: an answer of a site that is not its vendor's
    newest one is dropped.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    memory: Remembering | None = None


@dataclass
class CostMeter:
    """Adds up the seconds and bytes of each phase of a term."""

    phases: dict[str, PhaseCost] = field(default_factory=dict)

    def add(self, phase: str, seconds: float, sent: int, received: int) -> None:
        """Add one exchange of ``phase``: its duration in seconds, and payload bytes."""
        before = self.phases.get(phase, PhaseCost())
        self.phases[phase] = PhaseCost(
            seconds=round(before.seconds + seconds, 6),
            bytes_sent=before.bytes_sent + sent,
            bytes_received=before.bytes_received + received,
        )


@dataclass(frozen=True)
class Exchange:
    """Pushes messages to a grid and polls for the answers.

    ``clock`` and ``sleep`` are parameters so that tests need not wait; ``first_poll`` is the
    shortest pause between polls, in seconds.
    """

    grid: Grid
    meter: CostMeter
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    first_poll: float = 0.01
    peers: Peers = field(default_factory=Peers)
    observer: Observer = silent

    def ask(
        self,
        messages: Mapping[Key, Message],
        deadline: float,
        phase: str,
        on_answer: Callable[[Answer], None] | None = None,
        enough: Callable[[Iterable[Answer | None]], bool] | None = None,
        grace: float = GRACE_SECONDS,
    ) -> dict[Key, Answer | None]:
        """Return the answers that arrive within ``deadline`` seconds, by the key of the request.

        An error or a malformed reply gives None; later replies are ignored.  ``on_answer`` is
        called for each answer on arrival.  Once ``enough`` returns true, the others get twice the
        time waited so far, and at least ``grace`` seconds, within the same deadline.
        """
        started, received = self.clock(), 0
        keys = list(messages)
        messages = {key: self._with_memories(message) for key, message in messages.items()}
        ids = list(self.grid.push_messages([messages[key] for key in keys]))
        # Flower returns an empty id for a message that it did not accept: no reply will come.
        waiting = {message_id: key for message_id, key in zip(ids, keys, strict=True) if message_id}
        answers: dict[Key, Answer | None] = {}
        while waiting:
            arrived = list(self.grid.pull_messages(list(waiting)))
            for reply in arrived:
                # A reply to any other message is ignored.
                key = waiting.pop(reply.metadata.reply_to_message_id, None)
                if key is not None:
                    received += payload_bytes(reply.content) if reply.has_content() else 0
                    node = messages[key].metadata.dst_node_id
                    answers[key] = answer = self._own_answer(node, reply)
                    if on_answer is not None and answer is not None:
                        on_answer(answer)
            waited = self.clock() - started
            # Shorten the deadline only once, when enough is first reached.
            if enough is not None and enough(answers.values()):
                deadline, enough = min(deadline, waited + max(grace, 2 * waited)), None
            if not waiting or waited >= deadline:
                break
            # A fiftieth of the time waited: polling makes an exchange about 2 % longer at most.
            self.sleep(min(max(self.first_poll, waited / 50), SLOWEST_POLL_SECONDS))
        sent = sum(payload_bytes(message.content) for message in messages.values())
        self.meter.add(phase, self.clock() - started, sent, received)
        return answers

    def _with_memories(self, message: Message) -> Message:
        if self.peers.memory is None:
            return message
        node, kind = message.metadata.dst_node_id, message.metadata.message_type
        content = self.peers.memory.tell(message.content, self.peers.names.get(node))
        return Message(content, dst_node_id=node, message_type=kind)

    def _own_answer(self, node: int, message: Message) -> Answer | None:
        """Return the answer in a node's message, or None if it must not count."""
        answer, vendor = answer_in(message), self.peers.names.get(node)
        if answer is None:
            return None
        # A SuperLink knows each node by its key, so no member can speak as another.
        if self.peers.names and answer.reply.vendor != vendor:
            self.observer("false-name", node=vendor or "", says=answer.reply.vendor)
            return None
        memory = self.peers.memory
        if memory is not None and not memory.hear(message.content, vendor):
            self.observer("older-site", vendor=vendor)
            return None
        return answer
