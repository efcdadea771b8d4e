"""Declarations of all fields that may leave a site, each with the protection of records behind it.

Every answer of a site passes through :func:`check_outgoing`, which refuses undeclared content.
A failure does not: ``srflm_flower/client_app.py`` makes it from a code, the vendor, and an attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from flwr.app import RecordDict
from numpy.typing import NDArray

from srflm_flower.federation.federation import Federation
from strategies.errors import PrivacyError
from strategies.protocol import messages as wire
from strategies.protocol.memory import NOUN, PARTS, memories_in, with_memories
from strategies.secure_aggregation.messages import MASKED_UPDATE, is_masked
from strategies.weights import Weights


@dataclass(frozen=True)
class Declared:
    """A field of an answer: its content, and its protection of records when privacy is on."""

    what: str
    protection: str


PUBLIC = "the protocol's own; tells nothing about records"
DECLARED: Mapping[str, Declared] = {
    "vendor": Declared("who answers", PUBLIC),
    "status": Declared("done, failed, or what is needed first", PUBLIC),
    "code": Declared(
        "why it failed: a code, never a text",
        "not covered: whether training fails can depend on the data",
    ),
    "needs": Declared("hashes of models that the site lacks", PUBLIC),
    "head_term": Declared("the last term in the site's ledger", PUBLIC),
    "attempt": Declared("the highest attempt that it has seen", PUBLIC),
    "grant": Declared("a vote", PUBLIC),
    "accepted": Declared("a term record that it has accepted", PUBLIC),
    "signature": Declared("of an acceptance, or of this answer", PUBLIC),
    "log": Declared("length of the site's message log, and the hash of its last line", PUBLIC),
    "records": Declared("committed term records", PUBLIC),
    "votes": Declared("how far the site is", PUBLIC),
    "steps": Declared("gradient steps", "agreed in federation.toml"),
    "update": Declared("hash of the weights that go with the answer", "as the weights"),
    "ballot": Declared(
        "training loss, number of examples",
        "the loss rides on DP-SGD's noise; the number is the vendor's public size",
    ),
    "metrics": Declared(
        "metrics on validation or test data",
        "accuracies with noise and a budget of their own, or withheld (privacy.metrics)",
    ),
    "keys": Declared("public keys of secure aggregation", PUBLIC),
    "shares": Declared("sealed or opened shares of its secrets", "of fresh keys, not of records"),
    "approval": Declared("agreement to a new roster", PUBLIC),
    "privacy": Declared(
        "ε of the agreed plan so far, and which roles it leaves room for",
        "follows from the agreed plan, public records, and the site's settings",
    ),
    "evidence": Declared("signatures of a vendor that contradict each other", PUBLIC),
}
"""Fields of :class:`strategies.protocol.messages.Reply`.  The weights are DP-SGD's output.  The
fact that a site answers, the time of the answer, and its duration are not covered."""


WEIGHTS = "weights"
"""The name of attached models in :func:`fields_in`."""


def fields_in(content: RecordDict) -> tuple[str, ...]:
    """Return which fields of :data:`DECLARED` an answer has, with ``WEIGHTS`` for its models.

    Raises ValueError for content that is no answer.
    """
    reply = wire.noun_in(content, wire.Reply).model_dump(exclude_defaults=True)
    # check_outgoing lets nothing else out than the noun, memories, and models.
    models = {*content, *content.config_records[NOUN]} - {NOUN, "json", *PARTS}
    return (*reply, *((WEIGHTS,) if models else ()))


def check_outgoing(
    content: RecordDict, expected: Weights, federation: Federation, vendor: str
) -> RecordDict:
    """Return ``content`` unchanged if everything in it is declared.

    ``expected`` has the names, shapes, and types of the network's weights.  Raises
    :class:`PrivacyError` for anything else in the answer.
    """
    # Only secure aggregation sends a record outside of the noun and the weights.
    masked = {MASKED_UPDATE} if federation.aggregation.secure else set()
    if strange := wire.others_in(content) - masked:
        raise _undeclared(", ".join(sorted(strange)))
    if MASKED_UPDATE in content and not is_masked(content, expected):
        raise _undeclared("a masked update that is not one number for every weight")
    try:
        reply, models = wire.noun_in(content, wire.Reply), wire.models_in(content)
        told = memories_in(content)
    except ValueError as error:
        raise _undeclared("a noun or a model of another kind") from error
    # The starts and votes of this site, and of the vendor that asks: nothing else may ride along.
    if content[NOUN] != with_memories(content, told)[NOUN]:
        raise _undeclared("memories of another kind")
    # Fields at their defaults carry no information, so only the others need a declaration.
    if unknown := reply.model_dump(exclude_defaults=True).keys() - DECLARED.keys():
        raise _undeclared(", ".join(sorted(unknown)))
    for model in models.values():
        _check_weights(model.weights, expected)
    if federation.privacy.private:
        _check_private(reply, federation, federation.member(vendor).size)
    return content


def _check_weights(sent: Weights, expected: Weights) -> None:
    strangers = sorted(sent.keys() - expected.keys())
    wrong = sorted(n for n in sent.keys() & expected.keys() if not _alike(sent[n], expected[n]))
    if strangers or wrong:
        raise _undeclared(f"arrays that are no weights of the network: {[*strangers, *wrong]}")


def _alike(one: NDArray[np.floating], other: NDArray[np.floating]) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype


def _check_private(reply: wire.Reply, federation: Federation, size: int | None) -> None:
    # The exact number of records would tell whether one record is there: only the public size may.
    if reply.ballot is not None and reply.ballot.examples != size:
        raise _undeclared("a number of examples that is not the public size")
    rule = federation.privacy.metrics
    if rule == "exact":
        return
    allowed = {federation.task.released, "examples"} if rule == "noisy" else set()
    found = {metric for each in reply.metrics.values() for metric in each}
    if found - allowed:
        raise _undeclared(f"metrics without noise: {', '.join(sorted(found - allowed))}")


def _undeclared(found: str) -> PrivacyError:
    return PrivacyError(
        f"an answer with {found}",
        "only what srflm_flower/site/outgoing.py declares",
        "report this: it is a fault of the program, and nothing was sent",
        PrivacyError.UNDECLARED,
    )
