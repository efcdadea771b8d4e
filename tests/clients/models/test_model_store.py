"""Rules of the store of models by hash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clients.models.model_store import ModelStore
from strategies.errors import LedgerError
from strategies.weights import Model


def model(value: float) -> Model:
    return Model.of({"w": np.full(4, value, np.float32)})


def test_model_is_found_under_its_hash(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    store.put(model(1))
    assert model(1).hash in store
    found = store.get(model(1).hash)
    assert found == model(1)
    np.testing.assert_array_equal(found.weights["w"], 1)
    assert store.path(found.hash).read_bytes() == found.data


def test_equal_models_are_stored_once(tmp_path: Path) -> None:
    for store in (ModelStore(tmp_path), ModelStore(tmp_path)):
        for _ in range(2):
            store.put(model(1))
    assert len(list(tmp_path.iterdir())) == 1


def test_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="0000… is missing or damaged"):
        ModelStore(tmp_path).get("0" * 64)


@pytest.mark.parametrize("position", [0, 20, -1])
def test_damaged_model_is_never_used(tmp_path: Path, position: int) -> None:
    store = ModelStore(tmp_path)
    store.put(model(1))
    name = model(1).hash
    data = bytearray(store.path(name).read_bytes())
    data[position] ^= 1
    store.path(name).write_bytes(data)
    with pytest.raises(LedgerError, match="damaged"):
        store.get(name)


def test_all_but_the_named_models_are_deleted(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    names = [model(value).hash for value in range(4)]
    for value in range(4):
        store.put(model(value))
    store.keep_only({names[1], names[3], "unknown"})
    assert [name in store for name in names] == [False, True, False, True]
