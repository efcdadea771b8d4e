"""Ballots and term records made by hand; every field can be given, none need be."""

from __future__ import annotations

from typing import Any

from strategies.protocol.records import Ballot, Certificate, Committed, TermRecord, VendorMetrics

FEDERATION = "f" * 64


def make_ballots(**losses: float) -> dict[str, Ballot]:
    """Return vendor → ballot with 10 examples and the given loss."""
    return {vendor: Ballot(examples=10, loss=loss) for vendor, loss in losses.items()}


def make_metrics(averaged: float, finetuned: float) -> VendorMetrics:
    """Return one vendor's accuracies of the two global models."""
    return VendorMetrics(averaged={"accuracy": averaged}, finetuned={"accuracy": finetuned})


def make_record(term: int = 1, parent: str = FEDERATION, **fields: Any) -> TermRecord:
    """Return a record in which vendor ``a`` served ``b``, on top of ``parent``."""
    plain: dict[str, Any] = {
        "federation": FEDERATION,
        "term": term,
        "attempt": 0,
        "server": "a",
        "round": term,
        "clients": ("b",),
        "stale_server": False,
        "ballots": make_ballots(a=1.0, b=0.5),
        "ranking": ("b", "a"),
        "learning_rate": 0.02 * 0.95 ** (term - 1),
        "steps": {"a": 8, "b": 4},
        "averaged_model": f"averaged-{term}",
        "model": f"model-{term}",
        "metrics": {"a": make_metrics(0.5, 0.6), "b": make_metrics(0.7, 0.4)},
        "cost": {},
        "parent": parent,
    }
    return TermRecord.model_validate(plain | fields)


def make_chain(length: int) -> list[TermRecord]:
    """Return an unbroken chain of records."""
    records: list[TermRecord] = []
    for term in range(1, length + 1):
        parent = records[-1].hash if records else FEDERATION
        records.append(make_record(term, parent, server="ab"[term % 2]))
    return records


def make_committed(record: TermRecord, *vendors: str) -> Committed:
    """Return ``record`` with a certificate that nobody has signed."""
    acceptances = dict.fromkeys(vendors or ("a", "b"), "")
    return Committed(
        record=record, certificate=Certificate(attempt=record.attempt, acceptances=acceptances)
    )
