"""How a SuperNode waits, and how it notices that it waits for nothing.

Flower's loop waits for the reply to a message for ever, also when the ClientApp's process has ended
without one: only a process that was killed is noticed, after a minute.  One that was asked to end
says that its task has failed, sends no reply, and its SuperNode would never take a message again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deploy.flower.nouns import Hooks

OBJECT_SECONDS = {"initial_backoff": 0.03, "backoff_cap": 0.5, "max_tries_per_object": None}
"""Between tries to get a part of a message that its sender is still sending.

Flower begins with a second, in which a small message would have gone there and back twice.  The
number of tries is bounded there; here the time alone is, by two hours as in Flower.
"""
UNFINISHED = ("pending", "starting", "running")


class Waits:
    """Stands in for the module ``time`` in the SuperNode's loop; ``error`` replies for the dead."""

    def __init__(self, hooks: Hooks, error: object) -> None:
        self._hooks, self._error = hooks, error
        self._state: Any = None
        self._ended_before = False

    def watching(self, push: Callable[..., None]) -> Callable[..., None]:
        """Return ``push``, the loop's waiting for a reply, with a look at its state."""

        def watched(state: Any, **more: Any) -> None:
            self._state, self._ended_before = state, False
            push(state=state, **more)

        return watched

    def sleep(self, seconds: float) -> None:
        """Wait as the hooks say; raises RuntimeError, which drops a reply that is incomplete."""
        if seconds >= 1:
            self._hooks.idle()
            return
        self._hooks.waiting()
        ended = not self._state.get_tasks(statuses=UNFINISHED)
        # What a process sent last may have come after the loop looked: only the second time counts.
        if ended and self._ended_before:
            self._reply_for_the_dead()
        self._ended_before = ended

    def _reply_for_the_dead(self) -> None:
        state = self._state
        with state.lock_msg_store:
            entries = list(state.msg_store.values())
            if any(entry.message.metadata.reply_to_message_id for entry in entries):
                raise RuntimeError("the ClientApp's process ended while it sent its reply")
            for entry in entries:
                entry.is_retrieved = True  # by nobody any more
            runs = {entry.message.metadata.run_id for entry in entries}
            state._store_error_replies(runs, self._error)


def ask_for_objects_often(objects: Any) -> None:
    """Shorten, in this process, the waits for the parts of messages; takes Flower's module."""
    for function in (objects.pull_objects, objects.pull_and_inflate_object_from_tree):
        function.__kwdefaults__.update(OBJECT_SECONDS)
