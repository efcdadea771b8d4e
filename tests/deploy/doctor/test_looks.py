"""The looks at a network's memory and at a peer, against what really happens."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from clients.networks.build import build_network
from deploy.doctor.looks.contact import LEAST_BYTES, call, caller
from deploy.doctor.looks.data import data_facts
from deploy.doctor.looks.need import RUNTIME, training_need
from deploy.doctor.rules.data import data_lines
from deploy.site.settings import SiteSettings
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from tests.clients.data.manifest.test_checking import write_mask
from tests.clients.data.manifest.test_loading import indexed
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


# ---- data --------------------------------------------------------------------------------------


def test_indexed_folder_is_checked_case_by_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = indexed(tmp_path)
    settings = SiteSettings(vendor="a", data=folder)
    federation = load_federation(tmp_path / "federation.toml")
    found, size = data_facts(settings, federation, quick=False)
    assert dict(found.counts) == {"train": 6, "validation": 2, "test": 2}
    assert (size, dict(found.findings)) == ((8, 8, 8), {"error": 0, "warning": 0})
    assert all(count > 0 for count in found.classes.values()) and len(found.classes) > 1

    write_mask(folder, np.zeros_like)
    found, _ = data_facts(settings, federation, quick=False)
    assert found.findings["warning"] > 0
    (line,) = (each for each in data_lines(found) if each.code == "data.cases")
    assert line.severity == "warning"
    quick, _ = data_facts(settings, federation, quick=True)
    assert quick.was_read and quick.findings == {}


def test_large_data_are_not_read_in_a_quick_examination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.doctor.looks.data.QUICK_BYTES", 100)
    federation = tiny_federation(tmp_path, ("a", "b"))
    settings = SiteSettings(vendor="a")
    assert not data_facts(settings, federation, quick=True)[0].was_read
    assert data_facts(settings, federation, quick=False)[0].was_read
