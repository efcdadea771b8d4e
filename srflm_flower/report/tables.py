"""The tables of a run's report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from srflm_flower.federation.federation import Federation
from srflm_flower.report.table import Cell, Code, Column, Table
from srflm_flower.report.wording import (
    duration,
    meaning_of,
    megabytes,
    metric_in_full,
    number,
)
from srflm_flower.results.spans import spans
from srflm_flower.results.summary import RunSummary, VendorSummary, mean_over_vendors, vendors_with
from strategies.phases import PHASES, phase_in_full
from strategies.protocol.records import Metrics, PhaseCost, TermRecord

MAX_NAMES = 6
"""The table of terms names up to this many clients; for more it gives only their number."""


def results_table(federation: Federation, summary: RunSummary) -> Table:
    """Return the table of results: a row for each vendor, and the means in the footer."""
    metric = metric_in_full(summary.metric)
    columns = [
        Column("Vendor"),
        Column("Training examples", numeric=True),
        Column("Test examples", numeric=True),
        Column("Terms served"),
        Column("Terms missed"),
        Column("Personalised model", numeric=True),
        Column("Released global model", numeric=True),
    ]
    vendors = {v: summary.vendors.get(v, VendorSummary()) for v in federation.roster}
    rows = [
        [
            name,
            number(vendor.examples, 0),
            number(_test_examples(vendor), 0),
            spans(vendor.terms_served) or "none",
            spans(vendor.terms_missed) or "none",
            number(vendor.personalised.get(summary.metric)),
            number(vendor.released.get(summary.metric)),
        ]
        for name, vendor in vendors.items()
    ]
    means = [summary.mean_personalised, summary.mean_released]
    footer = ["Mean over vendors", *[""] * 4, *(number(m.get(summary.metric)) for m in means)]
    having = vendors_with(summary)
    whose = f"the test split of {having[0]}" if len(having) == 1 else "each vendor's own test split"
    # The mean of one vendor's figures would look like one over all.
    return Table(f"{metric} on {whose}", columns, rows, footer if len(having) > 1 else ())


def all_metrics_table(federation: Federation, summary: RunSummary, which: str) -> Table:
    """Return all metrics on the test splits; ``which`` is ``personalised`` or ``released``."""
    having: dict[str, Metrics] = {
        vendor: getattr(summary.vendors.get(vendor, VendorSummary()), which)
        for vendor in federation.roster
    }
    found = {name for metrics in having.values() for name in metrics} - {"examples"}
    known = [*federation.task.metrics, "loss"]
    names = [n for n in known if n in found] + sorted(found - set(known))
    columns = [Column("Vendor"), *(Column(metric_in_full(n), numeric=True) for n in names)]
    means = mean_over_vendors(list(having.values()))
    several = sum(map(bool, having.values())) > 1
    title = {"personalised": "Personalised models", "released": "Released global model"}[which]
    return Table(
        f"{title}: all metrics on each vendor's own test split",
        columns,
        [[v, *(number(m.get(n)) for n in names)] for v, m in having.items()],
        ["Mean over vendors", *(number(means.get(n)) for n in names)] if several else (),
    )


def terms_table(records: Sequence[TermRecord], metric: str) -> Table:
    """Return a row for each committed term."""
    name = metric_in_full(metric)
    columns = [
        Column("Term", numeric=True),
        Column("Attempt", numeric=True),
        Column("Server"),
        Column("Clients averaged", wide=True),
        Column(f"{name}, averaged", numeric=True),
        Column(f"{name}, fine-tuned", numeric=True),
        Column(f"{name}, personalised", numeric=True),
        Column("Learning rate", numeric=True),
        Column("Seconds", numeric=True),
        Column("MB sent", numeric=True),
        Column("MB received", numeric=True),
        Column("Model"),
        Column("Absences", wide=True),
    ]
    return Table("All committed terms", columns, [_term_row(r, metric) for r in records])


def _term_row(record: TermRecord, metric: str) -> list[Cell]:
    vendors = record.metrics.values()
    kinds = [[getattr(m, kind) for m in vendors] for kind in ("averaged", "finetuned")]
    kinds.append([m.personalised for m in vendors])
    total = _sum(list(record.cost.values()))
    return [
        str(record.term),
        str(record.attempt),
        record.server,
        _clients(record),
        *(number(mean_over_vendors(kind).get(metric)) for kind in kinds),
        f"{record.learning_rate:.3g}",
        number(total.seconds, 1),
        megabytes(total.bytes_sent),
        megabytes(total.bytes_received),
        Code(record.model[:12]),
        _absences(record),
    ]


def _clients(record: TermRecord) -> str:
    many = len(record.clients) > MAX_NAMES
    names = f"{len(record.clients)} vendors" if many else ", ".join(record.clients) or "none"
    return f"{names}; server's last update" if record.stale_server else names


def _absences(record: TermRecord) -> str:
    """Return the absent vendors with phase and error code, each combination once."""
    parts = Counter(  # its keys stay in the order of the record
        f"{a.vendor} ({a.phase}, {a.code}{f', attempt {a.attempt}' if a.attempt else ''})"
        for a in record.absences
    )
    return "; ".join(parts) or "none"


def codes_table(codes: Sequence[str]) -> Table:
    """Return a table with the meaning of each error code on the page."""
    rows = [[code, meaning_of(code)] for code in codes]
    return Table("Codes on this page", [Column("Code"), Column("Meaning")], rows)


def costs_table(records: Sequence[TermRecord]) -> Table:
    """Return seconds and bytes by phase, over all committed terms."""
    seen = {phase for record in records for phase in record.cost}
    phases = [p for p in PHASES if p in seen] + sorted(seen - set(PHASES))
    columns = [
        Column("Phase"),
        Column("Seconds", numeric=True),
        Column("MB sent", numeric=True),
        Column("MB received", numeric=True),
    ]
    totals = {p: _sum([r.cost[p] for r in records if p in r.cost]) for p in phases}
    return Table(
        "Time and traffic by phase, all committed terms (1 MB = 1,000,000 bytes)",
        columns,
        [_cost_row(phase_in_full(p).capitalize(), cost) for p, cost in totals.items()],
        _cost_row("Total", _sum(list(totals.values()))),
    )


def _cost_row(title: str, cost: PhaseCost) -> list[str]:
    return [
        title,
        number(cost.seconds, 1),
        megabytes(cost.bytes_sent),
        megabytes(cost.bytes_received),
    ]


def _sum(costs: Sequence[PhaseCost]) -> PhaseCost:
    return PhaseCost(
        seconds=sum(cost.seconds for cost in costs),
        bytes_sent=sum(cost.bytes_sent for cost in costs),
        bytes_received=sum(cost.bytes_received for cost in costs),
    )


def settings_table(federation: Federation, summary: RunSummary) -> Table:
    """Return a table of the settings that influence the result."""
    rows = list(_settings(federation, summary).items())
    return Table("Settings of this federation", [Column("Setting"), Column("Value")], rows)


def _settings(federation: Federation, summary: RunSummary) -> dict[str, Cell]:
    model, training = federation.model, federation.training
    election, aggregation = federation.election, federation.aggregation
    network: str = model.network
    if network == "small-cnn":
        network = f"{network}, {model.norm} normalisation"
    for name, value in sorted(model.arguments.items()):
        network += f", {name} {value}"
    momentum = f", momentum {training.momentum:g}" if training.optimizer == "sgd" else ""
    decay = f", weight decay {training.weight_decay:g}" if training.weight_decay else ""
    fixed: dict[str, Cell] = {"Fixed server": election.server} if election.server else {}
    return {
        "Task": ": ".join(filter(None, (federation.task.kind, ", ".join(federation.task.classes)))),
        "Chosen by": f"{metric_in_full(federation.task.metric)} on validation data",
        "Data": f"source {federation.data.source}",
        "Network": network,
        "Optimiser": f"{training.optimizer}{momentum}{decay}, batches of {training.batch_size}",
        "Learning rate": f"{training.learning_rate:g}, × {training.decay:g} every round",
        "Epochs a round": f"{training.client_epochs} as client, {training.server_epochs} as server",
        "Rounds": f"{federation.run.rounds} planned, {federation.rounds_per_term} a term",
        "Election": _election(federation),
        "Aggregation": aggregation.rule,
        "Server's own last update in the mean": aggregation.include_stale_server,
        "Seed": str(federation.seed),
        "Federation (SHA-256)": Code(federation.hash),
        "Time": f"{duration(summary.seconds)} since the run was started or last resumed",
        **fixed,
    }


def _election(federation: Federation) -> str:
    election = federation.election
    if election.policy not in ("cycle", "score"):
        return election.policy
    turns = f"by turn for the first {election.by_turn_rounds} rounds"
    return f"{election.policy}, loss weight λ = {election.loss_weight:g}, {turns}"


def _test_examples(vendor: VendorSummary) -> float | None:
    # Either model's metrics tell the size of the test split; a site may have released only one.
    return vendor.personalised.get("examples", vendor.released.get("examples"))
