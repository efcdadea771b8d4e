"""Read the vendors' answers: check signatures and updates, and average the metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flwr.app import MetricRecord

from strategies.errors import NO_REPLY, UpdateRejected
from strategies.protocol.messages import Answer, Reply
from strategies.protocol.records import VendorMetrics
from strategies.protocol.signed_answers import evaluation_statement, work_statement
from strategies.settings import Role
from strategies.term.attempt import Attempt
from strategies.weights import Model, Weights, check_like


def checked_update(answer: Answer, template: Weights) -> Model:
    """Return the update in ``answer``; raises :class:`UpdateRejected` if it is not usable."""
    model = answer.models.get(answer.reply.update)
    if model is None:
        raise UpdateRejected(
            "a reply whose update is missing or cannot be decoded",
            "one model, named as the reply says",
            "install the same version of srflm-flower at every site",
        )
    # Raises UpdateRejected itself, with the array that does not fit.
    check_like(model.weights, template)
    return model


def signed_work(
    term: Attempt, answers: Mapping[str, Answer], round_number: int, role: Role = "client"
) -> dict[str, Answer]:
    """Return the answers to requests to train whose ballots are signed; note others as absent."""

    def statement(reply: Reply) -> bytes | None:
        # A recalled update of an earlier term is no work in this one, and nothing quotes it.
        recalled = role == "client" and reply.vendor == term.server
        if reply.ballot is None or (recalled and not reply.steps):
            return None
        told = reply.vendor, round_number, role, reply.ballot, reply.steps
        return work_statement(term.envelope, *told)

    return _signed(term, answers, statement, "train" if role == "client" else "finetune")


def signed_evaluations(
    term: Attempt, answers: Mapping[str, Answer], models: Mapping[str, str]
) -> dict[str, Answer]:
    """Return the signed answers on ``models`` (name → hash); note others as absent."""

    def statement(reply: Reply) -> bytes:
        told = models, reply.metrics, reply.privacy
        return evaluation_statement(term.envelope, reply.vendor, *told)

    return _signed(term, answers, statement, "evaluate")


def _signed(
    term: Attempt,
    answers: Mapping[str, Answer],
    statement: Callable[[Reply], bytes | None],
    phase: str,
) -> dict[str, Answer]:
    kept = {}
    for vendor, answer in answers.items():
        told = statement(answer.reply)
        # One answer that no site can verify would spoil the record for all.
        if told is None or term.is_signed(vendor, told, answer.reply.signature):
            kept[vendor] = answer
        else:
            term.note_absence(vendor, phase, NO_REPLY)
    return kept


def mean_metrics(metrics: Mapping[str, VendorMetrics]) -> MetricRecord:
    """Return the mean over vendors of every metric of every model, as ``model-metric``."""
    values: dict[str, list[float]] = {}
    for vendor_metrics in metrics.values():
        for model, named in vendor_metrics.model_dump().items():
            for name, value in named.items():
                values.setdefault(f"{model}-{name}", []).append(value)
    # A metric undefined at a vendor is missing there: divide by the vendors that have it.
    return MetricRecord({name: sum(seen) / len(seen) for name, seen in values.items()})
