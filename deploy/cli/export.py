"""``srflm export``: write a deployed site's models, ledger, and report to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy.cli.parts.site_options import HERE, SiteFolder
from strategies.errors import ConfigurationError

if TYPE_CHECKING:
    from deploy.site.package import Package
    from srflm_flower.package.about import AboutSettings


def export(
    folder: SiteFolder = HERE,
    out: Annotated[Path, typer.Option(help="where to write")] = Path("export"),
    bundle: Annotated[
        Path | None,
        typer.Option(help="write the released model into this new folder too, as a MONAI bundle"),
    ] = None,
    about: Annotated[
        Path | None,
        typer.Option(help="TOML file with intended use, limits, licence, requester, and project"),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="with --bundle: a model file of a run, in place of a site's"),
    ] = None,
) -> None:
    """Write global.safetensors, personalised.safetensors, ledger.jsonl, report.html, and a package.

    The figures are of this site's own test images; none of it leaves the site. Pictures of some of
    its validation cases are written into the site's state folder, and not into the export. With
    --model and --bundle, only the bundle is written.

    The package is to be handed on: the released model, its model card, the ledger with all
    signatures, and an RO-Crate, signed by this site. It is a folder and a .zip file of the same
    content; `srflm verify` checks either on any machine.

    Example: srflm export site --out results --about about.toml
    """
    if model is not None:
        _export_model(model, bundle)
        return
    from deploy.site.deployed_site import site_at
    from deploy.site.export import export_site
    from srflm_flower.package.about import read_about

    stated = read_about(about) if about is not None else None
    site = site_at(folder.resolve())
    export = export_site(site, out, bundle, stated)
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
            "personalised: trained at this site, at the end without noise, so no ε covers it: keep"
            " personalised.safetensors, and do not hand it on"
        )
    if export.advice is not None:
        from srflm_flower.results.advice import advice_line

        console.print(escape(advice_line(site.vendor, export.advice)))
    if export.pictures is not None:
        console.print(escape(f"Pictures of cases, for this site only: {export.pictures}"))
    if export.package is not None:
        _show_package(export.package, stated, console)
    console.print(escape(f"Written: {out}" + (f", {bundle}" if bundle is not None else "")))


def _show_package(package: Package, stated: AboutSettings | None, console: Console) -> None:
    """Print where the package is, and what only people can add to it."""
    from srflm_flower.package.about import AboutSettings
    from srflm_flower.package.crate import missing_for_profile

    card = package.card
    console.print(escape(f"Outcome: {card.outcome}"))
    console.print(escape(f"To hand on: {package.archive}, also as the folder {package.folder}"))
    console.print(f"Federation {card.identity}: tell it to those who verify, with the file")
    if stated is None:
        console.print("Its card says that nobody has stated an intended use: --about FILE does")
    missing = missing_for_profile(stated or AboutSettings())
    if missing:
        console.print(
            "It does not claim the Five Safes profile, which needs from --about:"
            f" {', '.join(missing)}"
        )


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
