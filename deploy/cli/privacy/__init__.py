"""``srflm privacy``: plan a federation's spending, show a site's, give data up, and attack."""

from __future__ import annotations

import typer

from deploy.cli.privacy import audit, plan, retire, show

app = typer.Typer(no_args_is_help=True, help="Plan, show, and audit what privacy is spent.")
app.command("plan")(plan.plan)
app.command("show")(show.show)
app.command("retire")(retire.retire)
app.command("audit")(audit.audit)
