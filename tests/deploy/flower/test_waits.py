from __future__ import annotations

import pytest
from flwr.app import DEFAULT_TTL, Error, Message, Metadata, RecordDict
from flwr.supercore.constant import TaskType
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supernode.nodestate import NodeStateFactory

from deploy.flower.nouns import Hooks
from deploy.flower.waits import Waits

NODE, RUN = 7, 1


class Supernode:
    """Flower's own state of a SuperNode, with one message and one task for it."""

    def __init__(self) -> None:
        self.waited: list[str] = []
        hooks = Hooks(
            lambda: None, lambda: self.waited.append("idle"), lambda: self.waited.append("reply")
        )
        self.waits = Waits(hooks, Error(8, "nobody answers"))
        self.state = NodeStateFactory(ObjectStoreFactory()).state()
        self.state.set_node_id(NODE)
        self.task = self.state.create_task(
            task_type=TaskType.CLIENT_APP, run_id=RUN, fab_hash="0" * 64
        )
        self.message = message("question")
        self.state.store_message(self.message)
        self.waits.watching(lambda **given: None)(state=self.state)

    def replies(self) -> list[Message]:
        return list(self.state.get_messages_legacy(is_reply=True))


def message(name: str, reply_to: str = "") -> Message:
    metadata = Metadata(
        run_id=RUN,
        message_id=name,
        src_node_id=1,
        dst_node_id=NODE,
        reply_to_message_id=reply_to,
        group_id="",
        created_at=0.0,
        ttl=DEFAULT_TTL,
        message_type="query",
    )
    return Message(metadata=metadata, content=RecordDict())


def test_long_wait_is_for_messages_and_short_wait_for_a_reply() -> None:
    supernode = Supernode()
    supernode.waits.sleep(3)
    supernode.waits.sleep(0.5)
    assert supernode.waited == ["idle", "reply"]


def test_no_error_is_sent_while_the_task_is_not_over() -> None:
    supernode = Supernode()
    for _ in range(5):
        supernode.waits.sleep(0.5)
    assert supernode.replies() == []


def test_message_of_a_process_that_ended_without_a_reply_is_answered_with_an_error() -> None:
    supernode = Supernode()
    supernode.state.finish_task(supernode.task, "failed", "stopped")
    supernode.waits.sleep(0.5)
    assert supernode.replies() == []  # its reply may have come since the loop looked
    supernode.waits.sleep(0.5)
    (reply,) = supernode.replies()
    assert reply.error.reason == "nobody answers"
    assert reply.metadata.reply_to_message_id == "question"


def test_reply_whose_parts_never_come_is_given_up() -> None:
    supernode = Supernode()
    supernode.state.store_message(message("answer", reply_to="question"))
    assert len(supernode.replies()) == 1
    supernode.state.finish_task(supernode.task, "failed", "stopped")
    supernode.waits.sleep(0.5)
    with pytest.raises(RuntimeError, match="while it sent its reply"):
        supernode.waits.sleep(0.5)
