"""What a site's launcher is told at each start, by a file."""

from __future__ import annotations

from pathlib import Path

from deploy.processes.config import Strict
from strategies.protocol.records import Edition


class LauncherConfig(Strict):
    """The configuration file of ``deploy.serving.launcher``."""

    vendor: str
    first: Edition  # the federation's first edition
    own: Edition  # the edition with which the site runs
    federation: Path  # the federation file; the site's other editions are beside it
    first_ranking: tuple[str, ...]
    ledger: Path
    starts: Path  # beside the keys: the number of the site's starts
    run: Path
    bells: Path
    log: Path
    superlink: str
    notes: Path  # the supervisor's notes about the site's programs
    root_certificate: Path
    bundle: Path
    node_keys: dict[str, Path]  # vendor → OpenSSH public key of its SuperNode at this SuperLink
    ways_out: dict[str, int]  # peer → loopback port of this site's edge that leads to it
    open_timeout: float | None = None  # seconds; None: learnt from the last terms
    commit_timeout: float | None = None
    first_open: float  # seconds, until there is a term to learn the time-outs from
    first_commit: float
