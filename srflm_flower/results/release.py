"""Choose the released global model of a run, by validation, among all evaluated global models.

Fine-tuning on one vendor's data can hurt the global model, so the averaged and the fine-tuned
model of every term are both candidates (docs/explanation/method.md).  If the federation keeps a
moving average (:mod:`clients.models.moving_average`), that average is released instead.
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

    ``vendors`` is the number of vendors in the mean.  For a moving average, ``model`` is empty, as
    no record contains its hash, and ``value`` is -∞, as it is not evaluated.
    """

    term: int
    kind: Kind
    model: str
    value: float
    vendors: int


def candidates(record: TermRecord, metric: str) -> list[Release]:
    """Return both models of a term with the unweighted mean of ``metric`` over the vendors.

    The value is -∞ for a model for which no vendor has the metric.
    """
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

    Means over more vendors take precedence over means over fewer vendors.  If no vendor has
    released a metric of any model, return the fine-tuned model of the last term; with
    ``moving_average``, return the average through the last term.  None without records.
    """
    if moving_average:
        return averaged_through(records[-1].term) if records else None
    return better_of(None, records, metric)


def averaged_through(term: int) -> Release:
    """Return the moving average of the committed models through ``term``."""
    return Release(term, "moving-average", "", float("-inf"), 0)


def better_of(best: Release | None, records: Iterable[TermRecord], metric: str) -> Release | None:
    """Return the better of ``best`` and the best candidate of later ``records``."""
    for record in records:
        for candidate in candidates(record, metric):
            if best is None or _supersedes(candidate, best):
                best = candidate
    return best


def _supersedes(later: Release, best: Release) -> bool:
    if later.vendors == best.vendors == 0:  # nothing to compare: the latest model wins
        return True
    return _rank(later) > _rank(best)


def _rank(candidate: Release) -> tuple[int, float]:
    # Means over different sets of vendors do not compare, so the number of vendors comes first.
    return candidate.vendors, candidate.value
