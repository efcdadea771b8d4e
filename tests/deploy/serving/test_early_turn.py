"""An attempt before its time: only when a quorum cannot reach the server for which all wait."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from deploy.site.unreached import read_unreached, unreached_file, write_unreached
from strategies.errors import FederationStopped
from tests.support.deployed import DeployedFederation
from tests.support.tiny import tiny_federation


@pytest.fixture
def sites(tmp_path: Path) -> DeployedFederation:
    vendors = ("a", "b", "c", "d")
    found = DeployedFederation(tmp_path, tiny_federation(tmp_path, vendors, run__rounds=3))
    assert found.order("a", rounds=3).result == "ordered"
    return found


def say(sites: DeployedFederation, vendors: Iterable[str], gone: str) -> None:
    """Let the launchers of ``vendors`` say that they do not reach ``gone``."""
    for vendor in vendors:
        file = unreached_file(sites.site(vendor).settings.run)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_unreached(file, [gone])


def test_a_quorum_that_cannot_reach_the_server_need_not_wait(sites: DeployedFederation) -> None:
    server, stand_in, *others = sites.site("a").view().ranking
    sites.down.add(server)
    say(sites, [stand_in, *others], server)
    assert sites.perform(stand_in, attempt=1, early=server).result == "committed"
    record = sites.records(stand_in)[0]
    assert (record.server, record.attempt) == (stand_in, 1)
    assert [absence.vendor for absence in record.absences] == [server]


def test_one_broken_link_takes_no_turn_away(sites: DeployedFederation) -> None:
    server, stand_in, third, _ = sites.site("a").view().ranking
    say(sites, [stand_in, third], server)
    outcome = sites.perform(stand_in, attempt=1, early=server)
    assert (outcome.result, outcome.code) == ("failed", FederationStopped.NO_QUORUM)
    assert sites.perform(server).result == "committed", "nobody has promised anything"
    assert sites.records(server)[0].attempt == 0


def test_word_of_a_launcher_that_looks_no_more_does_not_count(tmp_path: Path) -> None:
    file = unreached_file(tmp_path)
    assert read_unreached(file) == ()
    write_unreached(file, ["b"])
    assert read_unreached(file) == ("b",)
    written = file.stat().st_mtime
    assert read_unreached(file, lambda: written + 11.0) == ()
    file.write_text("{")
    assert read_unreached(file) == ()
