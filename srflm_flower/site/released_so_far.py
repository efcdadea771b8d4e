"""The released model of a site, brought up to date as its ledger grows."""

from __future__ import annotations

import json
from dataclasses import asdict

from srflm_flower.results.release import Release, better_of
from srflm_flower.site.ledger import TermLedger

_NOTED = "released"


def released_so_far(ledger: TermLedger, metric: str) -> Release | None:
    """Return the released model of a site's ledger, or None while no term is committed."""
    # The ledger notes the last compared term and its winner, so that each record is read once.
    noted = ledger.fact(_NOTED)
    compared, kept = json.loads(noted) if noted else (0, None)
    best, through = Release(**kept) if kept else None, len(ledger)
    if through > compared:
        best = better_of(best, ledger.records(compared + 1), metric)
        ledger.set_fact(_NOTED, json.dumps((through, asdict(best) if best else None)))
    return best
