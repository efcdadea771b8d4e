"""Quick sites that aggregate securely: one term served, with faults, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flwr.app import Message

from srflm_flower.run.memory_grid import Deliver
from strategies.protocol import messages as wire
from strategies.protocol.records import TermRecord
from strategies.secure_aggregation import messages as secure
from strategies.weights import Weights, from_arrays
from tests.support.deployed import SiteFault, pass_on
from tests.support.quick_sites import QuickFederation

KINDS = (secure.KEYS, secure.SHARES, secure.MASKED, secure.CONFIRM, secure.UNMASK)
SECURE = {"evaluate_averaged": False, "aggregation__secure": True}


def serve(
    sites: QuickFederation, fault: SiteFault = pass_on, server: str = "a", attempt: int = 0
) -> Weights | None:
    """Let a vendor serve term 1; return the average that it had fine-tuned, if it got so far."""
    seen: list[Weights] = []

    def spy(by: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type == wire.FINETUNE:
            (arrays,) = wire.models_in(message).values()
            seen.append(from_arrays(arrays))
        return fault(by, site, message, deliver)

    sites.fault = spy
    try:
        sites.perform(server, attempt=attempt)
    finally:
        sites.fault = pass_on
    return seen[-1] if seen else None


def first_record(sites: QuickFederation) -> TermRecord:
    """Return the record of term 1, which a has."""
    return sites.records("a")[0]


def notes_of(sites: QuickFederation, vendor: str) -> Iterator[Path]:
    """Return the files in which a site keeps the secrets of its aggregations."""
    return (sites.site(vendor).settings.state / "secure").glob("t*.json")
