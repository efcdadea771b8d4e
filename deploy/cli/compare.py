"""``srflm compare``: train with SRFLM and with its baselines, and print a table of results."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy.cli.parts.options import FederationFile, Rounds, chosen_federation
from strategies.errors import ConfigurationError

if TYPE_CHECKING:
    from srflm_flower.comparison.methods import Method, MethodResult
    from srflm_flower.federation.federation import Federation


def compare(
    federation_file: FederationFile = None,
    methods: Annotated[
        str | None,
        typer.Option(help="which, separated by commas; all that the federation can run by default"),
    ] = None,
    seeds: Annotated[int, typer.Option(help="how many, from the federation's seed up", min=1)] = 5,
    rounds: Rounds = None,
    out: Annotated[Path | None, typer.Option(help="folder for the results")] = None,
    cpus: Annotated[
        int | None, typer.Option(help="runs at a time; all CPUs by default", min=1)
    ] = None,
    proximal_mu: Annotated[float, typer.Option(help="FedProx's μ", min=0.0)] = 0.1,
    leave_out: Annotated[
        str | None,
        typer.Option(
            metavar="VENDOR",
            help="train without this vendor, too, and score the global model on its test images;"
            ' "each" leaves out one vendor after the other',
        ),
    ] = None,
    attack: Annotated[
        str | None, typer.Option(help="sign-flip, label-flip, scaled, or backdoor")
    ] = None,
    attackers: Annotated[
        int, typer.Option(help="how many vendors lie, the last of the roster", min=1)
    ] = 1,
) -> None:
    """Compare methods with the same model, data, partition, and number of gradient steps.

    Methods are compared in pairs: for one seed, all have the same data, division, and initial
    weights. The methods are srflm, srflm-paper, srflm-finetuned, fedavg, fedavg-finetuned, fedprox,
    fedbn, ditto, fedrep, scaffold, cyclic, round-robin, fixed-server, local, and pooled; 3sc-fl,
    icp2p-fl, and fedgp are published names of three of them.

    In a private federation each method gets the noise that it needs for the same ε; ``pooled`` is
    not private, and the table says so. Methods that do not train by DP-SGD are refused there.

    With ``--attack``, some vendors lie as clients and as servers, and SRFLM with each rule of the
    average, with the guard if the file has one, and FedAvg are compared with themselves without
    the attack. Give the same --out again to go on after an interruption.

    Example: srflm compare federation.toml --methods srflm,fedavg,local --seeds 5 --out runs/pbc
    """
    from deploy.simulation.attacked import chosen_attack, compare_attacked
    from srflm_flower.comparison import compare as comparison
    from srflm_flower.comparison.left_out import vendors_to_leave_out
    from srflm_flower.comparison.methods import require_possible
    from srflm_flower.comparison.tables import whole_text
    from srflm_flower.federation.left_over import about_left_over
    from srflm_flower.federation.preflight import check_before_simulation

    federation = chosen_federation(federation_file, rounds)
    if attack is not None and leave_out is not None:
        raise ConfigurationError(
            "--attack and --leave-out together", "one of them", "compare twice, with one each time"
        )
    lie = chosen_attack(federation, attack, attackers) if attack is not None else None
    chosen, notes = _chosen(federation, methods)
    require_possible(federation, chosen)
    without = vendors_to_leave_out(federation, leave_out)
    check_before_simulation(federation)
    workers = cpus or os.cpu_count() or 1
    base = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-compare-{federation.name}"
    folder = (out or base).resolve()  # absolute, because the runs are other processes
    console = Console(highlight=False)
    console.print(about_left_over(federation), end="", markup=False, soft_wrap=True)
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)

    def show(result: MethodResult) -> None:
        console.print(_in_a_line(result), markup=False)

    try:
        if lie is not None:
            line = partial(console.print, markup=False, soft_wrap=True)
            line(compare_attacked(federation, chosen, lie, seeds, folder, workers, line))
            line(f"Results: {folder}")
            return
        results = comparison.compare(
            federation,
            chosen,
            [federation.seed + n for n in range(seeds)],
            folder,
            workers,
            proximal_mu,
            show,
            without,
        )
    except KeyboardInterrupt:
        console.print(f"Interrupted; what is done lies in {escape(str(folder))}", soft_wrap=True)
        raise typer.Exit(130) from None
    console.print()
    console.print(whole_text(federation, chosen, results), markup=False, soft_wrap=True)
    console.print(f"Results: {escape(str(folder))}", soft_wrap=True)


def _chosen(federation: Federation, methods: str | None) -> tuple[list[Method], list[str]]:
    """Return the methods in the table's usual order, and notes about the choice.

    Without a choice they are all that the federation can run.
    """
    from srflm_flower.comparison.methods import METHODS, problems_of
    from srflm_flower.comparison.presets import PRESETS, about

    if methods is None:
        problems = problems_of(federation, METHODS)
        possible = [method for method in METHODS if method not in problems]
        return possible, [
            f"Left out: {each.found}; expected {each.expected}" for each in problems.values()
        ]
    names = [name.strip() for name in methods.split(",") if name.strip()]
    presets = [name for name in names if name in PRESETS]
    wanted = {*names, *(PRESETS[name].method for name in presets)}
    chosen = [method for method in METHODS if method in wanted]
    unknown = [name for name in names if name not in METHODS and name not in PRESETS]
    if unknown or not chosen:
        raise ConfigurationError(
            f"methods {', '.join(unknown) or '(none)'}",
            f"some of {', '.join(METHODS)}, or of the presets {', '.join(PRESETS)}",
            "correct --methods",
        )
    return chosen, [about(name) for name in presets]


def _in_a_line(result: MethodResult) -> str:
    """Return a line about a run that has just ended."""
    start, end = f"{result.method}, seed {result.seed}", f"{result.steps} steps"
    if result.left_out is not None:
        held_out = "–" if result.held_out is None else f"{result.held_out:.3f}"
        return f"{start} without {result.left_out}: held-out {held_out}, {end}"
    if not result.personalised:  # the metric is defined for no vendor
        return f"{start}: {end}"
    value = sum(result.personalised.values()) / len(result.personalised)
    return f"{start}: personalised {value:.3f}, {end}"
