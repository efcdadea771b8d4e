"""``srflm compare --attack``: lying vendors, in the memory of a simulation only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from srflm_flower.attacks.poisoning import KINDS, Attack
from srflm_flower.attacks.resilience import (
    FEDAVG,
    Case,
    Outcome,
    as_table,
    compare_under_attack,
    defences,
    honest,
    write_attack,
)
from srflm_flower.federation.federation import Federation
from strategies.errors import ConfigurationError


def chosen_attack(federation: Federation, kind: str, attackers: int) -> Attack:
    """Return the attack; raises :class:`ConfigurationError` for one that cannot be."""
    if kind not in KINDS:
        raise ConfigurationError(
            f"the attack {kind!r}", f"one of {', '.join(KINDS)}", "correct --attack"
        )
    attack = Attack(kind, attackers)
    attack.check(federation.roster, federation.task)
    return attack


def compare_attacked(
    federation: Federation,
    methods: Sequence[str],
    attack: Attack,
    seeds: int,
    folder: Path,
    cpus: int,
    show: Callable[[str], None],
) -> str:
    """Compare SRFLM's defences and FedAvg under an attack; return the table and a line about it.

    ``show`` gets a line for each run.  Raises :class:`ConfigurationError` for other methods.
    """
    guard, liars = federation.aggregation.guard, attack.liars(federation.roster)
    names = [
        name
        for name in defences(federation, guard)
        if ("fedavg" if name == FEDAVG else "srflm") in methods
    ]
    if not names:
        raise ConfigurationError(
            f"--methods {','.join(methods)} with an attack", "srflm, fedavg", "correct --methods"
        )
    cases = [
        Case(name, each, federation.seed + n)
        for n in range(seeds)
        for name in names
        for each in (None, attack)
    ]

    def on_outcome(case: Case, outcome: Outcome) -> None:
        value, _ = honest(outcome.result, liars)
        show(f"{case.name}: personalised {'–' if value is None else format(value, '.3f')}")

    found = compare_under_attack(federation, cases, folder, cpus, on_outcome, guard)
    table = as_table(found, attack, names, federation.roster)
    write_attack(folder, table, attack, found)
    return (
        f"Attack {attack.kind} by {', '.join(liars)}; {federation.task.metric} of the honest"
        f" vendors on their own test data, means over {seeds} seed(s):\n\n{table}"
    )
