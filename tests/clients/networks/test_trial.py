"""Rules of the trial run: what a network must give, and which sizes of images fit it."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from clients.networks.by_name import named_network
from clients.networks.shapes import Shapes, Size
from clients.networks.trial import size_that_suits, trial, without_memory
from strategies.errors import ConfigurationError

CLASSES = Shapes(2, 1, 4)
VOLUMES = Shapes(3, 1, 2, image_to_image=True)
UNET = {"channels": [4, 8, 8, 8], "strides": [2, 2, 2]}
DYNUNET = {
    "kernel_size": [3, 3, 3],
    "strides": [1, 2, 2],
    "upsample_kernel_size": [2, 2],
    "filters": [4, 8, 8],
}


def named(name: str, arguments: dict[str, Any], shapes: Shapes) -> Any:
    def make(size: Size, device: str) -> nn.Module:
        def plain() -> nn.Module:
            return named_network(
                name,
                arguments,
                shapes.spatial_dims,
                shapes.in_channels,
                shapes.outputs,
                shapes.image_to_image,
                size,
            )

        return without_memory(plain) if device == "meta" else plain()

    return make


def tried(name: str, arguments: dict[str, Any], shapes: Shapes, side: int = 32) -> nn.Module:
    size = (side,) * shapes.spatial_dims
    return trial(name, named(name, arguments, shapes), shapes, size)


def refusal(
    name: str, arguments: dict[str, Any], shapes: Shapes, side: int = 32
) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        tried(name, arguments, shapes, side)
    return caught.value


def test_network_that_fits_comes_back_without_memory() -> None:
    network = tried("UNet", UNET, VOLUMES)
    assert {each.device.type for each in network.parameters()} == {"meta"}
    assert not network.training


def test_large_patches_need_no_memory() -> None:
    tried("UNet", {"channels": [256, 512], "strides": [2]}, VOLUMES, 2048)


@pytest.mark.parametrize("shapes", [CLASSES, VOLUMES])
def test_network_of_the_other_kind_is_refused(shapes: Shapes) -> None:
    name, arguments = ("DenseNet121", {}) if shapes.image_to_image else ("UNet", UNET)
    error = refusal(name, arguments, shapes)
    assert "which gives an output of shape (2, " in error.found
    assert shapes.words in error.expected
    assert str(shapes.answers(2, (32,) * shapes.spatial_dims)) in error.expected


@pytest.mark.parametrize(
    ("name", "arguments", "found"),
    [
        ("BasicUNetPlusPlus", {}, "a list for"),
        ("SegResNetVAE", {}, "a tuple for"),
        ("SegResNetDS", {"dsdepth": 2}, "a list in training for"),
        ("DynUNet", {**DYNUNET, "deep_supervision": True}, "(2, 2, 2, 32, 32, 32) in training for"),
        ("AutoencoderKL", {}, "a tuple for"),
    ],
)
def test_several_outputs_are_refused(name: str, arguments: dict[str, Any], found: str) -> None:
    error = refusal(name, arguments, VOLUMES)
    assert found in error.found
    assert error.expected.startswith("one tensor of shape (2, 2, 32, 32, 32)")


def test_warning_is_an_error() -> None:
    error = refusal("UNet", {**UNET, "strides": [2, 2, 2, 2]}, VOLUMES)
    assert "the last 1 values of strides will not be used" in error.found


@pytest.mark.parametrize(("side", "near"), [(50, 56), (61, 64), (2, 16)])
def test_patch_that_cannot_be_halved_is_refused_with_sizes_that_fit(side: int, near: int) -> None:
    error = refusal("UNet", UNET, VOLUMES, side)
    assert f"images of {side} × {side} × {side}" in error.found
    assert error.expected == (
        f"sides that are multiples of 8, for example {near} × {near} × {near}"
    )
    tried("UNet", UNET, VOLUMES, near)


def test_images_that_are_too_small_are_refused_with_sizes_that_fit() -> None:
    error = refusal("DenseNet121", {}, CLASSES, 16)
    assert "for example 32 × 32" in error.expected


def test_network_that_needs_more_than_images_is_refused() -> None:
    error = refusal("DiffusionModelUNet", {}, VOLUMES)
    assert "timesteps" in error.found
    assert "runs on such images by themselves" in error.expected


def test_network_that_needs_values_to_be_built_is_tried_too() -> None:
    """SwinUNETR calls ``Tensor.item()`` in its constructor."""
    tried("SwinUNETR", {"feature_size": 12}, VOLUMES, 64)
    for side in (32, 50):
        error = refusal("SwinUNETR", {"feature_size": 12}, VOLUMES, side)
        assert "multiples of 32, for example 64 × 64 × 64" in error.expected


class WantsValues(nn.Module):
    """Needs values when it runs; the largest image that it saw stays known."""

    seen: tuple[int, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.sum().item() == 0
        WantsValues.seen = max(WantsValues.seen, tuple(images.shape))
        return self.layer(images).mean((2, 3))


def test_network_that_needs_values_to_run_is_tried_on_the_cpu_on_small_images() -> None:
    before = torch.get_rng_state()
    trial("x", lambda _size, device: WantsValues().to(device), CLASSES, (96, 4096))
    assert WantsValues.seen == (2, 1, 32, 64)
    after = torch.get_rng_state()
    WantsValues()  # draws weights
    assert not torch.equal(torch.get_rng_state(), after)
    assert before.shape == after.shape


def test_trial_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    tried("SwinUNETR", {"feature_size": 12, "drop_rate": 0.5}, VOLUMES, 64)
    tried("DenseNet121", {"dropout_prob": 0.5}, CLASSES)
    assert torch.equal(torch.get_rng_state(), before)


class Warns(nn.Module):
    """Warns in training only."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            warnings.warn("something is odd", stacklevel=1)
        return images.mean((2, 3)).expand(-1, 4)


def test_warning_of_a_run_in_training_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="UserWarning: something is odd"):
        trial("x", lambda *_: Warns(), CLASSES, (8, 8))


def test_missing_package_shows_at_the_first_use() -> None:
    class Needs(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise ImportError("import einops (No module named 'einops').")

    with pytest.raises(ConfigurationError, match=r"srflm-flower\[imaging\]"):
        trial("x", lambda *_: Needs(), CLASSES, (8, 8))


@pytest.mark.parametrize(
    ("name", "arguments", "shapes", "size"),
    [
        ("DenseNet121", {}, CLASSES, (32, 32)),
        ("UNet", UNET, VOLUMES, (32, 32, 32)),
        ("EfficientNetBN", {"model_name": "efficientnet-b0"}, CLASSES, (32, 32)),
    ],
)
def test_size_that_suits_is_the_smallest_tried(
    name: str, arguments: dict[str, Any], shapes: Shapes, size: Size
) -> None:
    assert size_that_suits(name, named(name, arguments, shapes), shapes) == size


def test_where_no_size_suits_the_reason_is_told() -> None:
    make = named("UNet", UNET, CLASSES)
    with pytest.raises(ConfigurationError, match="maps images to classes"):
        size_that_suits("UNet", make, CLASSES)
    assert size_that_suits("UNet", make, CLASSES, otherwise=(7, 7)) == (7, 7)
