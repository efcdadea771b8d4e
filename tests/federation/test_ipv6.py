"""Real sites whose addresses are of IPv6, and one that is called by IPv4 and listens on both."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import tomlkit

from deploy.doctor.looks.contact import call_all, caller
from deploy.doctor.looks.identity import certificate_facts
from deploy.doctor.looks.machine import address_facts, port_facts
from deploy.doctor.rules.peers import address_line, peer_lines, port_lines
from deploy.edge.ports import free_block
from deploy.operating.local_consortium import make_local_sites
from deploy.site.deployed_site import DeployedSite
from deploy.site.site_file import site_toml
from tests.support.attacks.rogue import head_of
from tests.support.sites import run_rounds, running_sites
from tests.support.tiny import tiny_federation

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def ipv6() -> None:
    """Skip on a machine whose loopback interface has no IPv6 address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no ::1 ({error.strerror})")


def listen_on_all(folder: Path, port: int) -> None:
    """Change a site's ``listen`` to all addresses of the machine."""
    file = folder / "site.toml"
    settings = tomlkit.parse(file.read_text(encoding="utf-8")).unwrap()
    file.write_text(site_toml(settings | {"listen": f"[::]:{port}"}), encoding="utf-8")


def severities(site: DeployedSite) -> set[tuple[str, str]]:
    """Return what `srflm doctor` says of addresses, ports, and peers of a site that is up."""
    settings, federation = site.settings, site.federation
    with caller(site.vendor, federation, settings.identity) as calling:
        lines = [address_line(address_facts(site.vendor, settings, federation))]
        lines += port_lines(port_facts(settings, federation.roster, True, calling))
        lines += peer_lines(call_all(calling))
    return {(line.code, line.severity) for line in lines}


def test_sites_with_ipv6_addresses_commit_a_round(tmp_path: Path) -> None:
    federation = tiny_federation(
        tmp_path, ("a", "b", "c"), run__answer_deadline=600, run__work_deadline=3600
    )
    first = free_block(3)
    # One member can be reached by IPv4 alone, as [::] takes calls of both kinds.
    addresses = {"a": f"[::1]:{first}", "b": f"[0:0::1]:{first + 1}", "c": f"127.0.0.1:{first + 2}"}
    folders = make_local_sites(tmp_path / "sites", federation, addresses, threads=1)
    listen_on_all(folders["c"], first + 2)
    with running_sites(tmp_path / "sites", federation) as sites:
        run_rounds(sites, 1)
        record = head_of(sites)
        assert (record.attempt, record.absences) == (0, ())
        assert sorted(record.ballots) == ["a", "b", "c"]
        for site in sites.values():
            assert {severity for _, severity in severities(site)} == {"ok"}
    for vendor, host in (("a", "::1"), ("b", "::1"), ("c", "127.0.0.1")):
        (own,) = (
            each
            for each in certificate_facts(folders[vendor] / "identity", vendor)
            if each.name == "site.crt"
        )
        assert host in own.hosts
