"""A real site answers no evaluation under names of a server's own choice."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Message

from srflm_flower.run.memory_grid import Deliver
from strategies.errors import MessageRefused
from strategies.protocol import messages as wire
from tests.support.tiny import conduct, new_run, tiny_federation


def test_site_refuses_a_thousand_names_of_one_model(tmp_path: Path) -> None:
    """Each answer would have noise of its own, for one use of the budget."""
    codes: list[tuple[str, int]] = []

    def greedy(message: Message, deliver: Deliver) -> Message | None:
        if codes or message.metadata.message_type != wire.EVALUATE:
            return deliver(message)
        asked = wire.unpack(message, wire.EvaluateModels)
        (model, *_) = asked.models.values()
        many = asked.model_copy(update={"models": {f"again-{n}": model for n in range(1000)}})
        message.content.config_records.update(wire.pack(many).config_records)
        reply = deliver(message)
        answer = wire.answer_in(reply) if reply is not None else None
        assert answer is not None
        codes.append((answer.reply.code, len(answer.reply.metrics)))
        return reply

    federation = tiny_federation(tmp_path, ("a", "b", "c"), run__rounds=1)
    conduct(new_run(federation, tmp_path / "run"), greedy)
    assert codes == [(MessageRefused.NAMES, 0)]
