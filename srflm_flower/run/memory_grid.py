"""A federation in memory: a Flower Grid whose nodes are the real ClientApp, called directly.

For tests, which inject faults here, and for comparisons, which need no processes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

from flwr.app import Context, Error, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from strategies.flower_private import become_a_task, message_without_superlink

Deliver = Callable[[Message], Message | None]
"""Send a message to its node and return the reply; ``None`` means that the node never answers."""

App = Callable[[Message, Context], Message]
"""The code that answers at a node: a ClientApp, or a function with its signature."""

Fault = Callable[[Message, Deliver], Message | None]
"""Intercepts messages between grid and node: may drop, change, repeat, or answer them itself."""


def no_fault(message: Message, deliver: Deliver) -> Message | None:
    """Deliver the message unchanged."""
    return deliver(message)


class MemoryGrid(Grid):
    """A Grid of nodes 1…n, each with its own context; a push answers its messages at once."""

    def __init__(self, app: App, nodes: int, out: Path, fault: Fault = no_fault) -> None:
        become_a_task()
        self._app, self._fault = app, fault
        self._contexts = {
            node: Context(
                run_id=1,
                node_id=node,
                node_config={"partition-id": node - 1, "num-partitions": nodes},
                state=RecordDict(),
                run_config={"out": str(out)},
            )
            for node in range(1, nodes + 1)
        }
        self._ids = itertools.count(1)
        self._replies: dict[str, Message] = {}

    def get_node_ids(self) -> Iterable[int]:
        """Return all nodes."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Deliver the messages one after another; return their ids."""
        ids = []
        for message in messages:
            sent = message_without_superlink(
                message.content,
                message.metadata.message_type,
                message.metadata.dst_node_id,
                f"m{next(self._ids)}",
            )
            # In the sender's process, so a test sees every step in the same order.
            reply = self._fault(sent, self._deliver)
            if reply is not None:
                self._replies[sent.metadata.message_id] = reply
            ids.append(sent.metadata.message_id)
        return ids

    def _deliver(self, message: Message) -> Message:
        context = self._contexts[message.metadata.dst_node_id]
        try:
            return self._app(message, context)
        except Exception as error:  # Flower sends the text to the server too
            return Message(Error(code=2, reason=str(error)), reply_to=message)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies to these messages, each once."""
        return [self._replies.pop(name) for name in message_ids if name in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push the messages and return their replies; ``timeout`` has no effect."""
        return self.pull_messages(self.push_messages(messages))

    def set_run(self, run: Run) -> None:
        """Accept any run: there is only one."""

    @property
    def run(self) -> Run:
        """Return an empty run."""
        return Run.create_empty(1)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message, as the (deprecated) method of Flower's Grid does."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)
