"""What a run's ledger says about its released model, for the bundle in which it is handed on."""

from __future__ import annotations

from collections.abc import Sequence

from clients.bundles.record import RunRecord
from srflm_flower.federation.federation import Federation
from srflm_flower.privacy.statement import exclusions, last_privacy, promise
from srflm_flower.results.release import released
from srflm_flower.results.summary import mean_over_vendors
from strategies.protocol.records import TermRecord


def record_of(federation: Federation, records: Sequence[TermRecord]) -> RunRecord:
    """Return the record of a run; its figures are those that all members have in their ledgers."""
    average = federation.aggregation.moving_average > 0
    best = released(records, federation.task.metric, average)
    term = records[best.term - 1] if best else None
    kind = best.kind if best else ""
    # Those who have left took part too.
    vendors = {vendor for record in records for vendor in (record.server, *record.ballots)}
    return RunRecord(
        name=federation.name,
        federation=federation.hash,
        vendors=tuple(sorted(vendors | set(federation.roster))),
        rounds=records[-1].round if records else 0,
        terms=len(records),
        model=f"the {kind} model of term {best.term}" if best else "no model is released",
        # Not those of an average, which nobody has measured.
        metrics=mean_over_vendors([getattr(each, kind) for each in term.metrics.values()])
        if term is not None and kind != "moving-average"
        else {},
        epsilon={v: (each.epsilon, each.delta) for v, each in last_privacy(records).items()},
        privacy=f"{promise(federation)} {exclusions(federation)}".strip(),
    )
