"""``srflm privacy plan``: find the noise with which a budget lasts for the planned rounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from clients.files.durable import write_durably
from deploy.cli.parts.options import Rounds, chosen_federation

if TYPE_CHECKING:
    from srflm_flower.privacy.plan import FederationPlan


def plan(
    federation_file: Annotated[Path, typer.Argument(help="federation.toml")],
    rounds: Rounds = None,
    server_terms: Annotated[
        int | None, typer.Option(help="most terms that a vendor serves", min=1)
    ] = None,
    epsilon: Annotated[float | None, typer.Option(help="instead of privacy.epsilon")] = None,
    spare: Annotated[int, typer.Option(help="rounds that may be begun and fail", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="a PNG of the trade-off to write")] = None,
    write: Annotated[bool, typer.Option("--write", help="put it into the federation file")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
) -> None:
    """Solve for each vendor's noise, in both roles, and show the resulting ε.

    Example: srflm privacy plan federation.toml --epsilon 8 --write
    """
    from srflm_flower.privacy.plan import plan_federation, write_plan

    console = Console(highlight=False, stderr=as_json)  # whose output is for a program
    federation = chosen_federation(federation_file, rounds)
    with console.status("Solving for the noise"):
        found = plan_federation(federation, epsilon, server_terms, spare)
    if as_json:
        typer.echo(json.dumps(_as_data(found), indent=2))
    else:
        console.print(_table(found, federation.run.rounds, spare))
    # Terms per vendor if all take turns, rounded up. With a lower cap the run ends early, because
    # no vendor is electable any more.
    turns = -(-federation.run.rounds // (federation.rounds_per_term * len(federation.roster)))
    if found.server_terms < turns:
        console.print(
            f"With at most {found.server_terms} terms each the vendors serve"
            f" {found.server_terms * len(federation.roster)} of"
            f" {federation.run.rounds // federation.rounds_per_term} terms: the run ends then."
        )
    if out is not None:
        with console.status("Drawing the trade-off"):
            _draw(found, out)
        console.print(f"Wrote {out.resolve()}", soft_wrap=True)
    if write:
        # The noise is part of the federation's hash, so that all sites must have the same.
        write_plan(federation_file, found)
        console.print(
            f"Wrote the plan into {federation_file}."
            " It is another federation now: every site needs this file.",
            soft_wrap=True,
        )


def _table(plan: FederationPlan, rounds: int, spare: int) -> Table:
    table = Table(
        title=f"ε ≤ {plan.epsilon:g} at δ = {plan.delta:g} over {rounds} rounds"
        + (f" and {spare} that fail" if spare else "")
        + f", at most {plan.server_terms} terms as the server",
        caption=f"ε for one {plan.unit} added or removed, if all of it is done; σ is the noise over"
        " the clipping bound",
    )
    for heading in ("vendor", "size", "batch", "rate q", "σ client", "σ server", "ε"):
        table.add_column(heading, justify="left" if heading == "vendor" else "right")
    for vendor, each in plan.plans.items():
        table.add_row(
            vendor,
            str(each.schedule.size),
            str(each.schedule.batch_size),
            f"{each.schedule.sample_rate:.4f}",
            f"{each.client_noise:g}",
            f"{each.server_noise:g}",
            f"{each.epsilon:.3f}",
        )
    return table


def _as_data(plan: FederationPlan) -> dict[str, object]:
    """Return what the table says."""
    vendors = {
        vendor: {
            "size": each.schedule.size,
            "batch": each.schedule.batch_size,
            "rate": each.schedule.sample_rate,
            "client-noise": each.client_noise,
            "server-noise": each.server_noise,
            "epsilon": each.epsilon,
        }
        for vendor, each in plan.plans.items()
    }
    return {
        "epsilon": plan.epsilon,
        "delta": plan.delta,
        "unit": plan.unit,
        "server-terms": plan.server_terms,
        "vendors": vendors,
    }


def _draw(plan: FederationPlan, out: Path) -> None:
    from srflm_flower.report.figures_privacy import trade_off_figure
    from srflm_flower.report.rendering import png_of
    from srflm_flower.report.trade_off import trade_off

    write_durably(out, png_of(trade_off_figure(trade_off(plan))))
