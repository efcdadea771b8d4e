"""The plan of a whole federation: each vendor's noise, and what it writes into the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clients.files.durable import write_durably
from clients.privacy.accounting.planning import Plan, Schedule, plan
from clients.privacy.settings import Unit
from clients.settings import FileData
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes
from srflm_flower.federation.preflight import count_examples
from srflm_flower.federation.toml_edit import edited
from strategies.errors import ConfigurationError


@dataclass(frozen=True)
class FederationPlan:
    """Every vendor's plan under one budget and one hard cap of terms as the server."""

    epsilon: float
    delta: float
    server_terms: int
    plans: Mapping[str, Plan]
    unit: Unit = "record"

    @property
    def most_demanding(self) -> str:
        """The vendor that needs most noise: mostly the one with the least data."""
        return max(self.plans, key=lambda vendor: self.plans[vendor].client_noise)


def plan_federation(
    federation: Federation,
    epsilon: float | None = None,
    server_terms: int | None = None,
    spare_rounds: int = 0,
) -> FederationPlan:
    """Solve for each vendor's noise; what is left out is as in the federation file.

    Without a cap the vendors serve by strict turns, ⌈terms / vendors⌉ each.  ``spare_rounds`` are
    rounds that may be begun and fail.  Raises :class:`strategies.errors.PrivacyError` when no
    noise is enough.
    """
    privacy = federation.privacy
    terms = federation.run.rounds // federation.rounds_per_term
    cap = server_terms or privacy.server_terms or -(-terms // len(federation.roster))
    target = privacy.epsilon if epsilon is None else epsilon
    solved: dict[Schedule, Plan] = {}
    plans = {}
    for vendor, size in sizes(federation).items():
        schedule = Schedule(
            size,
            privacy.batch_size,
            privacy.client_steps,
            privacy.server_steps,
            federation.run.rounds + spare_rounds,
            min(cap, terms) * federation.rounds_per_term,
            privacy.server_noise / privacy.client_noise,
        )
        if schedule not in solved:
            solved[schedule] = plan(schedule, target, privacy.delta)
        plans[vendor] = solved[schedule]
    unit: Unit = "patient" if privacy.unit == "patient" else "record"
    return FederationPlan(target, privacy.delta, cap, plans, unit)


def sizes(federation: Federation) -> dict[str, int]:
    """Return the vendors' public sizes; where the data is simulated, it is counted if need be."""
    known = {member.name: member.size for member in federation.vendors}
    missing = [name for name, size in known.items() if size is None]
    if missing and isinstance(federation.data, FileData):
        raise ConfigurationError(
            f"no public size of {', '.join(missing)}",
            "the size of every vendor: about how many training records it has",
            "add size = … to each [[vendors]] table, in a number that everybody may know",
        )
    counted = count_examples(federation) if missing else {}
    return {name: counted[name].train if size is None else size for name, size in known.items()}


def write_plan(path: Path, plan: FederationPlan) -> bool:
    """Put the plan into the federation file; return whether its comments could be kept.

    The file is checked as a whole before it replaces the old one.
    """
    worst = plan.plans[plan.most_demanding]
    values: dict[str, str | int | float] = {
        "unit": plan.unit,
        "epsilon": plan.epsilon,
        "server-terms": plan.server_terms,
        "client-noise": worst.client_noise,
        "server-noise": worst.server_noise,
    }
    rows = {vendor: _row(each) for vendor, each in plan.plans.items()}
    text = path.read_text(encoding="utf-8-sig")
    new = edited(text, "privacy", values, rows)
    kept = new is not None
    if new is None:
        new = _rewritten(path, values, rows)
    aside = path.with_name(f".{path.name}.planned")
    try:
        write_durably(aside, new.encode())
        load_federation(aside)
        write_durably(path, new.encode())
    finally:
        aside.unlink(missing_ok=True)
    return kept


def _row(plan: Plan) -> dict[str, str | int | float]:
    return {
        "size": plan.schedule.size,
        "client-noise": plan.client_noise,
        "server-noise": plan.server_noise,
    }


def _rewritten(
    path: Path,
    values: Mapping[str, str | int | float],
    rows: Mapping[str, Mapping[str, str | int | float]],
) -> str:
    federation = load_federation(path)
    changes = {f"privacy__{key.replace('-', '_')}": value for key, value in values.items()}
    vendors = [
        member.model_dump(mode="python") | {k.replace("-", "_"): v for k, v in row.items()}
        for member in federation.vendors
        if (row := rows[member.name]) is not None
    ]
    return with_changes(federation, vendors=vendors, **changes).to_toml()
