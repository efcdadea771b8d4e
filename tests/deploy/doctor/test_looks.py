"""The looks at a network's memory and at a peer, against what really happens."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch

from clients.networks.build import build_network
from deploy.doctor.looks.contact import LEAST_BYTES, call, caller
from deploy.doctor.looks.need import RUNTIME, training_need
from srflm_flower.federation.federation import Federation
from tests.deploy.doctor.examined_site import ExaminedSite
from tests.support.tiny import private, tiny_federation

# ---- memory ------------------------------------------------------------------------------------


def kept_in_a_real_step(federation: Federation, size: tuple[int, ...]) -> int:
    """Return the bytes that autograd keeps in a real forward pass, each storage once."""
    network = build_network(federation.network_settings, federation.task, size).train()
    own = {each.data_ptr() for each in network.parameters()}
    found: dict[int, int] = {}
    alive = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        alive.append(tensor)
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    images = torch.zeros(federation.training.batch_size, federation.task.channels, *size)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        network(images)
    return sum(found.values())


@pytest.mark.parametrize("network", ["small-cnn", "resnet18", "densenet121"])
def test_memory_that_is_counted_without_values_is_that_of_a_real_step(
    network: str, tmp_path: Path
) -> None:
    federation = tiny_federation(tmp_path, model__network=network)
    need = training_need(federation, (32, 32))
    assert need is not None
    built = build_network(federation.network_settings, federation.task, (32, 32))
    weights = sum(each.numel() * each.element_size() for each in built.parameters())
    real = 3 * weights + kept_in_a_real_step(federation, (32, 32))  # SGD with momentum
    assert need.least == pytest.approx(real, rel=0.05)
    assert need.likely > need.least


def test_larger_patches_and_batches_need_more(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    larger = tiny_federation(tmp_path, training__batch_size=16)
    needs = [training_need(federation, (side, side)) for side in (32, 64)]
    needs.append(training_need(larger, (64, 64)))
    least = [need.least for need in needs if need is not None]
    assert least == sorted(set(least)) and len(least) == 3


def test_private_training_needs_a_gradient_for_each_record(tmp_path: Path) -> None:
    plain, secret = tiny_federation(tmp_path), private(tmp_path)
    one, other = (training_need(each, (32, 32)) for each in (plain, secret))
    assert one is not None and other is not None
    assert other.likely > one.likely > RUNTIME


def test_size_that_the_network_cannot_take_gives_no_figure(tmp_path: Path) -> None:
    assert training_need(tiny_federation(tmp_path), (32,)) is None


# ---- peers -------------------------------------------------------------------------------------


def test_speed_is_measured_by_what_the_peer_has_read(site: ExaminedSite) -> None:
    with caller("a", site.federation, site.folder / "identity") as calling:
        found = call(calling, "b", upload=1)
    assert found.stage == "done"
    assert found.speed is not None and found.round_trip is not None
    assert LEAST_BYTES / found.speed < 60  # seconds, of this machine with itself


def test_peer_of_another_name_is_not_taken_for_the_agreed_one(site: ExaminedSite) -> None:
    # c's own edge, with c's own key, at the address of b.
    address = site.federation.member("c").address
    with caller("a", site.federation, site.folder / "identity") as calling:
        found = call(calling, "b", address=address)
    assert (found.stage, found.ahead) == ("identity", None)


def test_peer_that_says_nothing_is_given_up(
    site: ExaminedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.doctor.looks.contact.PATIENCE_SECONDS", 0.2)
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, caller("a", site.federation, site.folder / "identity") as calling:
        found = call(calling, "b", address=f"127.0.0.1:{silent.getsockname()[1]}")
    assert found.stage == "reach"
