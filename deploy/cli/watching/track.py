"""``srflm track``: the figures of a run or a site, for TensorBoard, MLflow, or other programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.tracking.kinds import Kind

if TYPE_CHECKING:
    from deploy.tracking.sink import Sink
    from strategies.protocol.records import TermRecord

    Records = Callable[[], Sequence[TermRecord]]

LOOK_SECONDS = 5.0


def track(
    run: Annotated[Path, typer.Argument(help="a run's folder, or a site's")],
    out: Annotated[
        Path,
        typer.Option(help="folder to write; with jsonl a file; with mlflow a store, old or new"),
    ],
    to: Annotated[Kind, typer.Option(help="the program that is to read it")] = Kind.TENSORBOARD,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="go on with each new term, until the run ends or Ctrl-C"),
    ] = False,
) -> None:
    """Write the figures of all committed terms: metrics, losses, ε, seconds, and bytes by term.

    They are read from the ledger, so nothing of the federation changes. tensorboard and mlflow are
    extras of this package; all write to this machine only. Exit codes: 0 written, 1 not written, 2
    wrong usage. Example: srflm track runs/first --to tensorboard --out tb/first --follow
    """
    from deploy.tracking.choosing import open_sink

    name, records, ended = _of_site(run) if (run / "site.toml").is_file() else _of_run(run)
    records()  # a folder that cannot be read leaves nothing behind
    sink = open_sink(to, out, name)
    try:
        terms = _feed(sink, records, ended if follow else lambda: True)
    finally:
        sink.close()
    typer.echo(f"Written: {out}, {terms} terms")


def _feed(sink: Sink, records: Records, ended: Callable[[], bool]) -> int:
    """Feed each term once, until the run has ended; return the number of terms."""
    from deploy.tracking.sink import feed

    terms, last = 0, False
    try:
        while not last:
            last = ended()  # first: a term that is committed meanwhile is read below
            terms += feed(records()[terms:], sink)
            if not last:
                time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        pass  # the way to end it at a site, which never ends by itself
    return terms


def _of_run(path: Path) -> tuple[str, Records, Callable[[], bool]]:
    from srflm_flower.run.folder import open_run_folder
    from srflm_flower.run.ledger import Ledger

    folder = open_run_folder(path)
    federation = folder.federation()
    ledger = Ledger(folder.ledger, federation.hash)
    return folder.path.name, ledger.records, folder.summary.exists


def _of_site(path: Path) -> tuple[str, Records, Callable[[], bool]]:
    from deploy.processes.private import private_files
    from deploy.site.site_on_disk import site_on_disk

    site = site_on_disk(path.resolve())

    def records() -> Sequence[TermRecord]:
        with private_files():  # a look at the ledger may make files beside it
            return list(site.state.ledger.records())

    return f"{site.federation.name}-{site.vendor}", records, lambda: False
