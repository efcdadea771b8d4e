"""Rules of a network's weights as they travel."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from monai.networks.nets import DynUNet
from torch import nn

from clients.networks.build import initial_network
from clients.networks.weights import get_weights, set_weights
from clients.settings import ModelSettings, Network
from clients.tasks.settings import ClassificationSettings
from strategies.weights import hash_weights

NETWORKS = get_args(Network)
TASK = ClassificationSettings()


def model(network: str) -> ModelSettings:
    return ModelSettings.model_validate({"network": network})


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_round_trip_and_integer_buffers_do_not_travel(name: str) -> None:
    source = initial_network(model(name), TASK, 1)
    with torch.no_grad():
        for tensor in source.state_dict().values():
            tensor.add_(1)
    weights = get_weights(source)
    assert all(array.dtype == np.float32 for array in weights.values())
    assert not any(key.endswith("num_batches_tracked") for key in weights)
    target = initial_network(model(name), TASK, 2)
    set_weights(target, weights)
    assert hash_weights(get_weights(target)) == hash_weights(weights)
    counters = {k: v for k, v in target.state_dict().items() if not v.is_floating_point()}
    assert counters
    assert all(int(counter) == 0 for counter in counters.values())


def test_what_has_two_names_travels_once_and_arrives_under_both() -> None:
    """DynUNet names every layer twice: 679,059 numbers of its state are 339,555."""
    torch.manual_seed(1)
    sent, received = (
        DynUNet(3, 1, 3, (3, 3, 3), (1, 2, 2), (2, 2), filters=(16, 32, 64)) for _ in range(2)
    )
    weights = get_weights(sent)
    parameters = sum(each.numel() for each in sent.parameters())
    assert sum(array.size for array in weights.values()) == parameters
    assert sum(each.numel() for each in sent.state_dict().values()) > 1.9 * parameters
    set_weights(received, weights)
    state, expected = received.state_dict(), sent.state_dict()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    with pytest.raises(KeyError, match="differ"):
        set_weights(received, {name: array.numpy() for name, array in expected.items()})


def test_parts_of_one_storage_and_empty_tensors_travel_under_their_own_names() -> None:
    network = nn.Module()
    both = torch.arange(6.0)
    for name, tensor in (("a", both[:3]), ("b", both[3:]), ("c", torch.empty(0)), ("d", both[:0])):
        network.register_buffer(name, tensor)
    assert list(get_weights(network)) == ["a", "b", "c", "d"]


def test_weights_are_copies() -> None:
    network = initial_network(model("small-cnn"), TASK, 1)
    before = get_weights(network)
    kept = hash_weights(before)
    set_weights(network, {name: array + 1 for name, array in before.items()})
    assert hash_weights(before) == kept
    after = get_weights(network)
    next(iter(after.values()))[:] = 99
    assert hash_weights(get_weights(network)) != hash_weights(after)


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_weights_with_wrong_names_are_refused(change: str) -> None:
    network = initial_network(model("small-cnn"), TASK, 1)
    weights = get_weights(network)
    array = weights.pop("classifier.bias")
    if change == "unknown":
        weights |= {"classifier.bias": array, "classifier.extra": array}
    with pytest.raises(KeyError, match=r"classifier\.(bias|extra)"):
        set_weights(network, weights)
