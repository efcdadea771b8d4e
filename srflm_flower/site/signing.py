"""Sign a site's own answers, so that a term record can quote them with proof."""

from __future__ import annotations

from flwr.app import Message

from strategies.phases import PHASE_OF
from strategies.protocol import messages as wire
from strategies.protocol.signatures import Keys
from strategies.protocol.signed_answers import (
    evaluation_statement,
    failure_statement,
    work_statement,
)
from strategies.settings import Role


def signed_training(
    asked: wire.Train | wire.RecallUpdate, reply: wire.Reply, role: Role, keys: Keys
) -> wire.Reply:
    """Return the reply to a request to train, with a signature of its ballot and steps."""
    if reply.ballot is None:
        return reply
    told = reply.vendor, asked.round, role, reply.ballot, reply.steps
    return _with(reply, keys.sign(work_statement(asked.envelope, *told)))


def signed_evaluation(asked: wire.EvaluateModels, reply: wire.Reply, keys: Keys) -> wire.Reply:
    """Return the reply to a request to evaluate, with a signature of its metrics and its ε."""
    told = asked.models, reply.metrics, reply.privacy
    return _with(reply, keys.sign(evaluation_statement(asked.envelope, reply.vendor, *told)))


def signed_failure(message: Message, reply: wire.Reply, keys: Keys) -> wire.Reply:
    """Return the reply that refuses ``message``, with a signature of its code if it has a phase."""
    phase, envelope = PHASE_OF.get(message.metadata.message_type), wire.envelope_of(message)
    if phase is None or envelope is None:
        return reply
    return _with(reply, keys.sign(failure_statement(envelope, reply.vendor, phase, reply.code)))


def _with(reply: wire.Reply, signature: str) -> wire.Reply:
    return reply.model_copy(update={"signature": signature})
