"""Every planted fault has its line, with a mend, and no other line; a healthy site has none."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clients.files.locks import locked
from deploy.doctor.codes.table import CHECKS
from deploy.identity.authority import create_consortium, sign_site_certificate
from deploy.identity.certificates import read_certificate
from deploy.identity.keys import new_key, pem_of
from deploy.operating.diagnosis import Severity
from deploy.processes.supervisor import ProcessTable
from deploy.site.deployed_site import SITE_VARIABLE
from tests.support.doctor import DATA, ExaminedSite, flagged
from tests.support.edges import needs_nginx
from tests.support.tiny import write_tiny_npz

pytestmark = needs_nginx

Plant = Callable[[ExaminedSite], dict[str, object] | None]
Flagged = dict[str, Severity]


# ---- the faults: each plants one, and may return options of the examination --------------------


def _no_site_file(site: ExaminedSite) -> None:
    (site.folder / "site.toml").unlink()


def _unknown_setting(site: ExaminedSite) -> None:
    site.add('dataa = "images"')


def _no_federation_file(site: ExaminedSite) -> None:
    (site.folder / "federation.toml").unlink()


def _other_vendor(site: ExaminedSite) -> None:
    site.edit("site.toml", 'vendor = "a"', 'vendor = "stranger"')


def _simulation_file(site: ExaminedSite) -> None:
    shutil.copy(
        Path(__file__).parents[3] / "examples" / "phantom" / "federation.toml",
        site.folder / "federation.toml",
    )
    site.edit("federation.toml", '"aster"', '"a"')
    site.edit("site.toml", f'data = "{DATA}"\n', "")


def _unsigned(site: ExaminedSite) -> None:
    for path in site.folder.glob("signatures.*.toml"):
        path.unlink()


def _other_user(site: ExaminedSite) -> None:
    site.patch.setattr(os, "geteuid", lambda: os.getuid() + 4242)


def _open_key(site: ExaminedSite) -> None:
    (site.folder / "identity" / "node-b.key").chmod(0o640)


def _open_folder(site: ExaminedSite) -> None:
    (site.folder / "identity").chmod(0o755)


def _file_in_place_of_logs(site: ExaminedSite) -> None:
    (site.folder / "logs").touch(mode=0o600)


def _notes_of_a_killed_supervisor(site: ExaminedSite) -> None:
    _write_notes(site, {})


def _broken_restore(site: ExaminedSite) -> None:
    (site.folder / ".restore-x7").mkdir(mode=0o700)


def _stray_program(site: ExaminedSite) -> None:
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    environment = {**os.environ, SITE_VARIABLE: str(site.folder.resolve())}
    stray = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    site.open_until_then.callback(stray.communicate)  # its input ends, and so does it


def _program_that_ended(site: ExaminedSite) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    _write_notes(site, {"worker": ended.pid})
    site.open_until_then.enter_context(locked(site.folder / "run" / "site.lock"))


def _write_notes(site: ExaminedSite, programs: dict[str, int]) -> None:
    notes = ProcessTable(supervisor=os.getpid(), programs=programs, restarts={}, since=0.0)
    (site.folder / "run").mkdir(mode=0o700, exist_ok=True)
    (site.folder / "run" / "up.json").write_text(notes.model_dump_json())


def _no_signing_key(site: ExaminedSite) -> None:
    (site.folder / "identity" / "signing.key").unlink()


def _other_public_part(site: ExaminedSite) -> None:
    shutil.copy(site.folder / "identity" / "node-c.pub", site.folder / "identity" / "node-b.pub")


def _other_site_key(site: ExaminedSite) -> None:
    (site.folder / "identity" / "site.key").write_bytes(pem_of(new_key()))


def _other_vendors_certificate(site: ExaminedSite) -> None:
    for name in ("site.crt", "site.key"):
        shutil.copy(site.sites / "b" / "identity" / name, site.folder / "identity" / name)


def _certificate_of_another_authority(site: ExaminedSite) -> None:
    identity = site.folder / "identity"
    other = create_consortium(site.folder.parent / "other", "other")
    request = (identity / "site.csr").read_bytes()
    certificate = sign_site_certificate(other, request, "a", ["127.0.0.1"])
    (identity / "site.crt").write_bytes(certificate)


def _days_before_the_end(days: int, name: str = "site.crt") -> Plant:
    def plant(site: ExaminedSite) -> dict[str, object]:
        certificate = read_certificate(site.folder / "identity" / name)
        return {"now": certificate.not_valid_after_utc - timedelta(days=days)}

    return plant


def _clock_in_the_past(site: ExaminedSite) -> dict[str, object]:
    return {"now": datetime(2020, 1, 1, tzinfo=UTC)}


def _certificate_without_the_host(site: ExaminedSite) -> None:
    site.patch.setattr("deploy.doctor.looks.identity._hosts", lambda found: ("elsewhere.org",))


def _other_code(site: ExaminedSite) -> None:
    site.patch.setattr("deploy.doctor.looks.versions.installed_bundle", lambda folder: "0" * 64)


def _old_flower(site: ExaminedSite) -> None:
    known = metadata.version
    site.patch.setattr(metadata, "version", lambda n: "1.30.0" if n == "flwr" else known(n))


def _old_nginx(site: ExaminedSite) -> None:
    program = site.folder.parent / "nginx"
    program.write_text("#!/bin/sh\necho nginx version: nginx/1.18.0 --with-http_ssl_module >&2\n")
    program.chmod(0o700)
    site.patch.setattr("deploy.doctor.looks.versions.find_nginx", lambda: str(program))


def _no_nginx(site: ExaminedSite) -> None:
    site.patch.setattr("deploy.edge.nginx.NGINX_FOLDERS", ())
    site.patch.setenv("PATH", str(site.folder))


def _disk(free: int) -> Plant:
    def plant(site: ExaminedSite) -> None:
        disk = SimpleNamespace(f_bavail=free, f_frsize=1, f_favail=10**6, f_files=10**6)
        site.patch.setattr(os, "statvfs", lambda path: disk)

    return plant


def _memory(whole: int, free: int) -> Plant:
    def plant(site: ExaminedSite) -> None:
        memory = SimpleNamespace(total=whole, available=free)
        site.patch.setattr("psutil.virtual_memory", lambda: memory)
        site.patch.setattr("psutil.swap_memory", lambda: SimpleNamespace(total=0))

    return plant


def _no_gpu(site: ExaminedSite) -> None:
    site.add('device = "cuda"')
    site.patch.setattr(torch.cuda, "is_available", lambda: False)


def _gpu_memory(free: int, whole: int) -> Plant:
    def plant(site: ExaminedSite) -> None:
        site.add('device = "cuda"')
        site.patch.setattr(torch.cuda, "is_available", lambda: True)
        site.patch.setattr(torch.cuda, "mem_get_info", lambda device: (free, whole))

    return plant


def _many_threads(site: ExaminedSite) -> None:
    site.add("threads = 100000")


def _port_in_use(site: ExaminedSite) -> None:
    address = site.federation.member("a").address or ""
    held = socket.create_server(("127.0.0.1", int(address.rpartition(":")[2])))
    site.open_until_then.enter_context(held)


def _address_of_another_machine(site: ExaminedSite) -> None:
    site.edit("site.toml", 'listen = "127.0.0.1:', 'listen = "192.0.2.1:')


def _local_port_in_use(site: ExaminedSite) -> None:
    held = site.open_until_then.enter_context(socket.create_server(("127.0.0.1", 0)))
    port = held.getsockname()[1]
    site.add(f"ports = {port if port <= 65000 else port - 5}")


def _no_dns(site: ExaminedSite) -> None:
    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    site.patch.setattr(socket, "getaddrinfo", fails)


def _peer_down(site: ExaminedSite) -> None:
    site.stop("b")


def _peer_without_tls(site: ExaminedSite) -> None:
    site.stop("b")
    address = site.federation.member("b").address or ""
    held = socket.create_server(("127.0.0.1", int(address.rpartition(":")[2])))
    site.open_until_then.enter_context(held)
    site.patch.setattr("deploy.doctor.looks.contact.PATIENCE_SECONDS", 0.2)


def _peer_with_another_key(site: ExaminedSite) -> None:
    site.start("b", shows="c")


def _peer_that_refuses(site: ExaminedSite) -> None:
    site.peers["b"].status = 403


def _own_clock_wrong(site: ExaminedSite) -> None:
    site.peers["b"].ahead = site.peers["c"].ahead = 400.0


def _clock_of_one_peer_wrong(site: ExaminedSite) -> None:
    site.peers["b"].ahead = -100.0


def _work_deadline(seconds: float) -> Plant:
    def plant(site: ExaminedSite) -> None:
        site.edit("federation.toml", "work-deadline = 3600.0", f"work-deadline = {seconds}")
        site.patch.setattr("deploy.doctor.looks.contact._measured", lambda *_: (0.01, 1e6))

    return plant


def _wrong_data_path(site: ExaminedSite) -> None:
    site.edit("site.toml", f'data = "{DATA}"', 'data = "imges"')


def _no_data_line(site: ExaminedSite) -> None:
    site.edit("site.toml", f'data = "{DATA}"\n', "")


def _damaged_data(site: ExaminedSite) -> None:
    (site.folder / DATA).write_bytes(b"PK nothing")


def _labels(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """Plant other labels of the training images."""

    def plant(site: ExaminedSite) -> None:
        path = write_tiny_npz(site.folder / DATA)
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        arrays["train_labels"] = change(arrays["train_labels"])
        np.savez(path, **arrays)

    return plant


def _look_that_breaks(site: ExaminedSite) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("secret text")

    site.patch.setattr("deploy.doctor.examination.address_facts", breaks)


FAULTS: dict[str, tuple[Plant, Flagged]] = {
    "no site.toml": (_no_site_file, {"site.file": "error"}),
    "a misspelt setting": (_unknown_setting, {"site.file": "error"}),
    "no federation file": (_no_federation_file, {"site.federation": "error"}),
    "a vendor that is no member": (_other_vendor, {"site.federation": "error"}),
    "nobody has signed": (_unsigned, {"site.signatures": "error"}),
    "another user": (_other_user, {"site.owner": "error"}),
    "a key that others can read": (
        _open_key,
        {"site.permissions": "error", "keys.complete": "error"},
    ),
    "a folder that others can read": (_open_folder, {"site.permissions": "warning"}),
    "a folder that cannot be written": (_file_in_place_of_logs, {"site.folders": "error"}),
    "a killed supervisor": (_notes_of_a_killed_supervisor, {"site.leftovers": "warning"}),
    "a broken restore": (_broken_restore, {"site.leftovers": "warning"}),
    "a stray program": (_stray_program, {"site.leftovers": "warning"}),
    "a program that ended": (
        _program_that_ended,
        {"site.running": "warning", "port.in": "error"},
    ),
    "no signing key": (_no_signing_key, {"keys.complete": "error"}),
    "another public part": (_other_public_part, {"keys.complete": "error"}),
    "another key of the certificate": (
        _other_site_key,
        {"keys.agreed": "error", "certificate.fits": "error"},
    ),
    "another vendor's certificate": (
        _other_vendors_certificate,
        {"keys.agreed": "error", "certificate.fits": "error"},
    ),
    "a certificate of another authority": (
        _certificate_of_another_authority,
        {"certificate.fits": "error"},
    ),
    "a certificate with 40 days": (_days_before_the_end(40), {"certificate.expires": "warning"}),
    "a certificate with 10 days": (_days_before_the_end(10), {"certificate.expires": "error"}),
    "an expired certificate": (_days_before_the_end(-1), {"certificate.dates": "error"}),
    "certificates of the future": (_clock_in_the_past, {"certificate.dates": "error"}),
    "a certificate without the host": (
        _certificate_without_the_host,
        {"certificate.names": "warning"},
    ),
    "another version of the code": (_other_code, {"version.bundle": "error"}),
    "an old Flower": (_old_flower, {"version.packages": "error"}),
    "an old nginx": (_old_nginx, {"version.nginx": "error"}),
    "no nginx": (_no_nginx, {"version.nginx": "error"}),
    "a full disk": (_disk(10**6), {"disk.space": "error"}),
    "a nearly full disk": (_disk(4 * 10**8), {"disk.space": "warning"}),
    "too little memory": (_memory(2**28, 2**28), {"memory.free": "error"}),
    "little memory free": (_memory(2**34, 2**28), {"memory.free": "warning"}),
    "no GPU": (_no_gpu, {"gpu.present": "error"}),
    "too little GPU memory": (_gpu_memory(10**5, 10**5), {"gpu.memory": "error"}),
    "little GPU memory free": (_gpu_memory(10**8, 10**11), {"gpu.memory": "warning"}),
    "too many threads": (_many_threads, {"cpu.threads": "warning"}),
    "the port in use": (_port_in_use, {"port.in": "error"}),
    "another machine's address": (
        _address_of_another_machine,
        {"port.in": "error"},
    ),
    "a loopback port in use": (_local_port_in_use, {"port.local": "error"}),
    "no DNS": (_no_dns, {"peer.name": "warning", "address.own": "warning"}),
    "a peer that is down": (_peer_down, {"peer.reached": "warning"}),
    "a peer without TLS": (_peer_without_tls, {"peer.reached": "warning"}),
    "a peer with another key": (_peer_with_another_key, {"peer.identity": "error"}),
    "a peer that refuses this site": (_peer_that_refuses, {"peer.accepts": "error"}),
    "a wrong clock": (_own_clock_wrong, {"clock.peers": "error"}),
    "a peer's wrong clock": (_clock_of_one_peer_wrong, {"clock.peers": "warning"}),
    "a slow line": (_work_deadline(10.0), {"network.round": "warning"}),
    "a line that is too slow": (_work_deadline(1.0), {"network.round": "error"}),
    "a wrong data path": (_wrong_data_path, {"data.path": "error"}),
    "no data named": (_no_data_line, {"data.path": "error"}),
    "damaged data": (_damaged_data, {"data.read": "error"}),
    "a label outside the classes": (
        _labels(lambda labels: np.where(labels == 2, 7, labels)),
        {"data.read": "error"},
    ),
    "labels of one class": (_labels(np.zeros_like), {"data.read": "error"}),
    "a class without labels": (
        _labels(lambda labels: np.where(labels == 2, 1, labels)),
        {"data.labels": "warning"},
    ),
    "a look that breaks": (_look_that_breaks, {"doctor.check": "warning"}),
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
