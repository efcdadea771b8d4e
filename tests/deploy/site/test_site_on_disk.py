"""A look at a site's files gives what the running site would say, without its network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.site.site_on_disk import site_on_disk
from deploy.site.verification import verify_site
from strategies.errors import ConfigurationError, LedgerError
from tests.support.deployed import DeployedFederation
from tests.support.quick_sites import QuickFederation, quick_federation
from tests.support.tiny import tiny_federation

VENDORS = ("a", "b", "c")


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[QuickFederation]:
    """Return sites that have begun, and have no term yet."""
    with quick_federation(tmp_path, VENDORS) as sites:
        sites.clear()
        yield sites


@pytest.fixture
def never_up(tmp_path: Path) -> Path:
    """Return the folder of a site that was never up."""
    return DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, VENDORS)).folders["a"]


def change(federation: Path, old: str, new: str) -> None:
    text = federation.read_text()
    assert text.count(old) == 1
    federation.write_text(text.replace(old, new))


def test_view_of_the_disk_is_the_view_of_the_running_site(sites: QuickFederation) -> None:
    sites.order("a", rounds=2)
    for terms in range(3):
        sites.run_to(terms)
        for vendor in VENDORS:
            site = sites.site(vendor)
            assert site_on_disk(site.folder).view() == site.site.participant.view()
    assert site_on_disk(sites.folders["a"]).view().head_term == 2


def test_site_that_was_never_up_knows_no_model(never_up: Path) -> None:
    assert site_on_disk(never_up).initial_model is None
    assert verify_site(site_on_disk(never_up)).head_model is None


def test_start_keeps_the_hash_of_the_initial_model(sites: QuickFederation) -> None:
    site = sites.site("a")
    on_disk = site_on_disk(site.folder)
    assert on_disk.initial_model == site.initial.hash
    assert verify_site(on_disk).head_model == on_disk.initial_model
    assert on_disk.initial_model == site.site.participant.genesis.model


def test_start_replaces_a_hash_that_an_earlier_version_computed(sites: QuickFederation) -> None:
    site = sites.site("a")
    site.state.ledger.set_fact("initial-model", "of an earlier version of PyTorch")
    assert sites.restart("a").initial_model == site.initial.hash


def test_hash_is_never_told_of_another_federation(sites: QuickFederation) -> None:
    change(sites.folders["a"] / "federation.toml", "seed = 65\n", "seed = 66\n")
    with pytest.raises(LedgerError, match="the ledger of another federation"):
        _ = site_on_disk(sites.folders["a"]).initial_model


def test_broken_federation_file_is_told_as_ever(never_up: Path) -> None:
    change(never_up / "federation.toml", "seed = 65\n", "seed = -1\nsede = 3\n")
    with pytest.raises(ConfigurationError) as told:
        site_on_disk(never_up).view()
    assert "2 problem(s)" in told.value.found
    assert "seed: " in told.value.found and "sede: " in told.value.found
