"""A SuperNode's waits, and error replies for ClientApps that ended without one.

Flower's loop waits for a reply without a limit. It notices a killed ClientApp after a minute, but
not one that was asked to end, which reports its task as failed and sends no reply. Without this
module its SuperNode would never take a message again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deploy.flower.nouns import Hooks

# Seconds between tries to get a part of a message while its sender is still sending. Flower begins
# with one second, in which a small message could travel twice. The shorter waits need more tries,
# so only Flower's limit of two hours stays.
OBJECT_SECONDS = {"initial_backoff": 0.03, "backoff_cap": 0.5, "max_tries_per_object": None}
UNFINISHED = ("pending", "starting", "running")


class Waits:
    """Takes the place of the module ``time`` in the SuperNode's loop.

    It replies with ``error`` for a ClientApp whose process has ended without a reply.
    """

    def __init__(self, hooks: Hooks, error: object) -> None:
        self._hooks, self._error = hooks, error
        self._state: Any = None
        self._ended_before = False

    def watching(self, push: Callable[..., None]) -> Callable[..., None]:
        """Return ``push``, the loop's wait for a reply, wrapped to remember its state."""

        def watched(state: Any, **more: Any) -> None:
            self._state, self._ended_before = state, False
            push(state=state, **more)

        return watched

    def sleep(self, seconds: float) -> None:
        """Wait as the hooks say; raise RuntimeError to drop an incomplete reply."""
        # Flower's loop sleeps whole seconds between messages, and less while it waits for a reply.
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
                entry.is_retrieved = True  # no ClientApp will fetch it any more
            runs = {entry.message.metadata.run_id for entry in entries}
            state._store_error_replies(runs, self._error)


def ask_for_objects_often(objects: Any) -> None:
    """Shorten this process' waits for the parts of messages; ``objects`` is Flower's module."""
    # Flower has the waits as keyword defaults only; there is no setting for them.
    for function in (objects.pull_objects, objects.pull_and_inflate_object_from_tree):
        function.__kwdefaults__.update(OBJECT_SECONDS)
