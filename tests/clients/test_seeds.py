"""Rules of derived seeds."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from clients.seeds import derive_seed


@given(seed=st.integers(), words=st.lists(st.text() | st.integers()))
def test_seed_is_a_pure_function_in_63_bits(seed: int, words: list[object]) -> None:
    assert derive_seed(seed, *words) == derive_seed(seed, *words)
    assert 0 <= derive_seed(seed, *words) < 2**63


def test_seed_is_the_documented_hash() -> None:
    digest = hashlib.sha256(b"srflm:65:train:aster:client:3").digest()
    expected = int.from_bytes(digest[:8], "big") // 2
    assert derive_seed(65, "train", "aster", "client", 3) == expected == 2615901204122187805


def test_different_purposes_have_different_seeds() -> None:
    purposes = [(s, w, n) for s in (1, 2) for w in ("train", "data") for n in range(50)]
    assert len({derive_seed(*purpose) for purpose in purposes}) == len(purposes)
