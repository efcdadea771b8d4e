"""Records as features: the same records, whose features are computed once."""

from __future__ import annotations

import pytest
import torch

from clients.data.records import Records
from clients.data.vendor_data import Split, VendorData
from clients.feature_settings import FeatureSettings
from clients.networks.build import initial_network
from clients.networks.features.leaves import dead_leaves
from clients.networks.features.network import FeatureNetwork
from clients.networks.features.once import Once
from clients.networks.features.records import as_features
from clients.settings import ModelSettings
from clients.tasks.settings import ClassificationSettings

IMAGES = dead_leaves(7, 1, 16)
CPU = torch.device("cpu")


def built() -> FeatureNetwork:
    model = ModelSettings(network="linear", features=FeatureSettings(kind="scattering", side=16))
    network = initial_network(model, ClassificationSettings(classes=("a", "b")), 1)
    assert isinstance(network, FeatureNetwork)
    return network


def records(network: FeatureNetwork) -> Records:
    names = tuple(f"record-{n}" for n in range(7))
    split = Split(IMAGES, torch.arange(7) % 2, names, names, frozenset({"old"}))
    return as_features(VendorData(split, split, split), network, CPU).train


def test_records_keep_names_targets_and_order() -> None:
    network = built()
    found = records(network)
    assert len(found) == 7 and found.records[3] == found.patients[3] == "record-3"
    assert found.older == {"old"} and found.classes is not None and found.patch is None
    features, targets = found.on(CPU).batch(torch.tensor([5, 2]), 0)
    assert torch.allclose(features, network.features_of(IMAGES[[5, 2]]), atol=1e-6)
    assert targets.tolist() == [1, 0]
    chosen = found.at(torch.tensor([4]))
    assert chosen.records == ("record-4",) and len(next(chosen.whole()).images) == 1
    empty, none = found.empty()
    assert empty.shape == (0, network.extractor.features) and none.dtype == torch.int64


def test_nothing_is_computed_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = built()
    calls: list[int] = []
    monkeypatch.setattr(network, "features_of", lambda images: calls.append(1) or images)
    found = records(network)
    assert len(found) == 7 and found.records and len(found.empty()[0]) == 0
    assert not calls


def test_each_image_is_computed_once_whatever_it_stands_beside() -> None:
    seen: list[int] = []

    def compute(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return images.flatten(1)[:, :2]

    once = Once()
    first = once.of(IMAGES[[0, 1, 0]], b"one", compute)
    again = once.of(IMAGES[[2, 1]], b"one", compute)
    assert seen == [2, 1]
    assert torch.equal(first[0], first[2]) and torch.equal(first[1], again[1])
    once.of(IMAGES[:1], b"other", compute)
    assert seen == [2, 1, 1]


def test_what_has_no_room_is_computed_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.networks.features.once.MOST_KEPT", 16)
    once = Once()
    for _ in range(2):
        found = once.of(IMAGES, b"one", lambda images: images.flatten(1)[:, :2])
        assert torch.equal(found, IMAGES.flatten(1)[:, :2])
    assert len(once.kept) == 2


def test_equal_bytes_in_another_shape_are_another_image() -> None:
    once, square = Once(), torch.arange(64.0).reshape(1, 1, 8, 8)
    for images in (square, square.reshape(1, 1, 4, 16)):
        assert torch.equal(once.of(images, b"w", _rows), _rows(images))


def _rows(images: torch.Tensor) -> torch.Tensor:
    return images.mean(3).flatten(1)[:, :4]
