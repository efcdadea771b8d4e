"""From the results of all runs to the statistics of each method."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from srflm_flower.comparison.result import Method, MethodResult
from srflm_flower.comparison.statistics import (
    Column,
    Summary,
    below,
    over_vendors,
    paired_difference,
    spread,
    worst,
)

COLUMNS = ("personalised", "global on own test", "global on all test")
Table = dict[str, dict[str, tuple[float, float]]]
"""method → column → (mean, standard deviation) over the seeds."""


def tabulate(methods: Sequence[Method], results: Sequence[MethodResult]) -> Table:
    """Return mean and standard deviation over the seeds, for the columns that a method has.

    Runs without one of the vendors do not count here.
    """
    table: Table = {}
    names = titles(methods, results)
    for method in methods:
        mine = whole_runs(method, results)
        table[names[method]] = {
            column: (mean(values), stdev(values) if len(values) > 1 else 0.0)
            for column in COLUMNS
            if (values := [v for r in mine if (v := _value(r, column)) is not None])
        }
    return table


def titles(methods: Sequence[Method], results: Sequence[MethodResult]) -> dict[Method, str]:
    """Return the methods' names; if any is private, those of the others say that they are not."""
    private = any(result.epsilon is not None for result in results)
    found: dict[Method, str] = {}
    for method in methods:
        mine = whole_runs(method, results)
        public = private and mine and all(result.epsilon is None for result in mine)
        found[method] = f"{method} (not private)" if public else method
    return found


def summarise(methods: Sequence[Method], results: Sequence[MethodResult]) -> dict[Method, Summary]:
    """Return the statistics of each method that has results."""
    columns = {method: personalised(method, results) for method in methods}
    fedavg, local = columns.get("fedavg", {}), columns.get("local", {})
    found = {}
    for method in methods:
        mine, runs = columns[method], whole_runs(method, results)
        if not runs:
            continue
        held_out = held_out_by_vendor(method, results)
        found[method] = Summary(
            personalised=spread(over_vendors(mine)),
            worst_vendor=spread(worst(mine)),
            # A method minus itself is no finding.
            minus_fedavg=None if method == "fedavg" else paired_difference(mine, fedavg),
            minus_local=None if method == "local" else paired_difference(mine, local),
            below_local=None if method == "local" else below(mine, local),
            held_out=spread(over_vendors(held_out)),
            worst_held_out=spread(worst(held_out)),
            bytes_sent=mean(run.bytes_sent for run in runs),
            seconds=mean(run.seconds for run in runs),
        )
    return found


def whole_runs(method: Method, results: Sequence[MethodResult]) -> list[MethodResult]:
    """Return the method's runs with all vendors."""
    return [each for each in results if each.method == method and each.left_out is None]


def personalised(method: Method, results: Sequence[MethodResult]) -> Column:
    """Return the metrics of the vendors' personalised models by seed."""
    return {each.seed: each.personalised for each in whole_runs(method, results)}


def held_out_by_vendor(method: Method, results: Sequence[MethodResult]) -> Column:
    """Return the metric of each vendor that was left out, by seed."""
    found: dict[int, dict[str, float]] = {}
    for each in results:
        if each.method == method and each.left_out is not None and each.held_out is not None:
            found.setdefault(each.seed, {})[each.left_out] = each.held_out
    return found


def _value(result: MethodResult, column: str) -> float | None:
    if column == "personalised":
        return mean(result.personalised.values()) if result.personalised else None
    if column == "global on own test":
        return mean(result.global_own.values()) if result.global_own else None
    return result.global_all
