"""The report as one self-contained HTML page: same input, same bytes; nothing is fetched.

The templates and the style sheet beside this file (``*.md``) determine its layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clients.files.durable import write_durably
from clients.files.templates import templates
from srflm_flower.federation.federation import Federation
from srflm_flower.privacy.statement import NOT_PRIVATE, exclusions, promise
from srflm_flower.privacy.update_level import update_level_statement
from srflm_flower.report.pictures import NO_PICTURES, Pictures, as_url
from srflm_flower.report.privacy import spent_table
from srflm_flower.report.tables import (
    all_metrics_table,
    codes_table,
    costs_table,
    results_table,
    settings_table,
    terms_table,
)
from srflm_flower.report.wording import NOTHING, meaning_of, metric_in_full, model_in_full, number
from srflm_flower.results.advice import advice_line
from srflm_flower.results.outcome import outcome_of
from srflm_flower.results.release import Release, released
from srflm_flower.results.summary import RunSummary, vendors_with
from strategies.protocol.records import TermRecord

if TYPE_CHECKING:
    from jinja2 import Environment


def write_report(
    path: Path,
    federation: Federation,
    records: Sequence[TermRecord],
    summary: RunSummary,
    pictures: Pictures = NO_PICTURES,
) -> None:
    """Write the report of a run, complete or cut short, to ``path``.

    ``pictures`` are of vendors' cases: only for a report of which all readers may see the data.
    Raises :class:`RunFolderError` when it cannot be written.
    """
    write_durably(path, report_page(federation, records, summary, pictures).encode())


def write_cases(path: Path, federation: Federation, pictures: Pictures) -> None:
    """Write a page with pictures alone, which only its owner can read.

    Raises :class:`RunFolderError` when it cannot be written.
    """
    template = _environment().get_template("cases.html.j2.md")
    page = template.render(federation=federation, pictures=pictures)
    write_durably(path, page.encode(), private=True)


def report_page(
    federation: Federation,
    records: Sequence[TermRecord],
    summary: RunSummary,
    pictures: Pictures = NO_PICTURES,
) -> str:
    """Return the report as HTML."""
    from srflm_flower.report.figures import illustrations

    return (
        _environment()
        .get_template("report.html.j2.md")
        .render(
            figures=illustrations(federation, records, summary),
            pictures=pictures,
            **_texts(federation, records, summary),
            **_tables(federation, records, summary),
        )
    )


def _environment() -> Environment:
    return templates(
        Path(__file__).parent,
        html=True,
        number=number,
        meaning=meaning_of,
        model=model_in_full,
        url=as_url,
    )


def _texts(
    federation: Federation, records: Sequence[TermRecord], summary: RunSummary
) -> Mapping[str, object]:
    metric = metric_in_full(summary.metric)
    return {
        "federation": federation,
        "records": records,
        "summary": summary,
        "metric": metric,
        "outcome": outcome_of(federation, records),
        "heading": heading_of(federation, records, summary),
        "measured": measured_by(summary),
        "served": sum(vendor in summary.servers for vendor in federation.roster),
        "best": _best(records, summary),
        "not_private": NOT_PRIVATE,
        "tested": any(v.personalised or v.released for v in summary.vendors.values()),
        "advice": [
            advice_line(vendor, each.advice)
            for vendor, each in summary.vendors.items()
            if each.advice is not None
        ],
        "how_to_read_results": _how_to_read_results(summary),
        "promise": promise(federation),
        "exclusions": exclusions(federation),
        "about_updates": update_level_statement(federation, records),
    }


def _tables(
    federation: Federation, records: Sequence[TermRecord], summary: RunSummary
) -> Mapping[str, object]:
    codes = sorted({a.code for r in records for a in r.absences} | {summary.code} - {""})
    return {
        "results": results_table(federation, summary),
        "all_metrics": [
            all_metrics_table(federation, summary, which) for which in ("personalised", "released")
        ],
        "privacy_spent": spent_table(federation, records),
        "terms": terms_table(records, summary.metric),
        "codes": codes_table(codes),
        "costs": costs_table(records),
        "settings": settings_table(federation, summary),
    }


def heading_of(federation: Federation, records: Sequence[TermRecord], summary: RunSummary) -> str:
    """Return how the run ended, in a few words that promise no more than its outcome does."""
    outcome = outcome_of(federation, records)
    if summary.status == "stopped":
        return f"Stopped early, code {summary.code}"
    if outcome.done < outcome.planned:
        return "Not all planned terms are done"
    return "Completed" if outcome.whole else "Completed, but not all vendors took part in all terms"


def measured_by(summary: RunSummary) -> str:
    """Return whose test data the figures in the summary are of."""
    having = vendors_with(summary)
    return f"test data of {having[0]} alone" if len(having) == 1 else "mean over vendors, test"


def _best(records: Sequence[TermRecord], summary: RunSummary) -> Release | None:
    """Return the released model, if there is one with a finite mean metric."""
    if summary.released_kind is None:
        return None
    best = released(records, summary.metric, summary.released_kind == "moving-average")
    return best if best is not None and number(best.value) != NOTHING else None


def _how_to_read_results(summary: RunSummary) -> str:
    text = (
        "The personalised model was chosen on the vendor's own validation data; the"
        " released global model is the same for all. Neither was chosen on the test data."
    )
    if not any(vendor.personalised for vendor in summary.vendors.values()):
        text += " The personalised models, and how well they do, stayed at the vendors."
    pooled = summary.pooled_released.get(summary.metric)
    if pooled is not None and len(vendors_with(summary)) > 1:
        name = metric_in_full(summary.metric).lower()
        text += f" On all vendors' test examples together the released model's {name} is"
        text += f" {number(pooled)}."
    sizes = [
        metrics["examples"]
        for vendor in summary.vendors.values()
        for metrics in (vendor.personalised, vendor.released)
        if metrics.get("examples", 0) > 0
    ]
    if summary.metric == "accuracy" and sizes:
        text += (
            f" The smallest test split has {number(min(sizes), 0)} examples: one example more or"
            f" less changes its accuracy by {number(1 / min(sizes))}."
        )
    return text
