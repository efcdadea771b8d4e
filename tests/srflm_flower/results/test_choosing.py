"""The personalised model: the newest trained at home, unless another is clearly better."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.files.locks import is_held
from clients.settings import ModelSettings
from clients.tasks.settings import ClassificationSettings
from srflm_flower.results.choosing import Candidate, clearly_better, is_better, replaces
from srflm_flower.site.state import Best, SiteState

SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=40)


def candidate(*scores: float, at_home: bool = False) -> Candidate:
    return Candidate({"accuracy": sum(scores) / len(scores)}, scores, at_home)


def of_right(right: int, of: int = 40, at_home: bool = True) -> Candidate:
    """A model that classifies the first ``right`` images rightly."""
    return candidate(*[1.0] * right, *[0.0] * (of - right), at_home=at_home)


# ---- the standard error -------------------------------------------------------------------------


@given(SCORES, st.floats(0, 5))
def test_nothing_is_clearly_better_than_itself(scores: list[float], errors: float) -> None:
    assert not clearly_better(scores, scores, errors)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=40))
def test_not_both_ways_and_less_clear_with_more_errors(pairs: list[tuple[float, float]]) -> None:
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    assert not (clearly_better(one, other, 1) and clearly_better(other, one, 1))
    assert clearly_better(one, other, 1) >= clearly_better(one, other, 2)


def test_standard_error_is_that_of_the_paired_difference() -> None:
    one, other = [1.0] * 5 + [0.0] * 5, [1.0] * 3 + [0.0] * 7
    mean, error = 0.2, math.sqrt(0.2 * 0.8 / 9)  # two of ten differ
    assert clearly_better(one, other, mean / error - 0.01)
    assert not clearly_better(one, other, mean / error + 0.01)


def test_of_one_patient_or_of_other_patients_nothing_is_clear() -> None:
    assert not clearly_better([1.0], [0.0], 0)
    assert not clearly_better([1.0, 1.0], [0.0, 0.0, 0.0], 0)


# ---- the choice ----------------------------------------------------------------------------------


def test_lucky_early_model_gives_way_to_the_newest_trained_at_home() -> None:
    lucky, newest = of_right(33), of_right(31)
    assert replaces(newest, lucky, lucky, "accuracy", 2)
    assert not replaces(newest, lucky, lucky, "accuracy", 0), "0 keeps the best, as in the paper"


def test_model_that_is_clearly_worse_replaces_nothing() -> None:
    good = of_right(36)
    assert not replaces(of_right(12), good, good, "accuracy", 2)


def test_slow_decline_is_seen_beside_the_best() -> None:
    best = kept = of_right(38)
    for right in range(37, 5, -1):
        kept = new if replaces(new := of_right(right), kept, best, "accuracy", 2) else kept
    assert sum(kept.scores) > 30


def test_model_of_the_federation_must_be_clearly_better_than_the_own() -> None:
    own = of_right(30)
    little = of_right(32, at_home=False)
    much = of_right(40, at_home=False)
    assert not replaces(little, own, little, "accuracy", 2)
    assert replaces(much, own, much, "accuracy", 2)


def test_kept_model_that_has_become_clearly_worse_gives_way() -> None:
    poor = of_right(10)
    best = of_right(39, at_home=False)
    assert replaces(of_right(38, at_home=False), poor, best, "accuracy", 2)


@given(st.integers(0, 40), st.integers(0, 40))
def test_without_scores_of_an_older_version_the_metric_decides(new: int, kept: int) -> None:
    old = Candidate({"accuracy": kept / 40})
    found = replaces(of_right(new), old, old, "accuracy", 2)
    assert found == is_better({"accuracy": new / 40}, {"accuracy": kept / 40}, "accuracy")


def test_chance_alone_seldom_makes_one_clearly_better() -> None:
    """Of 2,000 pairs of equally good models about one in forty is clearly better: 2 errors."""
    rng = np.random.default_rng(3)
    pairs = rng.random((2000, 2, 60)) < 0.8
    clear = [
        clearly_better(a.astype(float).tolist(), b.astype(float).tolist(), 2) for a, b in pairs
    ]
    assert 0.01 < np.mean(clear) < 0.05


# ---- on disk -------------------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path) -> SiteState:
    return SiteState(tmp_path, "f" * 64, ModelSettings(), ClassificationSettings())


def best(number: float, measured: Candidate, term: int = 1) -> Best:
    return Best({"w": np.full(2, number, np.float32)}, measured, term, "local")


def test_state_keeps_what_was_chosen_and_how_the_best_was_measured(state: SiteState) -> None:
    state.keep_if_chosen(best(1, of_right(36)), "accuracy", 2)
    state.keep_if_chosen(best(2, of_right(34), term=2), "accuracy", 2)
    kept = state.best()
    assert kept is not None and (kept.term, float(kept.weights["w"][0])) == (2, 2.0)
    # 34 beside 24 would be unclear at each step down; 36 is what counts.
    for term, right in enumerate((31, 29, 27, 25, 23), 3):
        state.keep_if_chosen(best(term, of_right(right), term), "accuracy", 2)
    kept = state.best()
    assert kept is not None and kept.metrics["accuracy"] > 0.75
    assert kept.measured.at_home


def test_model_of_an_older_version_is_read(state: SiteState, tmp_path: Path) -> None:
    from clients.models.model_file import ModelFile

    notes = {"metrics": {"accuracy": 0.5}, "term": 3, "origin": "averaged"}
    weights = {"w": np.zeros(2, np.float32)}
    file = ModelFile(ModelSettings(), ClassificationSettings(), weights, notes)
    file.write(tmp_path / "best.safetensors")
    kept = state.best()
    assert kept is not None and kept.measured == Candidate({"accuracy": 0.5})
    state.keep_if_chosen(best(1, of_right(12)), "accuracy", 2)
    kept = state.best()
    assert kept is not None and kept.term == 3, "the metric decides: 0.3 is below 0.5"
    state.keep_if_chosen(best(2, of_right(30), term=4), "accuracy", 2)
    kept = state.best()
    assert kept is not None and kept.term == 4


def test_after_new_data_the_best_of_other_patients_counts_no_more(state: SiteState) -> None:
    state.keep_if_chosen(best(1, of_right(39)), "accuracy", 2)
    for term, right in enumerate((45, 3), 2):
        state.keep_if_chosen(best(term, of_right(right, 50), term), "accuracy", 2)
    kept = state.best()
    assert kept is not None and kept.term == 2, "3 of 50 is clearly worse than 45"


def test_two_answers_at_once_choose_one_after_the_other(
    state: SiteState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def look(*given: object) -> bool:
        seen.append(is_held(tmp_path / "best.lock"))
        return True

    monkeypatch.setattr("srflm_flower.site.state.replaces", look)
    for number in (1, 2):
        state.keep_if_chosen(best(number, of_right(30)), "accuracy", 2)
    assert seen == [True]
