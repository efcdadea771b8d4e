"""The report as JSON, for programs: the outcome, the summary, and every term."""

from __future__ import annotations

import json
from collections.abc import Sequence

from srflm_flower.federation.federation import Federation
from srflm_flower.report.page import heading_of
from srflm_flower.results.outcome import elected_in, outcome_of
from srflm_flower.results.summary import RunSummary
from strategies.protocol.records import TermRecord


def report_json(federation: Federation, records: Sequence[TermRecord], summary: RunSummary) -> str:
    """Return the report as JSON; signatures are left out, as nothing is verified by it."""
    outcome, elected = outcome_of(federation, records), elected_in(federation, records)
    tree = {
        "schema_version": 1,
        "outcome": {
            "heading": heading_of(federation, records, summary),
            "sentence": outcome.sentence,
            "terms_done": outcome.done,
            "terms_planned": outcome.planned,
            "missed": outcome.missed,
            "stood_in": outcome.stood_in,
        },
        "summary": summary.model_dump(mode="json"),
        "terms": [
            {
                **record.model_dump(mode="json", exclude={"signed", "recovery", "roster_change"}),
                "hash": record.hash,
                "elected": elected[record.term],
            }
            for record in records
        ],
    }
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
