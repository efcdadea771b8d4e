"""A vendor that fails, and gives a text of its own as the reason: no record carries it."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Message

from srflm_flower.run.memory_grid import Deliver
from srflm_flower.site.signing import signed_failure
from strategies.errors import NO_REPLY
from strategies.protocol import messages as wire
from tests.support.quick_sites import kind_of, quick_federation
from tests.support.tiny import VENDORS


def test_text_as_a_code_counts_as_no_answer(tmp_path: Path) -> None:
    with quick_federation(tmp_path, VENDORS) as sites:
        keys = sites.site("c").keys

        def failing(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
            if (kind_of(message), site) != (wire.TRAIN, "c"):
                return deliver(message)
            reply = wire.Reply(vendor="c", status="failed", code="call me")
            return Message(wire.pack(signed_failure(message, reply, keys)), reply_to=message)

        sites.order("b", rounds=3)
        sites.fault = failing
        sites.perform("a", attempt=0)
        (absence,) = sites.records("b")[0].absences
        assert (absence.vendor, absence.code, absence.signature) == ("c", NO_REPLY, None)
