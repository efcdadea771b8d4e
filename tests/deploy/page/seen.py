"""Snapshots of made-up sites, for the tests of what the page says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.page.config import PageConfig
from deploy.page.history import Term
from deploy.page.snapshot import Snapshot
from deploy.page.watching import Watcher
from tests.deploy.page.watched import NOW, Federation, WatchedSite

ROSTER = ("a", "b", "c", "d")


def seen_at(folder: Path, terms: int, **fields: Any) -> tuple[PageConfig, Snapshot]:
    """Return the configuration and the snapshot of a site with so many terms."""
    federation = Federation(ROSTER, private=bool(fields.pop("private", False)))
    federation.add(terms, **fields)
    config = WatchedSite(folder / "site", federation).config()
    return config, replace(Watcher(config, lambda: NOW).look_at_all(), up=True)


def term(number: int, **fields: Any) -> Term:
    """Return a term with metrics of ``a`` alone."""
    plain: dict[str, Any] = {
        "term": number,
        "round": number,
        "attempt": 0,
        "server": "a",
        "present": ROSTER,
        "clients": ("b",),
        "lost": (),
        "absences": (),
        "hash": "0" * 64,
        "model": "",
        "values": {"a": {"averaged": 0.5, "finetuned": 0.6}},
        "seconds": {},
        "sent": 0,
        "received": 0,
        "signers": ROSTER,
        "ended": "",
    }
    return Term(**(plain | fields))


def opened(seen: Snapshot, *events: dict[str, Any], **fields: Any) -> Snapshot:
    """Return a snapshot in which attempt 0 at the open term is granted."""
    whole = {"term": seen.term, "attempt": 0, "outcome": "done"}
    audit = tuple(whole | each for each in events)
    return replace(seen, **({"attempt": 0, "rounds_ordered": 100, "audit": audit} | fields))
