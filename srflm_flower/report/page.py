"""The report as one self-contained HTML page: same input, same bytes; nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clients.files.durable import write_durably
from srflm_flower.federation.federation import Federation
from srflm_flower.privacy.statement import NOT_PRIVATE
from srflm_flower.report.markup import Html, element, joined, scrolling
from srflm_flower.report.privacy import privacy_section
from srflm_flower.report.style_sheet import STYLE_SHEET
from srflm_flower.report.tables import (
    all_metrics_table,
    codes_table,
    costs_table,
    results_table,
    settings_table,
    terms_table,
)
from srflm_flower.report.wording import meaning_of, metric_in_full, model_in_full, number
from srflm_flower.results.release import released
from srflm_flower.results.summary import RunSummary
from strategies.protocol.records import TermRecord

if TYPE_CHECKING:
    from srflm_flower.report.figures import Illustration


def write_report(
    path: Path, federation: Federation, records: Sequence[TermRecord], summary: RunSummary
) -> None:
    """Write the report of a run, complete or cut short, to ``path``.

    Raises :class:`RunFolderError` when it cannot be written.
    """
    write_durably(path, report_page(federation, records, summary).encode())


def report_page(federation: Federation, records: Sequence[TermRecord], summary: RunSummary) -> str:
    """Return the page."""
    from srflm_flower.report.figures import illustrations  # matplotlib takes a second to import

    title = f"Report of the federation {summary.name}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE_SHEET)),
    )
    main = element(
        "main",
        _header(title, federation, records, summary),
        _results(federation, records, summary),
        _course(illustrations(federation, records, summary)),
        privacy_section(federation, records),
        _terms(records, summary),
        _costs(records),
        _settings(federation, summary),
    )
    return f'<!DOCTYPE html>\n<html lang="en">{head}{element("body", main)}</html>\n'


def _header(
    title: str, federation: Federation, records: Sequence[TermRecord], summary: RunSummary
) -> Html:
    return element(
        "header",
        element("p", "Server-rotating federated learning", class_="kicker"),
        element("h1", title),
        _status(summary),
        _facts(federation, summary),
        _release(records, summary),
        *([] if federation.privacy.private else [element("p", element("strong", NOT_PRIVATE))]),
    )


def _status(summary: RunSummary) -> Html:
    what = element("p", f"{summary.what_happened}.", class_="what")
    if summary.status == "completed":
        return element("div", element("strong", "Completed"), what, class_="status")
    resume = element(
        "p",
        f"{meaning_of(summary.code)} Resume with ",
        element("code", "srflm simulate --resume <folder>"),
        ", where <folder> is the folder that holds this page.",
    )
    heading = element("strong", f"Stopped early, code {summary.code}")
    return element("div", heading, what, resume, class_="status stopped")


def _facts(federation: Federation, summary: RunSummary) -> Html:
    metric = metric_in_full(summary.metric)
    served = sum(vendor in summary.servers for vendor in federation.roster)
    facts = {
        "Rounds done": f"{summary.rounds} of {summary.rounds_planned}",
        "Vendors that have served": f"{served} of {len(federation.roster)}",
        f"{metric}, personalised models (mean over vendors, test)": number(
            summary.mean_personalised.get(summary.metric)
        ),
        f"{metric}, released global model (mean over vendors, test)": number(
            summary.mean_released.get(summary.metric)
        ),
    }
    return element(
        "dl",
        *(element("div", element("dt", k), element("dd", v)) for k, v in facts.items()),
        class_="facts",
    )


def _release(records: Sequence[TermRecord], summary: RunSummary) -> Html:
    if summary.released_term is None or summary.released_kind is None:
        return element("p", "No global model has been released: no term was committed.")
    which = f"{model_in_full(summary.released_kind)} of term {summary.released_term}"
    text = f"The released global model is the {which}"
    best = released(records, summary.metric, summary.released_kind == "moving-average")
    reason: tuple[str, ...] = (".",)
    if best is not None and number(best.value) != number(None):
        metric = metric_in_full(summary.metric).lower()
        reason = (
            f", the one with the highest mean {metric} on the vendors' validation data"
            f" ({number(best.value)}); its hash begins with ",
            element("code", best.model[:12]),
            ".",
        )
    return element("p", text, *reason)


def _results(federation: Federation, records: Sequence[TermRecord], summary: RunSummary) -> Html:
    metrics = [m for v in summary.vendors.values() for m in (v.personalised, v.released) if m]
    parts = [element("h2", "Results"), results_table(federation, summary)]
    if not metrics:
        parts.append(element("p", "The models have not been tested: the run did not get there."))
        return element("section", *parts)
    parts.append(element("p", _how_to_read_results(summary), class_="note"))
    tables = [all_metrics_table(federation, summary, w) for w in ("personalised", "released")]
    parts.append(element("details", element("summary", "All metrics"), *tables))
    return element("section", *parts)


def _how_to_read_results(summary: RunSummary) -> str:
    text = (
        "The personalised model is the one that did best on the vendor's own validation data; the"
        " released global model is the same for all. Neither was chosen on the test data."
    )
    if not any(vendor.personalised for vendor in summary.vendors.values()):
        text += " The personalised models, and how well they do, stayed at the vendors."
    pooled = summary.pooled_released.get(summary.metric)
    if pooled is not None:
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


def _course(drawn: Sequence[Illustration]) -> Html:
    if not drawn:
        nothing = element("p", "No term was committed, so there is nothing to draw.")
        return element("section", element("h2", "Course of the run"), nothing)
    return element("section", *(_figure(each) for each in drawn))


def _figure(drawn: Illustration) -> Html:
    return joined(
        element("h2", drawn.title),
        element(
            "figure",
            scrolling(drawn.title, Html(drawn.svg)),
            element("figcaption", drawn.how_to_read),
        ),
    )


def _terms(records: Sequence[TermRecord], summary: RunSummary) -> Html:
    if not records:
        return Html("")
    codes = sorted({a.code for r in records for a in r.absences} | {summary.code} - {""})
    note = (
        "Metrics are means over the vendors on their validation data. Attempt 0 is the elected"
        " server; a higher attempt means that another vendor stood in for it or that the run was"
        " restarted. Clients are those whose models were averaged, with the server's own last"
        " update where it says so. The model is the fine-tuned one, by the beginning of its hash."
    )
    return element(
        "section",
        element("h2", "Terms"),
        element(
            "details",
            element("summary", f"All {len(records)} committed terms"),
            element("p", note, class_="note"),
            terms_table(records, summary.metric),
            *([codes_table(codes)] if codes else []),
        ),
    )


def _costs(records: Sequence[TermRecord]) -> Html:
    if not any(record.cost for record in records):
        return Html("")
    return element("section", element("h2", "Time and traffic"), costs_table(records))


def _settings(federation: Federation, summary: RunSummary) -> Html:
    return element(
        "section",
        element("h2", "Settings"),
        settings_table(federation, summary),
        element("p", "All settings are in ", element("code", "federation.toml"), "."),
    )
