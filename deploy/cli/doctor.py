"""``srflm doctor``: say whether a site is fit to take part, and what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from deploy.cli.parts.site_options import HERE, SiteFolder
from deploy.processes.private import private_files

if TYPE_CHECKING:
    from deploy.site.diagnosis import Diagnosis, Line, Severity

MARKS: dict[Severity, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "bold yellow"),
    "error": ("✗", "bold red"),
}
INDENT = "  "


def doctor(
    folder: SiteFolder = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    html: Annotated[
        Path | None, typer.Option(help="a page to write, for an IT ticket: no paths, no names")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="measure no speed, and do not read large data")
    ] = False,
) -> None:
    """Examine a site, up or down: each line is in order, a warning, or an error with its mend.

    Looks at files, keys, certificates, versions, disk, memory, ports, peers, clocks, data, network
    and privacy. Exit codes: 0 all in order, 1 warnings, 2 errors. Example: srflm doctor site --html
    ticket.html
    """
    from deploy.doctor.examination import examine

    console = Console(highlight=False)
    with private_files(), Console(stderr=True).status("Examining the site"):
        found = examine(folder, quick)
    if html is not None:
        from deploy.doctor.page import write_page

        write_page(html, found)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        show_diagnosis(found, console)
        if html is not None:
            console.print(f"Wrote {html.resolve()}", soft_wrap=True)
    raise typer.Exit(found.exit_code)


def show_diagnosis(found: Diagnosis, console: Console) -> None:
    """Print a result for people, the worst last, where the eye is."""
    for severity in ("ok", "warning", "error"):
        show_lines(found.of(severity), console)
    console.print(in_short(found), soft_wrap=True)


def show_lines(lines: tuple[Line, ...], console: Console) -> None:
    """Print lines for people, each with its mend and with what only the site may see."""
    for (_, about), line in _together(lines).items():
        mark, style = MARKS[line.severity]
        # Text, not markup: names and paths may have "[…]" in them.
        text = Text.assemble((mark, style), " ", (line.code, "bold"))
        text.append(f" {about}" if about else "").append(f": {line.finding}")
        if line.severity != "ok" and line.at_home:
            text.append(f"\n{INDENT}{line.at_home}", "dim")
        if line.mend:
            text.append(f"\n{INDENT}").append("to mend it: ", "bold").append(line.mend)
        console.print(text, soft_wrap=True)


def _together(lines: tuple[Line, ...]) -> dict[tuple[str, str], Line]:
    """Return the lines by code and what they are about; equal ones, about several, become one."""
    about: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        about.setdefault((line.code, line.finding, line.at_home), []).append(line)
    return {
        (same[0].code, ", ".join(each.about for each in same)): same[0] for same in about.values()
    }


def in_short(found: Diagnosis) -> str:
    """Return the counts of a result in one sentence."""
    counts = f"{found.counted('error')}, {found.counted('warning')}, {len(found.of('ok'))} in order"
    quick = " (quick examination)" if found.quick else ""
    return f"{found.vendor or 'this site'}: {counts}{quick}."
