"""Rules of the store of models by hash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clients.models.model_store import ModelStore
from strategies.errors import LedgerError
from strategies.weights import Weights, hash_weights


def weights(value: float) -> Weights:
    return {"w": np.full(4, value, np.float32)}


def test_model_is_found_under_its_hash(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    name = store.put(weights(1))
    assert name == hash_weights(weights(1))
    assert name in store
    np.testing.assert_array_equal(store.get(name)["w"], weights(1)["w"])


def test_equal_models_are_stored_once(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    assert store.put(weights(1)) == store.put(weights(1)) == ModelStore(tmp_path).put(weights(1))
    assert len(list(tmp_path.iterdir())) == 1


def test_claimed_name_counts_only_for_what_is_stored(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    assert store.put(weights(1), known_as="0" * 64) == hash_weights(weights(1))
    assert "0" * 64 not in store
    stored = hash_weights(weights(1))
    assert store.put(weights(1), known_as=stored) == stored


def test_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="0000… is missing or damaged"):
        ModelStore(tmp_path).get("0" * 64)


@pytest.mark.parametrize("position", [0, 20, -1])
def test_damaged_model_is_never_used(tmp_path: Path, position: int) -> None:
    store = ModelStore(tmp_path)
    name = store.put(weights(1))
    data = bytearray(store.path(name).read_bytes())
    data[position] ^= 1
    store.path(name).write_bytes(data)
    with pytest.raises(LedgerError, match="damaged"):
        store.get(name)


def test_all_but_the_named_models_are_deleted(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    names = [store.put(weights(value)) for value in range(4)]
    store.keep_only({names[1], names[3], "unknown"})
    assert [name in store for name in names] == [False, True, False, True]
