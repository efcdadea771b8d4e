"""``srflm report``: the report of a run in the form that its reader needs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strategies.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from srflm_flower.federation.federation import Federation
    from srflm_flower.results.summary import RunSummary
    from strategies.protocol.records import TermRecord

    Told = tuple[Federation, Sequence[TermRecord], RunSummary]


class Form(StrEnum):
    """The form of a report."""

    HTML = "html"
    PDF = "pdf"
    MD = "md"
    JSON = "json"


def report(
    run: Annotated[Path, typer.Argument(help="a run's folder, or a site's")],
    form: Annotated[Form, typer.Option("--format", help="form of the report")] = Form.HTML,
    out: Annotated[
        Path | None,
        typer.Option(help="the file; Markdown and JSON go to standard output without it"),
    ] = None,
) -> None:
    """Write the report of a run: its outcome first, then figures, charts, terms, and settings.

    Of a site's folder it has what the ledger tells, which all members know, and no figures of test
    data: `srflm export` measures those. Example: srflm report runs/first --format md
    """
    from clients.files.durable import write_durably

    told = _of_site(run) if (run / "site.toml").is_file() else _of_run(run)
    content = _written(form, told)
    if out is None and form in (Form.MD, Form.JSON):
        typer.echo(content.decode(), nl=False)
        return
    if out is None:
        raise ConfigurationError(
            f"--format {form.value} without --out",
            "the file to write",
            f"name it: --out report.{form.value}",
        )
    write_durably(out, content, mend="free space, or name another file with --out")
    typer.echo(f"Written: {out}")


def _written(form: Form, told: Told) -> bytes:
    if form is Form.PDF:
        from srflm_flower.report.forms.pdf import report_pdf

        return report_pdf(*told)
    if form is Form.MD:
        from srflm_flower.report.forms.markdown import report_markdown

        return report_markdown(*told).encode()
    if form is Form.JSON:
        from srflm_flower.report.forms.data import report_json

        return report_json(*told).encode()
    from srflm_flower.report.page import report_page

    return report_page(*told).encode()


def _of_run(path: Path) -> Told:
    from srflm_flower.results.summary import summarise
    from srflm_flower.run.folder import open_run_folder
    from srflm_flower.run.ledger import Ledger

    folder = open_run_folder(path)
    federation = folder.federation()
    records = Ledger(folder.ledger, federation.hash).records()
    summary = folder.read_summary()
    if summary is None:  # the run goes on, or was killed
        summary = summarise(federation, records, 0.0, {}, {}, asked=())
    return federation, records, summary


def _of_site(path: Path) -> Told:
    from deploy.processes.private import private_files
    from deploy.site.planned import planned
    from deploy.site.site_on_disk import site_on_disk
    from srflm_flower.results.summary import summarise

    site = site_on_disk(path.resolve())
    with private_files():  # a look at the ledger may make files beside it
        records = list(site.state.ledger.records())
        federation = planned(site, records)
    return federation, records, summarise(federation, records, 0.0, {}, {}, asked=())
