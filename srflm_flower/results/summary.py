"""The summary of a run as plain data, for ``summary.json``, the report, and the terminal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from srflm_flower.federation.federation import Federation
from srflm_flower.privacy.statement import exclusions, promise, spent_line
from srflm_flower.results.advice import Advice
from srflm_flower.results.outcome import outcome_of, terms_missed
from srflm_flower.results.release import Release, released
from strategies.protocol.records import Metrics, TermRecord, VendorPrivacy


class VendorSummary(BaseModel):
    """One vendor's part in a run.  Metrics are those on its own test split.

    ``privacy`` is None without differential privacy, ``advice`` where test data may not be shown.
    """

    model_config = ConfigDict(frozen=True)

    examples: int | None = None
    terms_served: tuple[int, ...] = ()
    terms_missed: tuple[int, ...] = ()
    personalised: Metrics = {}
    released: Metrics = {}
    privacy: VendorPrivacy | None = None
    advice: Advice | None = None


class RunSummary(BaseModel):
    """A run as a whole; ``cross`` is the vendor × vendor matrix (model's owner → data's owner).

    ``privacy`` is the promise about records, with its exclusions.
    """

    model_config = ConfigDict(frozen=True)

    status: Literal["completed", "stopped"]
    what_happened: str
    code: str = ""
    name: str
    federation: str
    metric: str
    rounds: int
    rounds_planned: int
    servers: tuple[str, ...]
    released_term: int | None = None
    released_kind: str | None = None
    vendors: dict[str, VendorSummary]
    mean_personalised: Metrics = {}
    mean_released: Metrics = {}
    pooled_released: Metrics = {}
    cross: dict[str, dict[str, Metrics]] = {}
    privacy: str = ""
    seconds: float


def summarise(
    federation: Federation,
    records: Sequence[TermRecord],
    seconds: float,
    test: dict[str, dict[str, Metrics]],
    cross: dict[str, dict[str, Metrics]],
    stopped: tuple[str, str] | None = None,
    advice: Mapping[str, Advice] = MappingProxyType({}),
    asked: Collection[str] | None = None,
) -> RunSummary:
    """Return the summary of a run; ``stopped`` is (code, text) of the error that stopped it.

    ``test`` is vendor → model → metrics on the vendor's test split, ``cross`` the matrix.
    ``asked`` are the vendors whose figures were asked for, by default all: a site has its own only.
    """
    average = federation.aggregation.moving_average > 0
    best: Release | None = released(records, federation.task.metric, average)
    vendors = {
        vendor: VendorSummary(
            examples=next(
                (r.ballots[vendor].examples for r in reversed(records) if vendor in r.ballots), None
            ),
            terms_served=tuple(r.term for r in records if r.server == vendor),
            terms_missed=terms_missed(federation, records, vendor),
            personalised=test.get(vendor, {}).get("personalised", {}),
            released=test.get(vendor, {}).get("global", {}),
            privacy=records[-1].privacy.get(vendor) if records else None,
            advice=advice.get(vendor),
        )
        for vendor in federation.roster
    }
    rounds = records[-1].round if records else 0
    return RunSummary(
        status="stopped" if stopped else "completed",
        what_happened=what_happened(
            federation, records, vendors, stopped, federation.roster if asked is None else asked
        ),
        code=stopped[0] if stopped else "",
        name=federation.name,
        federation=federation.hash,
        metric=federation.task.metric,
        rounds=rounds,
        rounds_planned=federation.run.rounds,
        servers=tuple(record.server for record in records),
        released_term=best.term if best else None,
        released_kind=best.kind if best else None,
        vendors=vendors,
        mean_personalised=mean_over_vendors([v.personalised for v in vendors.values()]),
        mean_released=mean_over_vendors([v.released for v in vendors.values()]),
        pooled_released=pooled([v.released for v in vendors.values()], federation.task.pooled),
        cross=cross,
        privacy=f"{promise(federation)} {exclusions(federation)}".strip(),
        seconds=round(seconds, 3),
    )


def what_happened(
    federation: Federation,
    records: Sequence[TermRecord],
    vendors: Mapping[str, VendorSummary],
    stopped: tuple[str, str] | None,
    asked: Collection[str],
) -> str:
    """Return a sentence on the course of the run: its outcome, missing figures, and its end."""
    rounds = records[-1].round if records else 0
    parts = [outcome_of(federation, records).sentence]
    silent = [v for v in asked if not vendors[v].personalised | vendors[v].released]
    if silent and not stopped:
        parts.append(f"no final figures from {', '.join(silent)}")
    # A server that ends a run early puts the reason into the last record.
    reason = records[-1].ended if records and rounds < federation.run.rounds else ""
    if stopped:
        parts.append(f"stopped: {stopped[1]}")
    elif reason:
        parts.append(f"ended: {reason}")
    return "; ".join(parts)


def vendors_with(summary: RunSummary) -> tuple[str, ...]:
    """Return the vendors of which the summary has figures on test data."""
    return tuple(v for v, each in summary.vendors.items() if each.personalised | each.released)


def mean_over_vendors(metrics: Sequence[Metrics]) -> Metrics:
    """Return the unweighted mean of every metric over the vendors that have it."""
    # "examples" is the size of a split, not a metric of the model.
    names = sorted({name for each in metrics for name in each if name != "examples"})
    return {
        name: sum(values) / len(values)
        for name in names
        if (values := [each[name] for each in metrics if name in each])
    }


def pooled(metrics: Sequence[Metrics], names: Sequence[str]) -> Metrics:
    """Return the named metrics on all vendors' examples together (means weighted by examples)."""
    # Only means over examples pool this way; the area under the ROC curve, for one, does not.
    return {
        name: sum(each[name] * each["examples"] for each in having) / total
        for name in names
        if (having := [each for each in metrics if name in each and "examples" in each])
        and (total := sum(each["examples"] for each in having))
    }


def term_line(record: TermRecord, metric: str) -> str:
    """Return a line on a term: its server, mean metrics, absent vendors, and ε spent."""
    means = []
    for kind, title in (
        ("averaged", "averaged"),
        ("finetuned", "fine-tuned"),
        ("personalised", "personalised"),
    ):
        mean = mean_over_vendors([getattr(each, kind) for each in record.metrics.values()])
        if metric in mean:
            means.append(f"{title} {mean[metric]:.3f}")
    spent = spent_line(record.privacy)
    absent = sorted({absence.vendor for absence in record.absences})
    return (
        f"term {record.term}: server {record.server}; mean {metric}: {', '.join(means) or '—'}"
        + (f"; absent: {', '.join(absent)}" if absent else "")
        + (f"; {spent}" if spent else "")
    )
