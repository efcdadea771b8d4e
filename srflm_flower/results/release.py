"""Choose which global model of a run is released: by validation, among all that were evaluated.

Fine-tuning on one vendor's data can hurt the global model, so the averaged and the fine-tuned
model of every term are both candidates (docs/explanation/method.md).  Where a moving average is
kept (:mod:`clients.models.moving_average`), it is released instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from strategies.protocol.records import TermRecord

Kind = Literal["averaged", "finetuned", "moving-average"]


@dataclass(frozen=True)
class Release:
    """A global model: the term and kind it comes from, its hash, and its mean metric.

    ``vendors`` is the number of vendors in the mean.  A moving average has no hash that the records
    know, and no metric.
    """

    term: int
    kind: Kind
    model: str
    value: float
    vendors: int


def candidates(record: TermRecord, metric: str) -> list[Release]:
    """Return both models of a term with the unweighted mean of ``metric`` over the vendors."""
    kinds: tuple[tuple[Kind, str], ...] = (
        ("averaged", record.averaged_model),
        ("finetuned", record.model),
    )
    found = []
    for kind, model in kinds:
        values = [
            getattr(metrics, kind)[metric]
            for metrics in record.metrics.values()
            if metric in getattr(metrics, kind)
        ]
        value = sum(values) / len(values) if values else float("-inf")
        found.append(Release(record.term, kind, model, value, len(values)))
    return found


def released(
    records: Sequence[TermRecord], metric: str, moving_average: bool = False
) -> Release | None:
    """Return the candidate with the highest mean metric; the earliest of equals.

    Means over different vendors do not compare: those over the most vendors go first.  When no
    vendor has released a metric of any model, it is the latest one: the fine-tuned model of the
    last term.  With ``moving_average`` it is the average through the last term.
    """
    if moving_average:
        return averaged_through(records[-1].term) if records else None
    return better_of(None, records, metric)


def averaged_through(term: int) -> Release:
    """Return the moving average of the committed models through ``term``."""
    return Release(term, "moving-average", "", float("-inf"), 0)


def better_of(best: Release | None, records: Iterable[TermRecord], metric: str) -> Release | None:
    """Return ``best`` or, if it is better, the best candidate of later ``records``."""
    for record in records:
        for candidate in candidates(record, metric):
            if best is None or _supersedes(candidate, best):
                best = candidate
    return best


def _supersedes(later: Release, best: Release) -> bool:
    if later.vendors == best.vendors == 0:
        return True
    return _rank(later) > _rank(best)


def _rank(candidate: Release) -> tuple[int, float]:
    return candidate.vendors, candidate.value
