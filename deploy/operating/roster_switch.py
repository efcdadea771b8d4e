"""Restart a site with the edition now in force: ``python -P -m deploy.operating.roster_switch
SITE``.

The supervisor becomes this program when its launcher tells it that the roster has changed; ledger
and state stay, all programs are configured again and restarted.  A site whose vendor has left ends.
"""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.operating.control import prepare, supervise_here
from deploy.processes.private import keep_private
from strategies.errors import DeploymentError, SrflmError


def main() -> None:
    """Take up the edition in force, then become the supervisor again."""
    keep_private()
    try:
        config = prepare(Path(sys.argv[1]))
    except SrflmError as error:
        has_left = error.code == DeploymentError.LEFT
        print(error.found if has_left else error, flush=True)
        sys.exit(0 if has_left else 1)
    supervise_here(config)


if __name__ == "__main__":
    main()
