"""``srflm export``: write a deployed site's models, ledger, and report to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy.cli.site_options import HERE, SiteFolder
from strategies.errors import ConfigurationError


def export(
    folder: SiteFolder = HERE,
    out: Annotated[Path, typer.Option(help="where to write")] = Path("export"),
    bundle: Annotated[
        Path | None,
        typer.Option(help="write the released model into this new folder too, as a MONAI bundle"),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="with --bundle: a model file of a run, in place of a site's"),
    ] = None,
) -> None:
    """Write global.safetensors, personalised.safetensors, ledger.jsonl, and report.html.

    The figures are of this site's own test images; none of it leaves the site. Pictures of some of
    its validation cases are written into the site's state folder, and not into the export. With
    --model and --bundle, only the bundle is written.
    """
    if model is not None:
        _export_model(model, bundle)
        return
    from deploy.site.deployed_site import site_at
    from deploy.site.export import export_site

    site = site_at(folder.resolve())
    export = export_site(site, out, bundle)
    metric, console = site.federation.task.metric, Console(highlight=False, soft_wrap=True)
    for name, metrics in export.test.items():
        value = metrics.get(metric)  # missing if undefined, such as AUC with one class in the test
        figure = "undefined" if value is None else f"{value:.3f}"
        console.print(f"{name}: {metric} {figure} on this site's test images")
    # The release is chosen from the metrics in the ledger; with no metrics told, the latest model.
    release = export.release
    console.print(
        f"global: the moving average of the models that this site has seen, through term"
        f" {release.term}"
        if release.kind == "moving-average"
        else f"global: the {release.kind} model of term {release.term}, the best by validation"
        if release.vendors
        else f"global: the {release.kind} model of term {release.term}, the latest: no vendor has"
        " released metrics"
    )
    if not export.has_release:
        console.print("It is not at this site, which missed that term: export it at another one.")
    if export.noiseless:
        console.print(
            "personalised: trained at this site alone and without noise, so no ε covers it: keep"
            " personalised.safetensors, and do not hand it on"
        )
    if export.advice is not None:
        from srflm_flower.results.advice import advice_line

        console.print(escape(advice_line(site.vendor, export.advice)))
    if export.pictures is not None:
        console.print(escape(f"Pictures of cases, for this site only: {export.pictures}"))
    console.print(escape(f"Written: {out}" + (f", {bundle}" if bundle is not None else "")))


def _export_model(model: Path, bundle: Path | None) -> None:
    """Write one model file as a bundle."""
    from srflm_flower.run.bundle import bundle_of_run

    if bundle is None:
        raise ConfigurationError(
            "--model without --bundle",
            "the folder into which the bundle is written",
            "name a new folder with --bundle",
        )
    record = bundle_of_run(model, bundle)
    if not record.vendors:
        typer.echo("The file lies in no run's folder: the bundle tells nothing of its run.")
    typer.echo(f"Written: {bundle}")
