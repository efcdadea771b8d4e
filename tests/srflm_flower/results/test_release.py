"""Rules of choosing the global model that is released."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srflm_flower.results.release import candidates, released
from strategies.protocol.records import TermRecord, VendorMetrics
from tests.support.records import make_metrics, make_record


def record(term: int, *pairs: tuple[float, float]) -> TermRecord:
    metrics = {f"v{n}": make_metrics(*pair) for n, pair in enumerate(pairs)}
    return make_record(term, metrics=metrics)


def test_both_models_of_a_term_are_candidates_by_their_mean_over_vendors() -> None:
    averaged, finetuned = candidates(record(3, (0.5, 0.9), (0.7, 0.7)), "accuracy")
    assert (averaged.kind, averaged.model) == ("averaged", "averaged-3")
    assert (finetuned.kind, finetuned.model) == ("finetuned", "model-3")
    assert (averaged.value, finetuned.value) == pytest.approx((0.6, 0.8))


@settings(deadline=None, max_examples=50)
@given(
    values=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6),
)
def test_best_by_validation_is_released_and_the_earliest_of_equals(
    values: list[tuple[float, float]],
) -> None:
    records = [record(term, pair) for term, pair in enumerate(values, start=1)]
    best = released(records, "accuracy")
    flat = [value for pair in values for value in pair]
    place = flat.index(max(flat))
    assert best is not None
    assert best.value == max(flat)
    assert (best.term, best.kind) == (place // 2 + 1, ("averaged", "finetuned")[place % 2])


def test_vendor_without_the_metric_does_not_count() -> None:
    some = make_record(1, metrics={"a": make_metrics(0.5, 0.6), "b": VendorMetrics()})
    assert released([some], "accuracy") == candidates(some, "accuracy")[1]


def test_model_that_nobody_could_evaluate_is_never_preferred() -> None:
    blind = make_record(1, metrics={})
    best = released([blind, record(2, (0.1, 0.0))], "accuracy")
    assert best is not None
    assert (best.term, best.value) == (2, 0.1)


def test_without_any_released_metric_the_latest_model_is_released() -> None:
    best = released([make_record(term, metrics={}) for term in (1, 2, 3)], "accuracy")
    assert best is not None
    assert (best.term, best.kind, best.model, best.vendors) == (3, "finetuned", "model-3", 0)


def test_measured_model_goes_before_later_ones_that_nobody_measured() -> None:
    best = released([record(1, (0.2, 0.1)), make_record(2, metrics={})], "accuracy")
    assert best is not None
    assert (best.term, best.kind) == (1, "averaged")


def test_moving_average_is_released_through_the_last_term() -> None:
    records = [record(1, (0.9, 0.9)), record(2, (0.1, 0.1))]
    best = released(records, "accuracy", moving_average=True)
    assert best is not None
    assert (best.term, best.kind) == (2, "moving-average")
    assert released([], "accuracy", moving_average=True) is None


def test_without_terms_nothing_is_released() -> None:
    assert released([], "accuracy") is None
