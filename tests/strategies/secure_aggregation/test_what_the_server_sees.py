"""The server's view: uniform numbers, and one sum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare, ks_2samp

from strategies.protocol.secure_nouns import list_digest
from strategies.secure_aggregation.keys import pair_mask_key, self_mask_key
from strategies.secure_aggregation.masking import add_mask, pair_sign
from strategies.secure_aggregation.quantising import Residues
from tests.support.aggregation import Aggregation

SIZE = 100_000
NEVER = 1e-9
"""A right build fails one of these tests once in a hundred million runs."""


def probability_of_bytes(values: Residues) -> float:
    """Return the p-value (χ²) of the vector's bytes for uniform numbers."""
    return float(chisquare(np.bincount(values.view(np.uint8), minlength=256)).pvalue)


def looks_uniform(values: Residues) -> bool:
    neighbours = values[1:] - values[:-1]
    return min(probability_of_bytes(values), probability_of_bytes(neighbours)) > NEVER


def inputs(count: int, values: tuple[int, ...]) -> dict[str, Residues]:
    return {f"c{n}": np.full(SIZE, values[n], np.uint32) for n in range(count)}


@pytest.mark.parametrize("count", [3, 10])
def test_masked_updates_are_uniform(count: int) -> None:
    plain = inputs(count, tuple(range(count)))
    aggregation = Aggregation(count)
    aggregation.run(plain)
    for vendor, masked in aggregation.masked.items():
        assert not looks_uniform(plain[vendor])
        assert looks_uniform(masked)


def test_update_of_a_survivor_stays_masked_without_its_own_mask() -> None:
    aggregation = Aggregation(3)
    aggregation.run(inputs(3, (1, 2, 3)))
    listed = list_digest(aggregation.context, aggregation.cards)
    for vendor, masked in aggregation.masked.items():
        rest = masked.copy()
        seed = bytes.fromhex(aggregation.notes[vendor].seed)
        add_mask(rest, self_mask_key(seed, listed, vendor), -1)
        assert looks_uniform(rest)


def test_update_that_comes_too_late_stays_masked_though_its_mask_key_is_known() -> None:
    aggregation = Aggregation(4)
    everything = inputs(4, (1, 2, 3, 4))
    aggregation.run(everything, lambda at, vendor: (at, vendor) == ("masked", "c3"))
    aggregation.receive("c3")
    late = everything["c3"].copy()
    aggregation.clients["c3"].mask(aggregation.notes["c3"], late)
    private = bytes.fromhex(aggregation.notes["c3"].mask_private)
    listed = list_digest(aggregation.context, aggregation.cards)
    for card in aggregation.cards:
        if card.vendor != "c3":
            key = pair_mask_key(private, card.mask_key, listed, "c3", card.vendor)
            add_mask(late, key, -pair_sign("c3", card.vendor))  # type: ignore[arg-type]
    assert looks_uniform(late)
    add_mask(late, self_mask_key(bytes.fromhex(aggregation.notes["c3"].seed), listed, "c3"), -1)
    np.testing.assert_array_equal(late, everything["c3"])  # nothing else was in the way


def test_inputs_with_the_same_sum_look_the_same() -> None:
    views = []
    for values in ((0, 0, 300), (100, 100, 100)):
        aggregation = Aggregation(3)
        total = aggregation.run(inputs(3, values))
        assert (total == 300).all()
        views.append(aggregation.masked)
    for vendor in ("c0", "c1", "c2"):
        assert ks_2samp(views[0][vendor], views[1][vendor]).pvalue > NEVER
    for one, other in (("c0", "c1"), ("c0", "c2")):
        for view in views:
            assert looks_uniform(view[one] + view[other])  # pairs tell no more than single ones


def test_same_update_is_masked_anew_in_every_aggregation() -> None:
    first, second = Aggregation(3), Aggregation(3)
    plain = inputs(3, (5, 6, 7))
    first.run(plain)
    second.run(plain)
    for vendor in plain:
        assert looks_uniform(first.masked[vendor] - second.masked[vendor])
