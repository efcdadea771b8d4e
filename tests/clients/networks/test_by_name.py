"""Rules of networks by name: names, arguments, and what follows from the task."""

from __future__ import annotations

import functools
import re
import socket
from typing import Any

import pytest
import torch
from monai.networks import nets
from monai.utils import OptionalImportError
from torch import nn

from clients.networks.arguments import is_decided, parameters_of
from clients.networks.by_name import MOST_LETTERS, OWN, named_network, names_of_networks
from clients.networks.dncnn import DnCNN
from strategies.errors import ConfigurationError
from tests.clients.networks.small_networks import ARGUMENTS

SMALL_DENSE_NET = {"init_features": 8, "growth_rate": 4, "block_config": [2, 2]}


def classifier(name: str, arguments: dict[str, Any], size: tuple[int, ...] | None = None) -> Any:
    with torch.device("meta"):
        return named_network(name, arguments, 2, 3, 4, False, size)


def restorer(name: str, arguments: dict[str, Any], dims: int = 3) -> Any:
    with torch.device("meta"):
        return named_network(name, arguments, dims, 1, 1, True, (32,) * dims)


def refusal(name: str, arguments: dict[str, Any], dims: int = 2) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        named_network(name, arguments, dims, 1, 4, False)
    return caught.value


def test_channels_classes_and_dimensions_follow_from_the_task() -> None:
    network = classifier("DenseNet", SMALL_DENSE_NET)
    assert isinstance(network, nets.DenseNet)
    assert network(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 4)


def test_arguments_that_a_class_hands_to_its_base_count_too() -> None:
    assert classifier("SEResNet50", {"dropout_dim": 2, "layers": [1, 1, 1, 1]}) is not None
    found = classifier("DenseNet169", {"act": "prelu"})
    assert any(isinstance(each, nn.PReLU) for each in found.modules())


def test_nested_arrays_reach_the_network() -> None:
    network = restorer("UNet", {"channels": [4, 8], "strides": [[1, 2, 2]]})
    assert {m.stride for m in network.modules() if isinstance(m, nn.Conv3d)} >= {(1, 2, 2)}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Unet", "UNet"),
        ("Densenet121", "DenseNet121"),
        ("seg-res-net", "SegResNet"),
        ("resnet-18", "resnet18"),
        ("dn-cnn", "dncnn"),
    ],
)
def test_unknown_name_is_answered_by_the_nearest(name: str, near: str) -> None:
    assert near in refusal(name, {}).expected


@pytest.mark.parametrize("name", ["", "nothing-like-it", "Module", "Convolution", "resnet50"])
def test_name_that_is_no_class_of_nets_is_refused(name: str) -> None:
    assert "monai.networks.nets" in refusal(name, {}).expected


def test_unknown_argument_is_answered_by_the_nearest() -> None:
    error = refusal("DenseNet121", {"growth-rate": 4})
    assert error.expected == "one of growth_rate"
    assert "growth-rate" in error.found
    assert "dropout_prob" in refusal("DenseNet121", {"zzzzzz": 4}).expected  # all of them


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("DenseNet121", "spatial_dims"),
        ("DenseNet121", "in_channels"),
        ("DenseNet121", "out_channels"),
        ("DenseNet121", "pretrained"),
        ("ResNet", "n_input_channels"),
        ("SENet154", "num_classes"),
        ("Classifier", "in_shape"),
        ("UNETR", "img_size"),
        ("Quicknat", "num_channels"),
        ("HoVerNet", "pretrained_url"),
    ],
)
def test_what_the_task_decides_is_not_given(name: str, argument: str) -> None:
    error = refusal(name, {argument: True})
    assert error.mend == f"remove {argument}"
    assert argument in error.found


def test_missing_argument_is_named_with_its_kind() -> None:
    error = refusal("UNet", {"channels": [4, 8]})
    assert (error.found, error.mend) == ("network 'UNet' without strides", "add strides = …")
    assert "an array" in error.expected


@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        ("init_features", "8", "a whole number"),
        ("init_features", 8.0, "a whole number"),
        ("init_features", True, "a whole number"),
        ("dropout_prob", "0.1", "a number"),
        ("block_config", 4, "an array"),
        ("act", False, "an array or text in quotes"),
    ],
)
def test_argument_of_a_wrong_kind_is_refused(argument: str, value: object, expected: str) -> None:
    error = refusal("DenseNet", {argument: value})
    assert error.expected == expected
    assert argument in error.found


def test_whole_number_is_a_number() -> None:
    classifier("DenseNet", {**SMALL_DENSE_NET, "dropout_prob": 0})


def test_wrong_value_is_refused_in_the_networks_own_words() -> None:
    error = refusal("DenseNet", {**SMALL_DENSE_NET, "norm": "nothing"})
    assert "ValueError: Unsupported option 'NOTHING'" in error.found
    assert error.expected == "arguments that the network accepts"
    error = refusal("EfficientNetBN", {"model_name": "efficientnet-b99"})
    assert "ValueError: invalid model_name efficientnet-b99" in error.found
    assert "\n" not in str(error)


def test_long_errors_are_cut() -> None:
    error = refusal("DenseNet", {**SMALL_DENSE_NET, "act": "x" * 2000})
    assert len(error.found) < MOST_LETTERS + 100


@pytest.mark.parametrize(
    ("name", "argument"), [("NetAdapter", "model"), ("VISTA3D", "image_encoder")]
)
def test_network_that_needs_parts_of_a_program_is_refused(name: str, argument: str) -> None:
    assert argument in refusal(name, {}).found


def test_part_of_a_program_is_no_argument() -> None:
    error = refusal("SwinUNETR", {"norm_layer": "LayerNorm"})
    assert (error.expected, error.mend) == (
        "no value in a file: it is a part of a program",
        "remove norm_layer",
    )


def test_network_for_other_dimensions_is_refused() -> None:
    error = refusal("Quicknat", {}, dims=3)
    assert "for images of 2 dimensions" in error.found
    assert "task.spatial-dims" in error.expected


def test_network_for_one_size_of_images_needs_the_size() -> None:
    assert "data.image-size" in refusal("Classifier", ARGUMENTS["Classifier"]).mend
    assert classifier("Classifier", ARGUMENTS["Classifier"], (32, 48)) is not None


def test_missing_einops_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    @functools.wraps(nets.DenseNet121.__init__)
    def without(*_: object, **__: object) -> None:
        raise OptionalImportError("import einops (No module named 'einops').")

    monkeypatch.setattr(nets.DenseNet121, "__init__", without)
    error = refusal("DenseNet121", {})
    assert "einops" in error.found
    assert "srflm-flower[imaging]" in error.mend


def test_other_missing_package_is_named() -> None:
    error = refusal("TorchVisionFCModel", {})
    assert "torchvision" in error.found
    assert "imaging" not in error.mend


def test_no_constructor_reaches_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a constructor opened a connection")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, forbidden)
    refusals = {}
    for name in names_of_networks():
        try:
            restorer(name, ARGUMENTS.get(name, {}))
        except ConfigurationError as error:
            refusals[name] = str(error)
    assert len(refusals) < len(names_of_networks()) / 2
    assert [name for name, text in refusals.items() if "a connection" in text] == []


def test_dncnn_adds_what_it_predicts_to_its_input() -> None:
    network = named_network("dncnn", {"depth": 4, "width": 8}, 2, 1, 1, True)
    assert isinstance(network, DnCNN)
    images = torch.randn(2, 1, 11, 7)
    assert torch.equal(network(images), images + network.layers(images))
    kinds = [type(each).__name__ for each in network.layers]
    assert kinds == ["Conv2d", "ReLU", "Conv2d", "ReLU", "Conv2d", "ReLU", "Conv2d"]
    normed = named_network("dncnn", {"depth": 3, "norm": "batch"}, 3, 1, 1, True)
    assert [type(each).__name__ for each in normed.layers][2:5] == ["Conv3d", "BatchNorm3d", "ReLU"]


@pytest.mark.parametrize("arguments", [{"depth": 1}, {"width": 0}, {"norm": "layer"}])
def test_dncnn_refuses_wrong_values(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="refuses its arguments: ValueError"):
        named_network("dncnn", arguments, 2, 1, 1, True)


def test_dncnn_is_no_classifier_and_changes_no_channels() -> None:
    assert "maps images to images" in refusal("dncnn", {}).found
    with pytest.raises(ConfigurationError, match="residual is added"):
        named_network("dncnn", {}, 2, 1, 3, True)


def test_no_argument_names_a_file_or_an_address() -> None:
    named = re.compile(r"path|repo|file|url|checkpoint$|ckpt|_dir$")
    # A rate, and whether memory is saved in training.
    harmless = {"dropout_path_rate", "drop_path_rate", "use_checkpoint"}
    found = [
        (name, each)
        for name in set(names_of_networks()) - OWN.keys()
        for each, parameter in parameters_of(getattr(nets, name)).items()
        if named.search(each) and not is_decided(parameter) and each not in harmless
    ]
    assert found == []
    assert "monai.networks.nets" in refusal("Transchex", {}).expected
