"""One committed term in one line, for terminals and logs."""

from __future__ import annotations

from srflm_flower.privacy.statement import spent_line
from srflm_flower.results.summary import mean_over_vendors
from strategies.protocol.records import TermRecord


def term_line(record: TermRecord, metric: str) -> str:
    """Return who served, the mean metric of each kind of model, and who was absent."""
    means = []
    for kind, title in (
        ("averaged", "averaged"),
        ("finetuned", "fine-tuned"),
        ("personalised", "personalised"),
    ):
        mean = mean_over_vendors([getattr(each, kind) for each in record.metrics.values()])
        if metric in mean:
            means.append(f"{title} {mean[metric]:.3f}")
    spent = spent_line(record.privacy)
    absent = sorted({absence.vendor for absence in record.absences})
    return (
        f"term {record.term}: server {record.server}; mean {metric}: {', '.join(means) or '—'}"
        + (f"; absent: {', '.join(absent)}" if absent else "")
        + (f"; {spent}" if spent else "")
    )
