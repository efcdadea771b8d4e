"""The weights with which all begin may come from a file: the agreed one, and of this network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.numpy import save

from clients.models.model_file import ModelFile, load_model
from clients.networks.build import initial_network
from clients.networks.weights import get_weights
from clients.settings import InitialWeights, ModelSettings
from clients.tasks.settings import SegmentationSettings
from strategies.errors import ConfigurationError
from strategies.weights import Weights

TASK = SegmentationSettings(kind="segmentation", classes=("background", "organ"))
UNET = ModelSettings(network="UNet", arguments={"channels": [4, 8], "strides": [2]})


def weights(seed: int = 7) -> Weights:
    return get_weights(initial_network(UNET, TASK, seed))


def given(folder: Path, content: bytes, sha256: str | None = None) -> ModelSettings:
    file = folder / "begin.safetensors"
    file.write_bytes(content)
    digest = sha256 or hashlib.sha256(content).hexdigest()
    return UNET.model_copy(update={"initial_weights": InitialWeights(file=file, sha256=digest)})


def test_network_begins_with_the_weights_of_the_file_whatever_the_seed(tmp_path: Path) -> None:
    agreed = weights()
    model = given(tmp_path, save(agreed))
    for seed in (1, 2):
        found = get_weights(initial_network(model, TASK, seed))
        assert all(np.array_equal(found[name], agreed[name]) for name in agreed)


def test_result_of_a_run_is_such_a_file_and_says_nothing_of_where_it_began(tmp_path: Path) -> None:
    model = given(tmp_path, save(weights()))
    path = tmp_path / "global.safetensors"
    ModelFile(model, TASK, weights(8), {}).write(path)
    assert b"begin.safetensors" not in path.read_bytes()
    found = get_weights(initial_network(given(tmp_path, path.read_bytes()), TASK, 1))
    assert all(np.array_equal(found[name], array) for name, array in weights(8).items())
    load_model(path)


def changed(change: Callable[[Weights], object]) -> bytes:
    found = weights()
    change(found)
    return save(found)


def first(found: Weights) -> str:
    return next(iter(found))


BAD = {
    "another name": (
        changed(lambda w: w.update(strange=w.pop(first(w)))),
        "1 names are missing.*not know 1",
    ),
    "another shape": (
        changed(lambda w: w.update({first(w): np.zeros(3, np.float32)})),
        "the shape",
    ),
    "not finite": (
        changed(lambda w: w[first(w)].fill(np.nan)),
        "no finite numbers",
    ),
    "whole numbers": (
        changed(lambda w: w.update({first(w): w[first(w)].astype(np.int32)})),  # type: ignore[arg-type]
        "an array of int32",
    ),
    "no safetensors file": (b"\x80\x04not a model", "no safetensors file"),
    "nothing": (b"", "no safetensors file"),
}


@pytest.mark.parametrize("name", BAD)
def test_file_that_does_not_fit_is_refused(tmp_path: Path, name: str) -> None:
    content, expected = BAD[name]
    with pytest.raises(ConfigurationError, match=expected):
        initial_network(given(tmp_path, content), TASK, 1)


def test_file_that_is_not_the_agreed_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SHA-256"):
        initial_network(given(tmp_path, save(weights()), "0" * 64), TASK, 1)


def test_file_that_is_missing_is_named(tmp_path: Path) -> None:
    model = given(tmp_path, save(weights()))
    (tmp_path / "begin.safetensors").unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        initial_network(model, TASK, 1)


STRANGE = {
    "infinite in 32 bits": (lambda each: torch.full_like(each, 1e300, dtype=torch.float64), "fin"),
    "of 8 bits": (lambda each: each.to(torch.float8_e4m3fn), "float8_e4m3fn"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_array_that_does_not_fit_the_networks_type_is_refused(tmp_path: Path, name: str) -> None:
    change, expected = STRANGE[name]
    state = {name: torch.from_numpy(each) for name, each in weights().items()}
    state[first(weights())] = change(state[first(weights())])
    with pytest.raises(ConfigurationError, match=expected):
        initial_network(given(tmp_path, safetensors.torch.save(state)), TASK, 1)
