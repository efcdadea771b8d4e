"""The tables of a comparison: they fit a terminal, and say what was measured."""

from __future__ import annotations

from srflm_flower.comparison.methods import METHODS, Method, MethodResult
from srflm_flower.comparison.summary import summarise, tabulate
from srflm_flower.comparison.tables import held_out_table, models_table, whole_text
from srflm_flower.federation.federation import Federation


def result(
    method: Method,
    seed: int,
    value: float,
    left_out: str | None = None,
    epsilon: float | None = None,
) -> MethodResult:
    own = {"a": value, "b": value - 0.1}
    return MethodResult(
        method=method,
        seed=seed,
        steps=9,
        personalised=own,
        global_own=None if method == "local" else own,
        global_all=None if method == "local" else value,
        epsilon=epsilon,
        bytes_sent=123_400_000,
        seconds=1234.56,
        left_out=left_out,
        held_out=None if left_out is None else value,
    )


def results() -> list[MethodResult]:
    values = {method: 0.5 + number / 50 for number, method in enumerate(METHODS)}
    whole = [
        result(method, seed, value + seed / 100)
        for method, value in values.items()
        for seed in (1, 2)
    ]
    return [*whole, result("srflm", 1, 0.4, "a"), result("srflm", 1, 0.2, "b")]


def test_tables_fit_a_terminal_of_100_characters() -> None:
    private = [each.model_copy(update={"epsilon": 8.0}) for each in results()[:-4]]
    for found in (results(), [*private, *results()[-4:]]):
        lines = whole_text(Federation(), METHODS, found).splitlines()
        assert max(len(line) for line in lines if "differential" not in line.lower()) <= 100
        rows = [line for line in lines if line.startswith("|")]
        assert len({len(row) for row in rows[:14]}) == 1, "columns line up"


def test_runs_without_a_vendor_count_only_as_held_out() -> None:
    found = results()
    assert tabulate(METHODS, found) == tabulate(METHODS, found[:-2])
    summary = summarise(METHODS, found)["srflm"]
    assert summary.held_out is not None and summary.worst_held_out is not None
    assert (summary.held_out.mean, summary.worst_held_out.mean) == (0.30000000000000004, 0.2)
    assert "held-out" in held_out_table(METHODS, found)
    assert held_out_table(METHODS, found[:-2]) == ""
    assert summarise(METHODS, found)["fedavg"].held_out is None


def test_method_is_not_compared_with_itself_nor_with_what_did_not_run() -> None:
    found = summarise(METHODS, results())
    assert found["fedavg"].minus_fedavg is None and found["fedavg"].minus_local is not None
    assert found["local"].minus_local is None and found["local"].below_local is None
    alone = summarise(["srflm"], results())["srflm"]
    assert alone.minus_fedavg is None and alone.below_local is None
    assert "srflm" in models_table(["srflm"], results())


def test_worst_vendor_and_costs_are_means_over_seeds() -> None:
    summary = summarise(["srflm"], [result("srflm", 1, 0.6), result("srflm", 2, 0.8)])["srflm"]
    assert summary.worst_vendor is not None
    assert round(summary.worst_vendor.mean, 9) == 0.6
    assert summary.bytes_sent == 123_400_000


def test_single_seed_has_no_interval() -> None:
    found = [result("srflm", 1, 0.6), result("fedavg", 1, 0.5)]
    assert "+0.100 ± ?" in whole_text(Federation(), ["srflm", "fedavg"], found)
