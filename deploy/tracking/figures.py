"""The figures of a term record, each with a name that says what it is.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean
from typing import NamedTuple

from strategies.protocol.records import TermRecord

MODELS = ("averaged", "finetuned", "personalised")
MEAN = "mean over vendors"


class Figure(NamedTuple):
    """A number with its name, such as ``averaged/dice/aster``."""

    name: str
    value: float


def figures(record: TermRecord) -> Iterator[Figure]:
    """Yield the figures of one term, whose number is the step of each.

    ::

        <model>/<metric>/<vendor>    on the vendor's validation data, and the mean over the vendors
        loss/<vendor>                its mean training loss in the term
        epsilon/<vendor>             what its records have spent of their budget so far
        seconds/<phase>              as the server saw them
        bytes/<phase>                sent and received by the server
        term/round, term/clients, term/attempt, term/learning-rate
    """
    yield from _metrics(record)
    yield from (Figure(f"loss/{vendor}", b.loss) for vendor, b in record.ballots.items())
    yield from (Figure(f"epsilon/{vendor}", p.epsilon) for vendor, p in record.privacy.items())
    for phase, cost in record.cost.items():
        yield Figure(f"seconds/{phase}", cost.seconds)
        yield Figure(f"bytes/{phase}", float(cost.bytes_sent + cost.bytes_received))
    yield Figure("term/round", float(record.round))
    yield Figure("term/clients", float(len(record.clients)))
    yield Figure("term/attempt", float(record.attempt))
    yield Figure("term/learning-rate", record.learning_rate)


def _metrics(record: TermRecord) -> Iterator[Figure]:
    for model in MODELS:
        by_name: dict[str, list[float]] = {}
        for vendor, measured in record.metrics.items():
            for name, value in getattr(measured, model).items():
                by_name.setdefault(name, []).append(value)
                yield Figure(f"{model}/{name}/{vendor}", value)
        for name, values in by_name.items():
            yield Figure(f"{model}/{name}/{MEAN}", fmean(values))
