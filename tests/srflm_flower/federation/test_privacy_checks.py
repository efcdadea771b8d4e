"""``[privacy]`` of a federation file: what does not fit is named, with the mend."""

from __future__ import annotations

from typing import Any

import pytest

from clients.privacy.accounting.mechanism import Mechanism
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from strategies.eligibility import EligibleFirst
from strategies.errors import ConfigurationError

SIZES = {"a": 1000, "b": 500}


def private(sizes: dict[str, int | None] | None = None, **changes: Any) -> Federation:
    vendors = [{"name": name, "size": size} for name, size in (sizes or SIZES).items()]
    return with_changes(Federation(), vendors=vendors, privacy__unit="record", **changes)


def test_mechanism_of_a_round_is_agreed() -> None:
    federation = private(privacy__client_steps=7)
    assert federation.mechanism("a", "client") == Mechanism(1.0, 0.064, 7)
    assert federation.mechanism("b", "server") == Mechanism(1.0, 0.128, 10)
    assert Federation().mechanism("aster", "client") is None


def test_vendor_may_need_noise_of_its_own() -> None:
    vendors = [{"name": "a", "size": 1000}, {"name": "b", "size": 500, "client_noise": 1.5}]
    federation = with_changes(
        Federation(), vendors=vendors, privacy__unit="record", privacy__server_terms=2
    )
    noises = [federation.mechanism(v, "client").noise_multiplier for v in "ab"]  # type: ignore[union-attr]
    assert noises == [1.0, 1.5]
    assert federation.mechanism("b", "server") == Mechanism(1.0, 0.128, 10)


@pytest.mark.parametrize(
    ("sizes", "changes", "found"),
    [
        ({"a": 1000, "b": None}, {}, "vendors.b.size: found nothing; expected the vendor's"),
        ({"a": 1000, "b": 50}, {}, "privacy.batch-size: found 64, more than the 50 records of b"),
        ({"a": 1000, "b": 64}, {}, "a sample rate of 1"),
        (SIZES, {"privacy__delta": 2e-3}, "privacy.delta: found 0.002, not below 1/500"),
        (SIZES, {"privacy__delta": 1e-3}, "privacy.delta: found 0.001, not below 1/1000"),
        (SIZES, {"privacy__epsilon": 0.0}, "privacy.epsilon: found 0.0; expected"),
        (SIZES, {"privacy__epsilon": -1.0}, "privacy.epsilon: found -1.0; expected"),
        (SIZES, {"privacy__server_terms": 0}, "privacy.server_terms: found 0; expected"),
        (SIZES, {"privacy__noise": 1.0}, "privacy.noise: found an unknown key"),
        (SIZES, {"privacy__random": "system"}, "can be computed from released noise; remove the"),
    ],
)
def test_what_does_not_fit_is_named(
    sizes: dict[str, int | None], changes: dict[str, Any], found: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        private(sizes, **changes)
    assert found in caught.value.found


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {"data": {"source": "npz", "path": "x.npz"}, "privacy__metrics": "exact"},
            'privacy.unit: found "patient" with data.source = "npz"',
        ),
    ],
)
def test_what_does_not_protect_patients_is_named(changes: dict[str, Any], found: str) -> None:
    federation = with_changes(private(privacy__metrics="withheld"), privacy__unit="patient")
    assert federation.privacy.private
    with pytest.raises(ConfigurationError) as caught:
        with_changes(federation, **changes)
    assert found in caught.value.found


def test_data_of_ones_own_are_not_cut_down_in_a_private_federation() -> None:
    """One image more would change which others are taken: no longer one record."""
    own = [{"name": v, "path": f"{v}.npz", "max_examples": 900} for v in "ab"]
    data = {"data": {"source": "files"}}
    assert with_changes(Federation(), vendors=own, **data).vendors[0].max_examples == 900
    sized = [vendor | {"size": 1000} for vendor in own]
    with pytest.raises(ConfigurationError, match=r"vendors.a.max-examples: found 900"):
        with_changes(Federation(), vendors=sized, privacy__unit="record", **data)


@pytest.mark.parametrize("place", ["privacy", "vendor"])
def test_other_noise_as_the_server_needs_a_cap_on_terms(place: str) -> None:
    vendors: list[dict[str, Any]] = [{"name": name, "size": 1000} for name in "ab"]
    changes: dict[str, Any] = {"privacy__unit": "record"}
    if place == "privacy":
        changes["privacy__server_noise"] = 1.5
    else:
        vendors[0]["server_noise"] = 1.5
    with pytest.raises(ConfigurationError, match=r"privacy.server-terms: found none, where a"):
        with_changes(Federation(), vendors=vendors, **changes)
    capped = with_changes(Federation(), vendors=vendors, privacy__server_terms=3, **changes)
    assert capped.server_terms == 3


def test_batch_norm_is_no_problem_as_it_is_converted() -> None:
    assert private(model__norm="batch").privacy.private


def test_server_that_is_fixed_must_be_allowed_all_terms() -> None:
    fixed = {"election__policy": "fixed", "election__server": "a", "run__rounds": 4}
    with pytest.raises(ConfigurationError, match=r"privacy.server-terms: found 3"):
        private(privacy__server_terms=3, **fixed)
    private(privacy__server_terms=4, **fixed)


def test_noise_without_privacy_is_a_mistake() -> None:
    vendors = [{"name": "a", "client_noise": 1.0}, {"name": "b"}]
    with pytest.raises(ConfigurationError, match=r"vendors.a.client-noise: found it"):
        with_changes(Federation(), vendors=vendors)


def test_cap_is_part_of_the_election_of_a_private_federation_only() -> None:
    capped = private(privacy__server_terms=3)
    assert isinstance(capped.election_policy(), EligibleFirst)
    assert capped.term_plan().server_terms == 3
    open_ = with_changes(Federation(), privacy__server_terms=3)
    assert not isinstance(open_.election_policy(), EligibleFirst)
    assert open_.term_plan().server_terms is None


@pytest.mark.parametrize("metrics", ["noisy", "withheld"])
def test_guard_needs_exact_metrics(metrics: str) -> None:
    private(aggregation__guard=0.1, privacy__metrics="exact")
    with pytest.raises(ConfigurationError, match=f"aggregation.guard: found it .*{metrics}"):
        private(aggregation__guard=0.1, privacy__metrics=metrics)


def test_update_level_noise_covers_no_normalisation_that_stays_at_home() -> None:
    with pytest.raises(ConfigurationError, match='normalisation: found "at-home"'):
        with_changes(Federation(), privacy__update_clip=1.0, aggregation__normalisation="at-home")
