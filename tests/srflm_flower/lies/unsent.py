"""Honest messages of the types that no server sends to another vendor's site in a plain term."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flwr.app import Message

from strategies.protocol import messages as wire
from strategies.protocol.records import Absence
from strategies.protocol.signatures import sign_order
from strategies.protocol.yielding import YIELD, signed_yield
from strategies.secure_aggregation import messages as secure
from tests.srflm_flower.lies.liar import Liar, same_as, with_noun


def unsent(liar: Liar, like: Message, seen: Mapping[str, Message]) -> Iterator[Message]:
    """Yield such messages of the liar's, in the term of the message ``like``.

    ``seen`` has those that were sent to other sites, by type.
    """
    yield from seen.values()
    envelope = wire.envelope_of(like)
    assert envelope is not None
    ledger, keys = liar.site.state.ledger, liar.site.keys
    head, order = ledger.last(), ledger.order()
    assert head is not None and order is not None
    new = order.model_copy(update={"number": order.number + 1, "vendor": liar.site.vendor})
    lost = Absence(vendor=envelope.server, phase="aggregate", code="SRFLM-D1")
    about = {"envelope": envelope, "round": head.round + 1, "model": head.model}
    nouns: dict[str, wire.Request] = {
        wire.RECORDS: wire.FetchRecords(envelope=envelope, first=1),
        wire.MODEL: wire.FetchModel(envelope=envelope, model=head.model),
        wire.VOTES: wire.TellVotes(envelope=envelope),
        wire.ORDER: wire.OrderRun(envelope=envelope, order=sign_order(new, keys)),
        wire.SHARE: wire.ShareBest(envelope=envelope),
        YIELD: signed_yield(envelope, lost, keys),
    }
    for kind in secure.KINDS:
        plain = liar.samples.of(liar.nouns[kind])
        nouns[kind] = liar.nouns[kind].model_validate(plain | about)
    for kind, noun in nouns.items():
        if kind not in seen:
            yield same_as(like, with_noun(like, noun.model_dump_json()), kind)
