"""The privacy plan of a whole federation: each vendor's noise, and the federation file with it."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

import tomlkit
from tomlkit.items import AbstractTable

from clients.files.durable import write_durably
from clients.privacy.accounting.planning import Plan, Schedule, plan
from clients.privacy.settings import Unit
from clients.settings import FileData
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from srflm_flower.federation.preflight import count_examples
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
        """The vendor that needs the most noise, usually the one with the least data."""
        return max(self.plans, key=lambda vendor: self.plans[vendor].client_noise)


def plan_federation(
    federation: Federation,
    epsilon: float | None = None,
    server_terms: int | None = None,
    spare_rounds: int = 0,
) -> FederationPlan:
    """Solve for each vendor's noise; arguments left out are as in the federation file.

    Without a cap on terms as the server, the plan is for vendors that serve by strict turns,
    ⌈terms / vendors⌉ terms each.  ``spare_rounds`` are rounds that may be begun and fail.  Raises
    :class:`strategies.errors.PrivacyError` when no noise is enough.
    """
    privacy = federation.privacy
    terms = federation.run.rounds // federation.rounds_per_term
    # The last is ⌈terms / vendors⌉: with strict turns no vendor serves more terms.
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
        if schedule not in solved:  # vendors of equal size share a plan, as solving is slow
            solved[schedule] = plan(schedule, target, privacy.delta)
        plans[vendor] = solved[schedule]
    unit: Unit = "patient" if privacy.unit == "patient" else "record"
    return FederationPlan(target, privacy.delta, cap, plans, unit)


def sizes(federation: Federation) -> dict[str, int]:
    """Return the vendors' public sizes; count simulated data of vendors without one.

    Raises :class:`ConfigurationError` for a vendor with real data and no public size, as the exact
    number of its records must not become public.
    """
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


def write_plan(path: Path, plan: FederationPlan) -> None:
    """Write the plan into the federation file, keeping its comments, order, and spaces.

    Raises :class:`ConfigurationError`, with the file unchanged, if the result would be invalid.
    """
    new = with_plan(path.read_text(encoding="utf-8-sig"), plan)
    # In the same folder, because relative data paths start there.
    aside = path.with_name(f".{path.name}.planned")
    try:
        write_durably(aside, new.encode())
        load_federation(aside)
        write_durably(path, new.encode())
    finally:
        aside.unlink(missing_ok=True)  # also when the plan makes the file invalid


def with_plan(text: str, plan: FederationPlan) -> str:
    """Return the text of a federation file with the plan in ``[privacy]`` and ``[[vendors]]``."""
    worst = plan.plans[plan.most_demanding]
    document = tomlkit.parse(text)
    shared = {
        "unit": plan.unit,
        "epsilon": plan.epsilon,
        "server-terms": plan.server_terms,
        "client-noise": worst.client_noise,
        "server-noise": worst.server_noise,
    }
    _set(document.setdefault("privacy", tomlkit.table()), shared)
    # A file may leave out the vendors; the built-in ones apply then.
    for vendor in document.setdefault("vendors", [{"name": name} for name in plan.plans]):
        own = plan.plans[vendor["name"]]
        noise = {"client-noise": own.client_noise, "server-noise": own.server_noise}
        _set(vendor, {"size": own.schedule.size, **noise})
    return tomlkit.dumps(document)


def _set(table: MutableMapping[str, object], values: Mapping[str, object]) -> None:
    """Set values of a table; new keys come before the blank lines and comments at its end."""
    # tomlkit makes these lines part of this table, but people write them about the next one.
    lines = table.value.body if isinstance(table, AbstractTable) else []
    below = []
    while lines and lines[-1][0] is None:
        below.append(lines.pop())
    table.update(values)
    lines.extend(reversed(below))
