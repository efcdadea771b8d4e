"""ε of a history: never below the truth, close to it, and never less after more uses."""

from __future__ import annotations

import math
import random
import warnings

import pytest
from dp_accounting.pld import PLDAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.privacy.accounting.accounting import (
    check_mechanism,
    check_size,
    epsilon,
    epsilon_upper,
    event_of,
    merged,
    within,
)
from clients.privacy.accounting.mechanism import Mechanism
from strategies.errors import PrivacyError

DELTA = 1e-5
FINEST = 5e-5
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 24))]

mechanisms = st.builds(
    Mechanism,
    st.sampled_from([1.7, 4.0]),
    st.sampled_from([0.01, 0.3, 1.0]),
    st.sampled_from([1, 20]),
)


def mixed_history(seed: int) -> list[Mechanism]:
    """Return a vendor's life: rounds in both roles, in any order, and released metrics."""
    rng = random.Random(seed)
    client = Mechanism(rng.uniform(0.9, 5), rng.uniform(0.01, 0.2), rng.randint(1, 20))
    server = Mechanism(rng.uniform(0.9, 5), rng.uniform(0.01, 0.3), rng.randint(1, 40))
    metrics = Mechanism(rng.uniform(15, 40), 1.0, 1)
    return rng.choices([client, server, metrics], weights=[6, 3, 1], k=rng.randint(1, 40))


def google(history: list[Mechanism], bins: float) -> float:
    accountant = PLDAccountant(value_discretization_interval=bins)
    accountant.compose(event_of(history))
    return float(accountant.get_epsilon(DELTA))


@pytest.mark.parametrize("seed", SEEDS)
def test_figure_is_googles_and_never_below_it(seed: int) -> None:
    history = mixed_history(seed)
    found, truth = epsilon(history, DELTA), google(history, FINEST)
    assert truth <= found <= truth + max(0.01 * truth, 0.02)
    assert found <= epsilon_upper(history, DELTA)


@pytest.mark.parametrize("seed", SEEDS)
def test_figure_agrees_with_opacus(seed: int) -> None:
    """An implementation of other people, by another numerical method (PRV: Gopi et al., 2021)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from opacus.accountants import PRVAccountant, RDPAccountant
    history = mixed_history(seed)
    prv, rdp = PRVAccountant(), RDPAccountant()
    prv.history = rdp.history = [
        (m.noise_multiplier, m.sample_rate, m.steps) for m in merged(history)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Opacus: its optimal order is the largest it tried
        other, guard = prv.get_epsilon(DELTA), rdp.get_epsilon(DELTA)
    found = epsilon(history, DELTA)
    assert abs(found - other) <= max(0.01 * other, 0.02)
    assert found <= guard + 1e-9


@given(st.lists(mechanisms, max_size=1), mechanisms)
@settings(max_examples=8, deadline=None)
def test_more_uses_never_cost_less(history: list[Mechanism], more: Mechanism) -> None:
    before, after = epsilon(history, DELTA), epsilon([*history, more], DELTA)
    assert after >= before - 1e-9
    assert epsilon_upper([*history, more], DELTA) >= epsilon_upper(history, DELTA) - 1e-9


@given(st.lists(mechanisms, min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_order_and_grouping_do_not_matter(history: list[Mechanism], rng: random.Random) -> None:
    split = [
        Mechanism(m.noise_multiplier, m.sample_rate, 1) for m in history for _ in range(m.steps)
    ]
    rng.shuffle(split)
    assert merged(split) == merged(history)
    assert merged(merged(history)) == merged(history)


@given(st.lists(mechanisms, max_size=1), st.floats(0.01, 30))
@settings(max_examples=8, deadline=None)
def test_budget_is_kept_exactly_when_the_figure_is_within_it(
    history: list[Mechanism], limit: float
) -> None:
    assert within(history, DELTA, limit) == (epsilon(history, DELTA) <= limit)


def test_nothing_done_is_nothing_spent() -> None:
    assert epsilon([], DELTA) == epsilon_upper([], DELTA) == 0
    assert within([], DELTA, 1e-9)


def test_one_gaussian_release_is_as_in_the_literature() -> None:
    """Balle and Wang (ICML 2018): σ = 3.7304 gives ε = 1 at δ = 10⁻⁵."""
    assert epsilon([Mechanism(3.7304, 1.0, 1)], DELTA) == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("mechanism", [Mechanism(0.02, 1.0, 5), Mechanism(0.3, 0.9, 1000)])
def test_budget_far_beyond_all_reason_is_still_a_number(mechanism: Mechanism) -> None:
    found = epsilon([mechanism], DELTA)
    assert 1000 < found < math.inf
    assert not within([mechanism], DELTA, 100)


def test_a_thousand_rounds_are_quick_as_they_are_merged() -> None:
    rounds = [Mechanism(4.0, 0.01, 5), Mechanism(4.0, 0.02, 1)] * 1000
    assert merged(rounds) == (Mechanism(4.0, 0.01, 5000), Mechanism(4.0, 0.02, 1000))
    assert epsilon(rounds, DELTA) == pytest.approx(0.896, abs=0.002)


@pytest.mark.parametrize(
    "wrong",
    [
        Mechanism(0.0, 0.1, 1),
        Mechanism(-1.0, 0.1, 1),
        Mechanism(math.inf, 0.1, 1),
        Mechanism(math.nan, 0.1, 1),
        Mechanism(1.0, 0.0, 1),
        Mechanism(1.0, 1.5, 1),
        Mechanism(1.0, math.nan, 1),
        Mechanism(1.0, 0.1, 0),
        Mechanism(1.0, 0.1, -3),
    ],
)
def test_what_is_no_mechanism_is_refused(wrong: Mechanism) -> None:
    for account in (epsilon, epsilon_upper):
        with pytest.raises(PrivacyError) as caught:
            account([wrong], DELTA)
        assert caught.value.code == PrivacyError.SETTINGS


def test_training_with_all_records_in_every_step_is_refused() -> None:
    release = Mechanism(20.0, 1.0, 1)
    check_mechanism(release)
    with pytest.raises(PrivacyError, match="sample rate of 1"):
        check_mechanism(release, trains=True)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_delta_that_is_no_probability_is_refused(delta: float) -> None:
    with pytest.raises(PrivacyError, match="δ = "):
        epsilon([], delta)


@pytest.mark.parametrize(
    ("batch", "size", "delta", "found"),
    [
        (64, 40, 1e-5, "a batch of 64 for 40 records"),
        (64, 64, 1e-5, "a batch of 64 for 64 records"),
        (64, 1000, 1e-3, "δ = 0.001 for 1000 records"),
        (64, 1000, 0.5, "δ = 0.5"),
        (64, 1000, 0.0, "δ = 0"),
    ],
)
def test_batch_and_delta_must_fit_the_data(batch: int, size: int, delta: float, found: str) -> None:
    check_size(63, 64, 1 / 65)
    with pytest.raises(PrivacyError, match=found):
        check_size(batch, size, delta)
