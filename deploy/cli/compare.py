"""``srflm compare``: train with SRFLM and with its baselines, and print a table of results."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy.cli.options import FederationFile, Rounds, chosen_federation
from strategies.errors import ConfigurationError

ALL_METHODS = "srflm,fedavg,fedprox,cyclic,fixed-server,local,pooled"


def compare(
    federation_file: FederationFile = None,
    methods: Annotated[str, typer.Option(help="which, separated by commas")] = ALL_METHODS,
    seeds: Annotated[int, typer.Option(help="how many, from the federation's seed up", min=1)] = 3,
    rounds: Rounds = None,
    out: Annotated[Path | None, typer.Option(help="folder for the results")] = None,
    cpus: Annotated[
        int | None, typer.Option(help="runs at a time; all CPUs by default", min=1)
    ] = None,
    proximal_mu: Annotated[float, typer.Option(help="FedProx's μ", min=0.0)] = 0.1,
    attack: Annotated[
        str | None, typer.Option(help="sign-flip, label-flip, scaled, or backdoor")
    ] = None,
    attackers: Annotated[
        int, typer.Option(help="how many vendors lie, the last of the roster", min=1)
    ] = 1,
) -> None:
    """Compare methods with the same model, data, partition, and number of gradient steps.

    In a private federation each method gets the noise that it needs for the same ε; ``pooled`` is
    not private, and the table says so.

    With ``--attack``, some vendors lie as clients and as servers, and SRFLM with each rule of the
    average, with the guard if the file has one, and FedAvg are compared with themselves without
    the attack. Give the same --out again to go on after an interruption.
    """
    from deploy.simulation.attacked import chosen_attack, compare_attacked
    from srflm_flower.comparison import compare as comparison
    from srflm_flower.comparison.methods import METHODS, MethodResult
    from srflm_flower.federation.left_over import about_left_over
    from srflm_flower.federation.preflight import check_before_simulation

    names = [name.strip() for name in methods.split(",") if name.strip()]
    chosen = [method for method in METHODS if method in names]  # in the table's usual order
    unknown = [name for name in names if name not in METHODS]
    if unknown or not chosen:
        raise ConfigurationError(
            f"methods {', '.join(unknown) or '(none)'}",
            f"some of {', '.join(METHODS)}",
            "correct --methods",
        )
    federation = chosen_federation(federation_file, rounds)
    lie = chosen_attack(federation, attack, attackers) if attack is not None else None
    check_before_simulation(federation)
    workers = cpus or os.cpu_count() or 1
    base = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-compare-{federation.name}"
    folder = (out or base).resolve()  # absolute, because the runs are other processes
    console = Console(highlight=False)
    console.print(about_left_over(federation), end="", markup=False, soft_wrap=True)

    def show(result: MethodResult) -> None:
        value = sum(result.personalised.values()) / len(result.personalised)
        console.print(
            f"{result.method}, seed {result.seed}: personalised {value:.3f}, {result.steps} steps"
        )

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
        )
    except KeyboardInterrupt:
        console.print(f"Interrupted; what is done lies in {escape(str(folder))}", soft_wrap=True)
        raise typer.Exit(130) from None
    table = comparison.as_markdown(comparison.tabulate(chosen, results))
    console.print(table + comparison.spent_note(federation, results), soft_wrap=True)
    console.print(f"Results: {escape(str(folder))}", soft_wrap=True)
