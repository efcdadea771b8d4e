"""``srflm status``: print a site's state: servers, progress, peers, budget, and problems."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.cli.parts.site_options import HERE, SiteFolder
from deploy.processes.private import private_files

if TYPE_CHECKING:
    from deploy.operating.status import Expiry, SiteStatus


@private_files()
def status(
    folder: SiteFolder = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Show a site, whether it is up or down.

    Example: srflm status site --json
    """
    from deploy.operating.status import site_status
    from deploy.site.site_on_disk import site_on_disk

    found = site_status(site_on_disk(folder.resolve()))
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        show_status(found, Console(highlight=False, soft_wrap=True))


def show_status(found: SiteStatus, console: Console) -> None:
    """Print a status for people."""
    from deploy.identity.checks import ERROR_DAYS
    from srflm_flower.privacy.statement import spent_line

    table = Table(show_header=False, title=f"{found.vendor} ({'up' if found.up else 'down'})")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("federation", f"{found.federation[:12]}, edition {found.edition}")
    table.add_row("roster", escape(found.roster))
    table.add_row("so far", escape(found.what_happened))
    if found.running:
        serving = f"{found.server_now}, attempt {found.attempt}" if found.server_now else "nobody"
        table.add_row("term", f"{found.term}: served by {serving}; phase {found.phase or '—'}")
    else:
        table.add_row("term", "no run under way")
    table.add_row("next server", found.server_next)
    if found.silent is not None:
        table.add_row("[yellow]does not vote[/]", escape(found.silent))
    for yielded in found.yielded:
        table.add_row("[yellow]yields[/]", escape(yielded))
    for contradiction in found.contradictions:
        table.add_row("[red]two histories[/]", escape(contradiction))
    for charge in found.evidence:
        table.add_row("[red]contradicts itself[/]", escape(charge))
    for name, runs in found.programs.items():
        again = found.restarts.get(name, 0)
        note = f", started again {again} ×" if again else ""
        table.add_row(name, ("runs" if runs else "[red]does not run[/]") + note)
    for peer, each in found.peers.items():
        heard = f", its server heard {each.heard:.0f} s ago" if each.heard is not None else ""
        table.add_row(f"peer {peer}", f"{node_in_words(each.node)}{heard}")
    if found.privacy is not None:
        table.add_row("privacy, as reported", spent_line({found.vendor: found.privacy}))
    if found.epsilon_at_home is not None:
        table.add_row("privacy, own ledger", f"ε spent: {found.epsilon_at_home:.2f} at most")
    if found.privacy_ledger is not None:
        table.add_row("privacy ledger", escape(str(found.privacy_ledger)))
    for expiry in found.expiring:
        now = datetime.now(UTC)
        colour = "red" if (expiry.until - now).days <= ERROR_DAYS else "yellow"
        table.add_row(f"[{colour}]{expiry.certificate}[/]", _expiry(expiry, now))
    _add_examination(found, table)
    table.add_row("last problem", escape(_problem(found)))
    console.print(table)
    if found.page is not None:  # below the table, which would break it: it is to be copied
        console.print(f"Page: {escape(found.page)} (`srflm page` prints what opens it)")


def _add_examination(found: SiteStatus, table: Table) -> None:
    """Add the worst lines of the last examination, with its time: they may be mended by now."""
    examined = found.examined
    if examined is None:
        table.add_row("doctor", "never examined: srflm doctor")
        return
    errors, warnings = examined.of("error"), examined.of("warning")
    counts = f"{examined.counted('error')}, {examined.counted('warning')}"
    table.add_row("doctor", f"{counts} on {examined.time:%Y-%m-%d %H:%M} UTC: srflm doctor")
    for line in errors or warnings:
        colour = "red" if errors else "yellow"
        about = f" {line.about}" if line.about else ""
        text = f"{line.code}{about}: {line.finding}; to mend it: {line.mend}"
        table.add_row(f"[{colour}]{line.severity}[/]", escape(text))


NODES = {
    "online": "connected",
    "reachable": "answers, and connects when it is needed",
    "silent": "does not answer: its site, or the way to it, is down",
    "unknown": "not known: this site is down, or its SuperLink does not answer",
}
"""The state of a peer → what it means."""


def node_in_words(node: str) -> str:
    """Return what the state of a peer means."""
    return NODES.get(node, node)


def _problem(found: SiteStatus) -> str:
    if found.last_problem is not None or found.past_problem is None:
        return found.last_problem or "none"
    return f"none since the last term was committed; before it, {found.past_problem}"


def _expiry(found: Expiry, now: datetime) -> str:
    days = (found.until - now).days
    date = f"{found.until:%Y-%m-%d}"
    when = f"expires on {date}, in {days} days" if found.until > now else f"expired on {date}"
    return f"{when}; to renew it: {escape(found.how_to_renew)}"
