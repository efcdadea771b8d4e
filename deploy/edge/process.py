"""End an earlier edge, then start a new one.

``python -P -m deploy.edge.process PREFIX IDENTITY VENDOR COMMAND …``

nginx is one process, which ends with its parent. Elsewhere than on Linux it does not, and in older
versions it had a worker that lived on and kept the port. Both are found by their open log files
under the prefix.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import psutil

from clients.files.durable import write_durably
from deploy.processes.family import kill_all
from deploy.processes.private import keep_private
from strategies.errors import SrflmError

WAIT_SECONDS = 5.0
SHOWN: Final = "site.crt"
"""The certificate that the edge shows, under its prefix, where the roster has site keys."""
PASSES = 5  # a master that lost its workers starts new ones, so the search is repeated


def end_edge(prefix: Path) -> None:
    """End every nginx process of ``prefix``."""
    for _ in range(PASSES):
        left = [each for each in psutil.process_iter(["name"]) if _is_of(each, prefix)]
        if not left:
            return
        kill_all(left, WAIT_SECONDS)


def _is_of(process: psutil.Process, prefix: Path) -> bool:
    try:
        if process.name() != "nginx" or process.status() == psutil.STATUS_ZOMBIE:
            return False
        start = f"{prefix.absolute()}/"
        return any(file.path.startswith(start) for file in process.open_files())
    except (psutil.Error, OSError):
        return False


def show_installed(prefix: Path, identity: Path, vendor: str) -> None:
    """Make the certificate that the edge shows anew, if another one was installed since.

    One that is gone, or cannot be shown, is left alone: a site that shows a good certificate must
    not stop for a file that somebody has put there, or taken away, by mistake.
    """
    shown, installed = prefix / SHOWN, identity / "site.crt"
    # Without it the edge shows the installed certificate itself: a federation without site keys.
    if not shown.exists() or not installed.exists():
        return
    if shown.stat().st_mtime_ns > installed.stat().st_mtime_ns:
        return
    from deploy.identity.pins import shown_certificate  # takes long to import, and is seldom needed

    try:
        write_durably(shown, shown_certificate(identity, vendor))
    except (SrflmError, ValueError) as error:
        print(f"the installed certificate is not shown: {error}", file=sys.stderr, flush=True)


def main() -> None:
    """End an earlier edge, then become the command."""
    keep_private()
    prefix, identity, vendor, program, *words = sys.argv[1:]
    end_edge(Path(prefix))
    show_installed(Path(prefix), Path(identity), vendor)
    # exec keeps the process id, by which the supervisor knows the edge.
    os.execv(program, [program, *words])


if __name__ == "__main__":
    main()
