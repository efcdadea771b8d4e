"""``srflm simulate``: run a federation on this machine in Flower's simulation engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from deploy.cli.parts.options import FederationFile, Rounds, Seed, chosen_federation
from strategies.errors import ConfigurationError

if TYPE_CHECKING:
    from deploy.cli.parts.progress import Progress
    from srflm_flower.results.summary import RunSummary
    from srflm_flower.run.folder import RunFolder

SITE_LOG_LINES = 3


def simulate(
    federation_file: FederationFile = None,
    out: Annotated[Path | None, typer.Option(help="folder for the results")] = None,
    rounds: Rounds = None,
    seed: Seed = None,
    resume: Annotated[
        Path | None, typer.Option(help="go on with the run in this folder", metavar="RUN")
    ] = None,
    cpus: Annotated[int | None, typer.Option(help="CPUs to use; all by default", min=1)] = None,
) -> None:
    """Run a federation on this machine; exit with 0 only when every round was committed.

    Example: srflm simulate examples/phantom/federation.toml --rounds 3 --out first-run
    """
    from clients.device import gpus_for
    from deploy.cli.parts.progress import Progress
    from deploy.simulation.simulation import simulate as run_simulation
    from srflm_flower.federation.left_over import about_left_over
    from srflm_flower.run.ledger import Ledger

    folder = _folder(federation_file, out, rounds, seed, resume)
    federation = folder.federation()
    records = Ledger(folder.ledger, federation.hash).records()
    progress = Progress(
        federation.roster,
        federation.task.metric,
        federation.run.rounds,
        rounds_done=records[-1].round if records else 0,
    )
    console = Console(highlight=False)
    console.print(f"Run folder: {escape(str(folder.path))}", soft_wrap=True)
    console.print(about_left_over(federation), end="", markup=False, soft_wrap=True)
    try:
        with _display(progress, console) as forward:
            summary = run_simulation(folder, forward, cpus, gpus=gpus_for(federation.run.device))
    except KeyboardInterrupt:
        console.print("Interrupted; everything committed is kept.")
        _print_resume(folder, console)
        raise typer.Exit(130) from None
    show_summary(summary, folder, console)
    if summary.status != "completed":
        _show_site_logs(folder, federation.roster, console)
        raise typer.Exit(1)


def _folder(
    federation_file: Path | None,
    out: Path | None,
    rounds: int | None,
    seed: int | None,
    resume: Path | None,
) -> RunFolder:
    """Return the run's folder, after checks that the run can start."""
    from srflm_flower.federation.preflight import check_before_simulation
    from srflm_flower.run.folder import create_run_folder, open_run_folder

    if resume is None:
        federation = chosen_federation(federation_file, rounds, seed)
        check_before_simulation(federation)  # before the folder is made, to leave no empty one
        return create_run_folder(federation, out, Path("runs"))
    if federation_file or out or rounds or seed is not None:  # 0 is a seed
        raise ConfigurationError(
            "--resume together with a federation file, --out, --rounds, or --seed",
            "--resume alone: the run's folder has all of these",
            f"srflm simulate --resume {resume}",
        )
    folder = open_run_folder(resume)
    federation = folder.federation()
    folder.require_counted(federation)
    check_before_simulation(federation)
    return folder


class _display:  # noqa: N801 — a context manager, used like a function
    """Shows the live table in a terminal, and one line per term elsewhere."""

    def __init__(self, progress: Progress, console: Console) -> None:
        self._progress, self._console = progress, console
        # transient: the summary replaces the live table at the end.
        self._live = Live(progress, console=console, refresh_per_second=4, transient=True)
        self._printed = 0

    def __enter__(self) -> _display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __call__(self, event: dict[str, object]) -> None:
        self._progress.on_event(event)
        for line in self._progress.lines[self._printed :]:
            self._console.print(escape(line), soft_wrap=True)
        self._printed = len(self._progress.lines)

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()


def show_summary(summary: RunSummary, folder: RunFolder, console: Console) -> None:
    """Print the final table, the end of the run in words, and the places of the results."""
    from srflm_flower.privacy.statement import NOT_PRIVATE, spent_line

    table = Table(title=f"{summary.metric} on each vendor's own test split")
    table.add_column("vendor")
    for heading in ("examples", "terms served", "personalised model", "released global model"):
        table.add_column(heading, justify="right")
    for name, vendor in summary.vendors.items():
        table.add_row(
            name,
            "—" if vendor.examples is None else str(vendor.examples),
            str(len(vendor.terms_served)),
            _metric(vendor.personalised, summary.metric),
            _metric(vendor.released, summary.metric),
        )
    table.add_section()
    table.add_row(
        "mean",
        "",
        "",
        _metric(summary.mean_personalised, summary.metric),
        _metric(summary.mean_released, summary.metric),
    )
    console.print(table)
    style = "green" if summary.status == "completed" else "bold red"
    console.print(f"[{style}]{summary.status}[/]: {escape(summary.what_happened)}", soft_wrap=True)
    told = {v: each.privacy for v, each in summary.vendors.items() if each.privacy is not None}
    console.print(spent_line(told) or NOT_PRIVATE, soft_wrap=True)
    console.print(f"Report:  {escape(str(folder.report))}", soft_wrap=True)
    if folder.cases.exists():
        console.print(f"Cases:   {escape(str(folder.cases))}", soft_wrap=True)
    console.print(f"Models:  {escape(str(folder.models))}", soft_wrap=True)
    if summary.status != "completed":
        _print_resume(folder, console)


def _print_resume(folder: RunFolder, console: Console) -> None:
    console.print(f"Resume:  srflm simulate --resume {escape(str(folder.path))}", soft_wrap=True)


def _metric(metrics: dict[str, float], name: str) -> str:
    return f"{metrics[name]:.3f}" if name in metrics else "—"


def _show_site_logs(folder: RunFolder, roster: tuple[str, ...], console: Console) -> None:
    """Print the last lines of the sites' own logs."""
    # Error texts stay in these logs, as they may hold paths and names. In a simulation all sites
    # are the user's own.
    for vendor in roster:
        log = folder.site(vendor) / "site.log"
        if log.exists():
            lines = log.read_text(encoding="utf-8").rstrip().splitlines()[-SITE_LOG_LINES:]
            console.print(f"[bold]{escape(vendor)}[/], from {escape(str(log))}:", soft_wrap=True)
            for line in lines:
                console.print(f"  {escape(line)}", soft_wrap=True)
