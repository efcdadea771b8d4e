"""Rules of the networks that are built by name as a federation wants them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from clients.networks.build import build_network, initial_network, try_network
from clients.networks.facts import facts_of
from clients.networks.weights import get_weights
from clients.privacy.gradients.guard import check_dp_ready
from clients.privacy.gradients.networks import BATCH_NORMS, make_probe
from clients.privacy.gradients.standardised_convolution import standardise_weights
from clients.settings import ModelSettings
from clients.tasks.settings import ClassificationSettings
from strategies.errors import ConfigurationError
from strategies.weights import hash_weights
from tests.clients.networks.small_networks import ARGUMENTS

TASK = ClassificationSettings()
DENSE_NET = {
    "network": "DenseNet",
    "arguments": {"init_features": 8, "growth_rate": 4, "block_config": [2, 2]},
}


def model(**changes: Any) -> ModelSettings:
    return ModelSettings.model_validate({**DENSE_NET, **changes})


def named(name: str, **changes: Any) -> ModelSettings:
    return ModelSettings.model_validate(
        {"network": name, "arguments": ARGUMENTS.get(name, {}), **changes}
    )


def test_initial_weights_of_a_named_network_follow_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = get_weights(initial_network(model(), TASK, 65))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    same = get_weights(initial_network(model(), TASK, 65, (64, 64)))
    assert torch.equal(torch.get_rng_state(), before)
    other = get_weights(initial_network(model(), TASK, 66))
    assert hash_weights(one) == hash_weights(same) != hash_weights(other)


def test_class_of_monai_has_the_weights_of_the_same_network_under_its_short_name() -> None:
    short = get_weights(initial_network(named("densenet121"), TASK, 65))
    assert hash_weights(get_weights(initial_network(named("DenseNet121"), TASK, 65))) == (
        hash_weights(short)
    )


@pytest.mark.parametrize("name", ["DenseNet", "ResNet", "SENet", "Classifier"])
def test_named_network_is_made_ready_for_differential_privacy(name: str) -> None:
    size = (64, 64)
    network = build_network(named(name, dp_ready=True), TASK, size)
    assert not any(isinstance(each, BATCH_NORMS) for each in network.modules())
    check_dp_ready(network, make_probe((1, *size), torch.device("cpu")))


def test_conversion_keeps_the_weights_that_the_seed_drew() -> None:
    plain = get_weights(initial_network(model(), TASK, 65))
    ready = get_weights(initial_network(model(dp_ready=True), TASK, 65))
    assert set(ready) < set(plain)  # without batch norm's statistics
    assert all((ready[name] == plain[name]).all() for name in ready)


def test_weights_can_be_standardised() -> None:
    network = build_network(model(weight_standardisation=True), TASK)
    expected = build_network(model(), TASK)
    standardise_weights(expected)
    kinds = [type(each) for each in expected.modules()]
    assert [type(each) for each in network.modules()] == kinds


def test_network_without_a_size_is_tried_on_one_that_suits() -> None:
    assert try_network(named("DenseNet121"), TASK, None, 8).size == (32, 32)
    assert try_network(named("DenseNet121"), TASK, (48, 40), 8).size == (48, 40)


@pytest.mark.parametrize("size", [None, (64, 64)])
@pytest.mark.parametrize("name", ["small-cnn", "densenet121", "DenseNet", "Classifier"])
@pytest.mark.parametrize("ready", [False, True])
def test_facts_are_those_of_the_network(
    name: str, size: tuple[int, int] | None, ready: bool
) -> None:
    settings = named(name, dp_ready=ready)
    if name == "Classifier" and size is None:
        with pytest.raises(ConfigurationError, match="one size of images"):
            try_network(settings, TASK, size, 8)
        return
    facts = try_network(settings, TASK, size, 8)
    network = build_network(settings, TASK, size)
    assert facts.parameters == sum(each.numel() for each in network.parameters())
    assert facts.sent == sum(array.nbytes for array in get_weights(network).values())
    assert facts.over_batch == any(isinstance(e, BATCH_NORMS) for e in network.modules())


def test_what_has_two_names_is_counted_once() -> None:
    network = nn.ModuleList([nn.Linear(2, 3)])
    network.append(network[0])
    facts = facts_of(network.to("meta"), (8, 8))
    assert (facts.parameters, facts.sent, facts.over_batch) == (9, 36, False)


def test_batch_of_one_needs_a_network_without_batch_norm() -> None:
    with pytest.raises(ConfigurationError, match="batch-size = 1"):
        try_network(model(), TASK, (64, 64), 1)
    try_network(model(), TASK, (64, 64), 2)
    try_network(model(dp_ready=True), TASK, (64, 64), 1)
    try_network(named("small-cnn"), TASK, (64, 64), 1)  # as it always was


@pytest.mark.parametrize("name", ["UNet", "SegResNet", "dncnn"])
def test_classification_refuses_networks_whose_answers_are_images(name: str) -> None:
    with pytest.raises(ConfigurationError, match="maps images to classes"):
        try_network(named(name), TASK, (64, 64), 8)


def test_four_of_old_are_tried_on_any_size() -> None:
    for name in ("small-cnn", "resnet18", "densenet121", "efficientnet-b0"):
        try_network(named(name), TASK, (28, 31), 8)


@pytest.mark.parametrize(
    "arguments", [{"a": {"b": 1}}, {"a": None}, {"a": float("nan")}, {"a": [1, [{}]]}, {"a": b"x"}]
)
def test_arguments_are_plain_values(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="arrays of these; correct 'a'"):
        model(arguments=arguments)


def test_networks_with_settings_of_their_own_have_no_arguments() -> None:
    with pytest.raises(ValueError, match="expected none with network 'small-cnn'"):
        ModelSettings.model_validate({"arguments": {"width": 3}})
    assert ModelSettings.model_validate({"arguments": {}}) == ModelSettings()


@pytest.mark.parametrize("name", ["", "a b", "x" * 41, "-x", "os/system"])
def test_name_is_a_plain_word(name: str) -> None:
    with pytest.raises(ValueError, match="network"):
        ModelSettings.model_validate({"network": name})
