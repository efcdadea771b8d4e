"""A healthy site, copied for each test, so that each can break it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.doctor.examined_site import ExaminedSite, make_sites, opened


@pytest.fixture(scope="session")
def healthy_sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of three joined sites with data; nobody changes them."""
    return make_sites(tmp_path_factory.mktemp("healthy"))


@pytest.fixture
def site(
    healthy_sites: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ExaminedSite]:
    """Return a copy of a's site with peers that answer, on a machine with memory enough."""
    sites = shutil.copytree(healthy_sites, tmp_path / "sites")
    found = opened(sites, monkeypatch)
    with found.open_until_then:
        yield found
