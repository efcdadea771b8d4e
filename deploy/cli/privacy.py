"""``srflm privacy``: plan a federation's spending, show a site's, give data up, and attack."""

from __future__ import annotations

import typer

from deploy.cli import privacy_audit, privacy_plan, privacy_retire, privacy_show

app = typer.Typer(no_args_is_help=True, help="Plan, show, and audit what privacy is spent.")
app.command("plan")(privacy_plan.plan)
app.command("show")(privacy_show.show)
app.command("retire")(privacy_retire.retire)
app.command("audit")(privacy_audit.audit)
