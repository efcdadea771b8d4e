"""The part of ``srflm compare`` with ``--attack``: lying vendors, in a simulation only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

from strategies.errors import ConfigurationError

if TYPE_CHECKING:
    from srflm_flower.attacks.resilience import Case, Outcome
    from srflm_flower.federation.federation import Federation


def under_attack(
    federation: Federation,
    methods: Sequence[str],
    kind: str,
    attackers: int,
    seeds: int,
    folder: Path,
    cpus: int,
) -> None:
    """Compare SRFLM's defences and FedAvg under an attack, and print the table.

    Raises :class:`ConfigurationError` for an attack that cannot be, or other methods.
    """
    from srflm_flower.attacks import resilience
    from srflm_flower.attacks.poisoning import KINDS, Attack

    if kind not in KINDS:
        raise ConfigurationError(
            f"the attack {kind!r}", f"one of {', '.join(KINDS)}", "correct --attack"
        )
    attack = Attack(kind, attackers)
    attack.check(federation.roster, federation.task)
    guard = federation.aggregation.guard
    names = [
        name
        for name in resilience.defences(federation, guard)
        if ("fedavg" if name == resilience.FEDAVG else "srflm") in methods
    ]
    if not names:
        raise ConfigurationError(
            f"--methods {','.join(methods)} with an attack", "srflm, fedavg", "correct --methods"
        )
    cases = [
        resilience.Case(name, each, federation.seed + n)
        for n in range(seeds)
        for name in names
        for each in (None, attack)
    ]
    console = Console(highlight=False)

    def show(case: Case, outcome: Outcome) -> None:
        found, _ = resilience.honest(outcome.result, attack.liars(federation.roster))
        value = "–" if found is None else f"{found:.3f}"
        console.print(f"{case.name}: personalised {value}")

    try:
        found = resilience.compare_under_attack(federation, cases, folder, cpus, show, guard)
    except KeyboardInterrupt:
        console.print(f"Interrupted; what is done lies in {escape(str(folder))}", soft_wrap=True)
        raise typer.Exit(130) from None
    table = resilience.as_table(found, attack, names, federation.roster)
    resilience.write_attack(folder, table, attack, found)
    liars = ", ".join(attack.liars(federation.roster))
    console.print(
        f"Attack {kind} by {liars}; {federation.task.metric} of the honest vendors on their own"
        f" test data, means over {seeds} seed(s):"
    )
    console.print(table, soft_wrap=True)
    console.print(f"Results: {escape(str(folder))}", soft_wrap=True)
