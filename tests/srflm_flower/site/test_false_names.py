"""A member whose node answers in the name of another vendor is not believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from flwr.app import Message

from srflm_flower.run.memory_grid import Deliver
from strategies.protocol import messages as wire
from strategies.protocol.records import Ballot
from tests.support.deployed import SiteFault
from tests.support.quick_sites import kind_of, quick_federation

VENDORS = ("a", "b", "c", "d", "e")
LIAR, VICTIM = "d", "b"
INVENTED = Ballot(examples=10**6, loss=99.0)


def speaking_as_another(kinds: set[str]) -> SiteFault:
    """Let the liar's node answer these messages as the victim, with a ballot of its own making."""

    def fault(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        if site != LIAR or kind_of(message) not in kinds or reply is None:
            return reply
        answer = wire.answer_in(reply)
        assert answer is not None
        change: dict[str, object] = {"vendor": VICTIM}
        if answer.reply.ballot is not None:
            change["ballot"] = INVENTED
        false = answer.reply.model_copy(update=change)
        return Message(wire.pack(false, answer.models.values()), reply_to=message)

    return fault


@pytest.mark.parametrize(
    "kinds", [{wire.OPEN}, {wire.OPEN, wire.TRAIN, wire.EVALUATE, wire.ACCEPT}]
)
@pytest.mark.parametrize("server", ["a", "c"])
def test_answer_counts_for_the_vendor_whose_node_it_comes_from(
    tmp_path: Path, kinds: set[str], server: str
) -> None:
    attempt = VENDORS.index(server)
    with quick_federation(tmp_path, VENDORS) as sites:
        sites.order("a", rounds=3)
        sites.fault = speaking_as_another(kinds)
        assert sites.perform(server, attempt=attempt).result == "committed"
        record = sites.records(server)[0]
        assert VICTIM in record.clients
        assert record.ballots[VICTIM] != INVENTED
        assert LIAR not in record.clients
