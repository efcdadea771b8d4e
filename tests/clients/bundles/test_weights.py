"""Weights of a bundle are arrays by name, and those of its own network."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import DynUNet
from safetensors.torch import save_file

from clients.bundles.reading import read_bundle
from clients.bundles.weights import weights_in
from clients.networks.weights import get_weights
from strategies.errors import ConfigurationError
from tests.clients.bundles.made import bundle, network, with_weights


class Payload:
    """An object whose loading runs code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("was-run"),)  # type: ignore[return-value]


@pytest.mark.parametrize("form", ["plain", "checkpoint", "safetensors"])
def test_weights_are_those_of_the_file(tmp_path: Path, form: str) -> None:
    made = network()
    if form == "safetensors":
        (bundle(tmp_path) / "models").mkdir()
        save_file(made.state_dict(), tmp_path / "models" / "model.safetensors")
    else:
        state = made.state_dict()
        with_weights(tmp_path, {"model": state, "epoch": 3} if form == "checkpoint" else state)
    found, expected = read_bundle(tmp_path).weights(), get_weights(made)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_array_with_two_names_is_taken_once_and_must_have_one_value(tmp_path: Path) -> None:
    def made() -> DynUNet:
        return DynUNet(2, 1, 2, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 8, 8])

    state = dict(made().state_dict())
    found = weights_in(with_weights(tmp_path, state), made())
    assert len(found) < len(state)
    twice = next(name for name in state if name not in found)
    state[twice] = state[twice] + 1
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigurationError, match="another name of the same array"):
        weights_in(with_weights(tmp_path / "other", state), made())


def test_counters_of_batches_are_left_out(tmp_path: Path) -> None:
    state = network(norm="batch").state_dict()
    assert any("num_batches_tracked" in name for name in state)
    found = weights_in(with_weights(tmp_path, state), network(norm="batch"))
    assert not any("num_batches_tracked" in name for name in found)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("form", ["pickle", "within", "network", "program"])
def test_pickled_payload_is_refused_and_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.chdir(tmp_path)
    payload = {"model": {"weight": Payload()}} if form == "within" else network()
    with_weights(tmp_path, payload)
    path = tmp_path / "models" / "model.pt"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Payload()))
    elif form == "program":
        torch.jit.trace(torch.nn.ReLU(), torch.zeros(1)).save(path)
    with pytest.raises(ConfigurationError, match="no file of weights"):
        read_bundle(tmp_path).weights()
    assert not (tmp_path / "was-run").exists()


BAD = {
    "another network": (network(strides=[1], num_res_units=0).state_dict(), "names are missing"),
    "another width": (network(channels=[4, 16]).state_dict(), "the shape"),
    "not finite": (
        {name: torch.full_like(each, torch.nan) for name, each in network().state_dict().items()},
        "no finite numbers",
    ),
    "more than arrays": ({"weight": "text"}, "more than arrays by name"),
    "a list": ([torch.zeros(1)], "more than arrays by name"),
}


@pytest.mark.parametrize("name", BAD)
def test_weights_that_are_not_this_networks_are_refused(tmp_path: Path, name: str) -> None:
    state, expected = BAD[name]
    with pytest.raises(ConfigurationError, match=expected):
        read_bundle(with_weights(tmp_path, state)).weights()


def test_bundle_without_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"without models/model"):
        read_bundle(bundle(tmp_path)).weights()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("name", ["float64", "float8", "sparse", "meta", "nested"])
def test_array_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    state = network().state_dict()
    first = next(iter(state))
    each = state[first]
    match name:
        case "float64":
            state[first] = torch.full_like(each, 1e300, dtype=torch.float64)
        case "float8":
            state[first] = each.to(torch.float8_e4m3fn)
        case "sparse":
            state[first] = each.to_sparse()
        case "meta":
            state[first] = torch.empty(each.shape, device="meta")
        case "nested":
            state[first] = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
    with pytest.raises(ConfigurationError, match=re.escape(first)):
        read_bundle(with_weights(tmp_path, state)).weights()
