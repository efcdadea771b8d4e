"""A SuperNode's waits, and the detection of a reply that will never come.

Flower's loop waits for the reply to a message without a limit, even if the ClientApp's process has
ended without a reply.  It notices only a process that was killed, after a minute.  A process that
was asked to end reports its task as failed and sends no reply: without this module its SuperNode
would never take a message again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deploy.flower.nouns import Hooks

OBJECT_SECONDS = {"initial_backoff": 0.03, "backoff_cap": 0.5, "max_tries_per_object": None}
"""Seconds between tries to get a part of a message that its sender is still sending.

Flower begins with one second, in which a small message could go there and back twice.  Flower
limits the number of tries and the time; this limits the time alone, to Flower's two hours.
"""
UNFINISHED = ("pending", "starting", "running")


class Waits:
    """Replaces the module ``time`` in the SuperNode's loop.

    It sends ``error`` as the reply of a ClientApp whose process has ended without one.
    """

    def __init__(self, hooks: Hooks, error: object) -> None:
        self._hooks, self._error = hooks, error
        self._state: Any = None
        self._ended_before = False

    def watching(self, push: Callable[..., None]) -> Callable[..., None]:
        """Wrap ``push``, the loop's wait for a reply, and remember the state that it is given."""

        def watched(state: Any, **more: Any) -> None:
            self._state, self._ended_before = state, False
            push(state=state, **more)

        return watched

    def sleep(self, seconds: float) -> None:
        """Wait as the hooks say; raises RuntimeError, which drops a reply that is incomplete."""
        # Flower's loop sleeps whole seconds between messages, less while it waits for a reply.
        if seconds >= 1:
            self._hooks.idle()
            return
        self._hooks.waiting()
        ended = not self._state.get_tasks(statuses=UNFINISHED)
        # A process's last reply may arrive after the loop has looked, so one look is not enough.
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
