"""``srflm down``: stop a site's programs, without loss of committed terms or promises."""

from __future__ import annotations

from rich.console import Console

from deploy.cli.parts.site_options import HERE, SiteFolder
from deploy.processes.private import private_files


@private_files()
def down(folder: SiteFolder = HERE) -> None:
    """Stop a site that is up.

    Example: srflm down site
    """
    from deploy.operating.running import bring_down

    console = Console(highlight=False, soft_wrap=True)
    console.print("Down." if bring_down(folder) else "It was not up.")
