"""What a run's ledger says about its released model, for the bundle in which it is handed on."""

from __future__ import annotations

from collections.abc import Sequence

from clients.bundles.record import RunRecord
from srflm_flower.federation.federation import Federation
from srflm_flower.privacy.statement import exclusions, last_privacy, promise
from srflm_flower.results.release import Release, released
from srflm_flower.results.summary import mean_over_vendors
from strategies.protocol.records import Metrics, TermRecord


def record_of(
    federation: Federation, records: Sequence[TermRecord], vendor: str | None = None
) -> RunRecord:
    """Return the record of a run for its released model, or for a ``vendor``'s personalised one.

    Its figures are those that all members have in their ledgers.
    """
    # Each vendor has measured it with its own normalisation.
    at_home = federation.aggregation.normalisation == "at-home"
    average = federation.aggregation.moving_average > 0
    best = released(records, federation.task.metric, average)
    # Those who have left took part too.
    vendors = {name for record in records for name in (record.server, *record.ballots)}
    return RunRecord(
        name=federation.name,
        federation=federation.hash,
        vendors=tuple(sorted(vendors | set(federation.roster))),
        rounds=records[-1].round if records else 0,
        terms=len(records),
        model=f"the personalised model of {vendor}" if vendor else _words(best),
        metrics={} if vendor or best is None else _metrics(best, records, at_home),
        epsilon={v: (each.epsilon, each.delta) for v, each in last_privacy(records).items()},
        privacy=f"{promise(federation)} {exclusions(federation)}".strip(),
    )


def _words(best: Release | None) -> str:
    if best is None:
        return "no model is released"
    if best.kind == "moving-average":
        return f"the moving average of the models through term {best.term}"
    return f"the {best.kind} model of term {best.term}"


def _metrics(best: Release, records: Sequence[TermRecord], at_home: bool) -> Metrics:
    """Return the means over the vendors; none of a model that nobody has measured as it is."""
    if best.kind == "moving-average" or at_home:
        return {}
    told = records[best.term - 1].metrics.values()
    return mean_over_vendors([getattr(each, best.kind) for each in told])
