"""Construct Flower messages without a SuperLink, by interfaces of Flower that are not public.

They are those of ``flwr==1.42.*``; tests pin them.  The federation in memory needs such messages,
and so does handing updates to Flower's aggregation.
"""

from __future__ import annotations

from flwr.app import DEFAULT_TTL, Message, Metadata, RecordDict
from flwr.supercore.task_identity import TaskIdentity


def message_without_superlink(
    content: RecordDict, message_type: str, node: int = 0, message_id: str = ""
) -> Message:
    """Return a message in the form in which a SuperLink would deliver it to ``node``."""
    metadata = Metadata(
        run_id=1,
        message_id=message_id,
        src_node_id=1,
        dst_node_id=node,
        reply_to_message_id="",
        group_id="",
        created_at=0.0,
        ttl=DEFAULT_TTL,
        message_type=message_type,
    )
    return Message(metadata=metadata, content=content)  # type: ignore[call-overload, no-any-return]


def become_a_task() -> None:
    """Let this process construct messages, like the processes that Flower itself starts."""
    # Message() takes these numbers from the identity; their values do not matter here.
    TaskIdentity.run_id = 1
    TaskIdentity.node_id = 1
    TaskIdentity.task_id = 1
