"""Arguments that the commands for a site share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SiteFolder = Annotated[
    Path, typer.Argument(help="the site's folder, with its site.toml", show_default=".")
]
HERE = Path()
