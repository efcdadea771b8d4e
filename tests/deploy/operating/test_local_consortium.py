"""A consortium on one machine is made as a real one is: by joining."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from deploy.identity.checks import check_identity
from deploy.operating.local_consortium import make_local_sites
from deploy.site.settings import load_site
from tests.support.tiny import tiny_federation

ADDRESSES = {"a": "127.0.0.1:9001", "b": "127.0.0.1:9002"}


def test_all_sites_join_one_federation_and_nobody_can_join_later(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path, tuple(ADDRESSES))
    sites = make_local_sites(tmp_path, federation, ADDRESSES, threads=3)
    assert list(sites) == ["a", "b"]
    for vendor, folder in sites.items():
        settings = load_site(folder)
        assert (settings.listen, settings.threads) == (ADDRESSES[vendor], 3)
        assert {each.name: each.address for each in settings.load_federation().vendors} == ADDRESSES
        check_identity(settings.identity, vendor, datetime.now(UTC), tuple(ADDRESSES))
    assert len({(folder / "federation.toml").read_bytes() for folder in sites.values()}) == 1
    assert not list((tmp_path / "consortium").rglob("*.key"))
