"""The tables of a comparison as text: Markdown whose columns line up in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from srflm_flower.comparison.result import Method, MethodResult
from srflm_flower.comparison.statistics import MARGIN, Below, Interval, Spread
from srflm_flower.comparison.summary import COLUMNS, summarise, tabulate, titles
from srflm_flower.federation.federation import Federation

NOTHING = "–"


def whole_text(
    federation: Federation, methods: Sequence[Method], results: Sequence[MethodResult]
) -> str:
    """Return all tables of a comparison with a line below each that says how to read it."""
    seeds = len({result.seed for result in results})
    over = f"{seeds} seed{'' if seeds == 1 else 's'}"
    parts = [
        models_table(methods, results),
        f"Test {federation.task.metric}, mean ± standard deviation over {over}; worst vendor:"
        " the lowest\npersonalised metric of a vendor, mean over seeds.\n",
        differences_table(methods, results),
        "Personalised models, pairs of the same seed: mean ± half of the 95 % interval by"
        f" Student's t\nover {over}. below local: vendors of all seeds that are more than"
        f" {MARGIN:g} worse off than alone.\nMB sent and s: megabytes and seconds of a run.\n",
    ]
    held_out = held_out_table(methods, results)
    if held_out:
        parts += [
            held_out,
            "The released global model on the test images of a vendor that took no part: mean over"
            "\nthose vendors, and the worst of them, mean ± standard deviation over seeds.\n",
        ]
    return "\n".join(parts) + spent_note(federation, results)


def models_table(methods: Sequence[Method], results: Sequence[MethodResult]) -> str:
    """Return the table of the models' metrics."""
    table, names = tabulate(methods, results), titles(methods, results)
    summaries = summarise(methods, results)
    first, *others = COLUMNS
    rows = []
    for method, summary in summaries.items():
        row = table[names[method]]
        cells = {c: _plus_minus(row[c]) if c in row else NOTHING for c in COLUMNS}
        lowest = summary.worst_vendor
        rows.append(
            [
                names[method],
                cells[first],
                NOTHING if lowest is None else f"{lowest.mean:.3f}",
                *(cells[column] for column in others),
            ]
        )
    return aligned(["method", first, "worst vendor", *others], rows)


def differences_table(methods: Sequence[Method], results: Sequence[MethodResult]) -> str:
    """Return the table of paired differences and costs."""
    names, summaries = titles(methods, results), summarise(methods, results)
    heads = ["method", "minus fedavg", "minus local", "below local", "MB sent", "s"]
    rows = [
        [
            names[method],
            _interval(summary.minus_fedavg),
            _interval(summary.minus_local),
            _below(summary.below_local),
            f"{summary.bytes_sent / 1e6:.1f}",
            f"{summary.seconds:.1f}",
        ]
        for method, summary in summaries.items()
    ]
    return aligned(heads, rows)


def held_out_table(methods: Sequence[Method], results: Sequence[MethodResult]) -> str:
    """Return the table of vendors that took no part; "" if none was left out."""
    names, summaries = titles(methods, results), summarise(methods, results)
    rows = [
        [names[method], _spread(summary.held_out), _spread(summary.worst_held_out)]
        for method, summary in summaries.items()
        if summary.held_out is not None
    ]
    return aligned(["method", "held-out", "worst held-out"], rows) if rows else ""


def spent_note(federation: Federation, results: Sequence[MethodResult]) -> str:
    """Return a paragraph on the largest ε spent with each method; empty without privacy."""
    most: dict[str, float] = {}
    for result in results:
        if result.epsilon is not None:
            most[result.method] = max(result.epsilon, most.get(result.method, 0.0))
    if not most:
        return ""
    each = ", ".join(f"{method} {value:.3f}" for method, value in most.items())
    privacy = federation.privacy
    return (
        f"\nDifferential privacy of each {privacy.unit}: planned for ε = {privacy.epsilon:g} at δ ="
        f" {privacy.delta:g} for every vendor and method; the largest ε in a vendor's ledger at the"
        f" end: {each}.\n"
    )


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are as wide as their widest cells."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |\n"
        for line in lines
    )


def _plus_minus(cell: tuple[float, float]) -> str:
    return f"{cell[0]:.3f} ± {cell[1]:.3f}"


def _spread(found: Spread | None) -> str:
    return NOTHING if found is None else _plus_minus((found.mean, found.deviation))


def _interval(found: Interval | None) -> str:
    if found is None:
        return NOTHING
    # One seed has no interval, which is no interval of width 0.
    half = "?" if found.high is None else f"{found.high - found.mean:.3f}"
    return f"{found.mean:+.3f} ± {half}"


def _below(found: Below | None) -> str:
    return NOTHING if found is None else f"{found.below} of {found.vendor_seeds}"
