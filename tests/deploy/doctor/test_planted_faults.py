"""Every planted fault has its line, with a mend, and no other line; a healthy site has none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from deploy.doctor.codes.table import CHECKS
from deploy.site.diagnosis import Severity
from tests.deploy.doctor import faults_at_home as at_home
from tests.deploy.doctor import faults_with_others as with_others
from tests.deploy.doctor.examined_site import ExaminedSite, flagged
from tests.support.edges import needs_nginx

pytestmark = needs_nginx

Flagged = dict[str, Severity]


FAULTS: dict[str, tuple[at_home.Plant, Flagged]] = {
    "no site.toml": (at_home.no_site_file, {"site.file": "error"}),
    "a misspelt setting": (at_home.unknown_setting, {"site.file": "error"}),
    "no federation file": (at_home.no_federation_file, {"site.federation": "error"}),
    "a damaged federation file": (at_home.damaged_federation_file, {"site.federation": "error"}),
    "a vendor that is no member": (at_home.other_vendor, {"site.file": "error"}),
    "orders of a stranger": (at_home.orders_of_a_stranger, {"site.file": "error"}),
    "a simulation's file": (at_home.simulation_file, {"site.federation": "error"}),
    "nobody has signed": (at_home.unsigned, {"site.signatures": "error"}),
    "another federation's ledger": (at_home.other_ledger, {"site.ledger": "error"}),
    "a damaged ledger": (at_home.damaged_ledger, {"site.ledger": "error"}),
    "another user": (at_home.other_user, {"site.owner": "error"}),
    "a key that others can read": (
        at_home.open_key,
        {"site.permissions": "error", "keys.complete": "error"},
    ),
    "a folder that others can read": (at_home.open_folder, {"site.permissions": "warning"}),
    "a folder that cannot be written": (at_home.file_in_place_of_logs, {"site.folders": "error"}),
    "a killed supervisor": (at_home.notes_of_a_killed_supervisor, {"site.leftovers": "warning"}),
    "a broken restore": (at_home.broken_restore, {"site.leftovers": "warning"}),
    "a stray program": (at_home.stray_program, {"site.leftovers": "warning"}),
    "a program that ended": (
        at_home.program_that_ended,
        {"site.running": "warning", "port.in": "error"},
    ),
    "no signing key": (at_home.no_signing_key, {"keys.complete": "error"}),
    "another public part": (at_home.other_public_part, {"keys.complete": "error"}),
    "another key of the certificate": (
        at_home.other_site_key,
        {"keys.agreed": "error", "certificate.fits": "error"},
    ),
    "another vendor's certificate": (
        at_home.other_vendors_certificate,
        {"keys.agreed": "error", "certificate.fits": "error"},
    ),
    "a certificate of another authority": (
        at_home.certificate_of_another_authority,
        {"certificate.fits": "error"},
    ),
    "a certificate with 40 days": (
        at_home.days_before_the_end(40),
        {"certificate.expires": "warning"},
    ),
    "a certificate with 10 days": (
        at_home.days_before_the_end(10),
        {"certificate.expires": "error"},
    ),
    "an expired certificate": (at_home.days_before_the_end(-1), {"certificate.dates": "error"}),
    "certificates of the future": (at_home.clock_in_the_past, {"certificate.dates": "error"}),
    "a certificate without the host": (
        at_home.certificate_without_the_host,
        {"certificate.names": "warning"},
    ),
    "another version of the code": (at_home.other_code, {"version.bundle": "error"}),
    "an old Flower": (at_home.old_flower, {"version.packages": "error"}),
    "an old nginx": (at_home.old_nginx, {"version.nginx": "error"}),
    "no nginx": (at_home.no_nginx, {"version.nginx": "error"}),
    "a full disk": (at_home.disk(10**6), {"disk.space": "error"}),
    "a nearly full disk": (at_home.disk(4 * 10**8), {"disk.space": "warning"}),
    "too little memory": (at_home.memory(2**28, 2**28), {"memory.free": "error"}),
    "little memory free": (at_home.memory(2**34, 2**28), {"memory.free": "warning"}),
    "no GPU": (at_home.no_gpu, {"gpu.present": "error"}),
    "too little GPU memory": (at_home.gpu_memory(10**5, 10**5), {"gpu.memory": "error"}),
    "little GPU memory free": (at_home.gpu_memory(10**8, 10**11), {"gpu.memory": "warning"}),
    "too many threads": (at_home.many_threads, {"cpu.threads": "warning"}),
    "the port in use": (with_others.port_in_use, {"port.in": "error"}),
    "another machine's address": (
        with_others.address_of_another_machine,
        {"port.in": "error"},
    ),
    "a loopback port in use": (with_others.local_port_in_use, {"port.local": "error"}),
    "no DNS": (with_others.no_dns, {"peer.name": "warning", "address.own": "warning"}),
    "a peer that is down": (with_others.peer_down, {"peer.reached": "warning"}),
    "a peer without TLS": (with_others.peer_without_tls, {"peer.reached": "warning"}),
    "a peer with another key": (with_others.peer_with_another_key, {"peer.identity": "error"}),
    "a peer that refuses this site": (with_others.peer_that_refuses, {"peer.accepts": "error"}),
    "a wrong clock": (with_others.own_clock_wrong, {"clock.peers": "error"}),
    "a peer's wrong clock": (with_others.clock_of_one_peer_wrong, {"clock.peers": "warning"}),
    "a slow line": (with_others.work_deadline(10.0), {"network.round": "warning"}),
    "a line that is too slow": (with_others.work_deadline(1.0), {"network.round": "error"}),
    "a wrong data path": (with_others.wrong_data_path, {"data.path": "error"}),
    "no data named": (with_others.no_data_line, {"data.path": "error"}),
    "damaged data": (with_others.damaged_data, {"data.read": "error"}),
    "a label outside the classes": (
        with_others.labels(lambda labels: np.where(labels == 2, 7, labels)),
        {"data.read": "error"},
    ),
    "labels of one class": (with_others.labels(np.zeros_like), {"data.read": "error"}),
    "a class without labels": (
        with_others.labels(lambda labels: np.where(labels == 2, 1, labels)),
        {"data.labels": "warning"},
    ),
    "a look that breaks": (with_others.look_that_breaks, {"doctor.check": "warning"}),
}


def test_healthy_site_has_nothing_but_ok(site: ExaminedSite) -> None:
    for quick in (False, True):
        found = site.examine(quick)
        assert flagged(found) == set(), found.of("warning") + found.of("error")
        assert (found.exit_code, found.vendor) == (0, "a")
        assert len({line.code for line in found.lines}) > 25


def test_there_are_faults_enough() -> None:
    assert len(FAULTS) >= 25


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_has_its_line_and_no_other(fault: str, site: ExaminedSite) -> None:
    plant, expected = FAULTS[fault]
    found = site.examine(**(plant(site) or {}))
    assert flagged(found) == set(expected.items()), found.of("warning") + found.of("error")
    assert all(line.mend for line in (*found.of("warning"), *found.of("error")))
    assert found.exit_code == (2 if "error" in expected.values() else 1)
    # What may leave the site has no path of it, and no text of an exception.
    told = found.model_dump_json()
    assert str(site.folder.parent) not in told and "secret text" not in told
    assert all(line["code"] in CHECKS for line in json.loads(told)["lines"])
