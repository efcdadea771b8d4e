"""What the program that serves a site's page is told; written by :mod:`deploy.page.starting`."""

from __future__ import annotations

from pathlib import Path

from deploy.processes.config import Strict
from strategies.protocol.records import Edition
from strategies.settings import ElectionSettings


class Files(Strict):
    """The files of a site that its page reads."""

    ledger: Path
    audit: Path
    cases: Path
    doctor: Path
    logs: Path
    edge_logs: Path
    identity: Path
    notes: Path
    """The supervisor's notes: process ids of the site's programs."""
    lock: Path
    """Held while the site is up."""
    training: Path
    """A lock, too: held while the site trains."""


class PrivacyPlan(Strict):
    """The budget on which the members have agreed; ``limit`` is this site's own, if it has one."""

    epsilon: float
    delta: float
    unit: str
    limit: float | None = None


class PageConfig(Strict):
    """The configuration of ``deploy.page.program``.

    ``first`` is the edition of the first term, which goes by ``first_ranking``; ``edition`` is the
    number of the one with which the site runs.  ``phases`` has the phase of each type of message,
    ``in_full`` the description of each phase, ``fields`` what each field of an answer holds, and
    what protects it.
    """

    vendor: str
    name: str
    edition: int
    first: Edition
    first_ranking: tuple[str, ...]
    election: ElectionSettings
    server_terms: int | None
    rounds: int
    metric: str
    metric_title: str
    privacy: PrivacyPlan | None
    phases: dict[str, str]
    in_full: dict[str, str]
    commit: str
    """The type of the message with which a record is committed."""
    fields: dict[str, tuple[str, str]]
    files: Files
    token: Path
    port: int
