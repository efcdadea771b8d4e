"""The scattering transform: stable to shifts, no louder than its image, and of the agreed shape."""

from __future__ import annotations

import pytest
import torch

from clients.networks.features.leaves import dead_leaves
from clients.networks.features.scattering import Scattering, filters

IMAGES = dead_leaves(6, 2, 64)


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / one.norm())


@pytest.mark.parametrize(("scales", "angles", "paths"), [(1, 4, 5), (2, 8, 81), (3, 4, 61)])
def test_shape_follows_from_scales_and_angles(scales: int, angles: int, paths: int) -> None:
    transform = Scattering((20, 28), scales, angles)
    step = 2**scales
    found = transform(torch.zeros(3, 2, 20, 28))
    assert found.shape == (3, 2 * paths, -(-20 // step), -(-28 // step))
    assert transform.paths == paths


def test_coefficients_move_less_than_the_image_the_larger_the_scale() -> None:
    shifted = IMAGES.roll(1, 3)
    inside = slice(1, -1)  # roll brings the other border in
    moved = []
    for scales in (1, 2, 3, 4):
        transform = Scattering((64, 64), scales, 4)
        found = transform(IMAGES)[..., inside, inside]
        moved.append(distance(found, transform(shifted)[..., inside, inside]))
        assert distance(found[:1], found[1:2]) > 1  # and still tell images apart
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] < distance(IMAGES, shifted) / 4


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_filters_raise_no_frequency(scales: int) -> None:
    average, wavelets = filters((48, 40), scales, 8)
    power = torch.stack([each.square().sum(0) for each in wavelets]).sum(0)
    total = average.square() + (power + power.flip(0, 1).roll((1, 1), (0, 1))) / 2
    assert 0.95 < float(total.max()) <= 1 + 1e-5
    assert all(float(each[:, 0, 0].abs().max()) < 1e-6 for each in wavelets)  # mean of 0


def test_energy_is_not_raised_and_not_lost() -> None:
    transform = Scattering((64, 64), 3, 8)
    noise = torch.randn(4, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    found = float(transform(noise).square().sum()) * 4**3 / float(noise.square().sum())
    assert 0.5 < found <= 1.0


def test_a_direction_has_channels_of_its_own() -> None:
    bars = torch.zeros(1, 1, 32, 32)
    bars[..., ::3] = 1.0
    first = Scattering((32, 32), 1, 4)(torch.cat([bars, bars.mT]))[:, 1:].mean((2, 3))
    along, across = first[0].argmax(), first[1].argmax()
    assert (across - along) % 4 == 2  # a quarter turn
    assert float(first[0].max()) > 5 * float(first[0].min())


def test_nothing_in_it_is_trained_or_sent() -> None:
    transform = Scattering((16, 16), 2, 4)
    assert not list(transform.parameters()) and not transform.state_dict()
