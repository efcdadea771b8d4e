"""Faults to plant at the site itself: each breaks one thing, and may return options to examine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import torch

from clients.files.locks import locked
from deploy.identity.authority import create_consortium, sign_site_certificate
from deploy.identity.certificates import read_certificate
from deploy.identity.keys import new_key, pem_of
from deploy.processes.supervisor import ProcessTable
from deploy.site.deployed_site import SITE_VARIABLE
from srflm_flower.site.ledger import TermLedger
from tests.deploy.doctor.examined_site import DATA, ExaminedSite

Plant = Callable[[ExaminedSite], dict[str, object] | None]


def no_site_file(site: ExaminedSite) -> None:
    (site.folder / "site.toml").unlink()


def unknown_setting(site: ExaminedSite) -> None:
    site.add('dataa = "images"')


def no_federation_file(site: ExaminedSite) -> None:
    (site.folder / "federation.toml").unlink()


def damaged_federation_file(site: ExaminedSite) -> None:
    site.edit("federation.toml", "rounds = 3", "rounds = -3")


def orders_of_a_stranger(site: ExaminedSite) -> None:
    with (site.folder / "site.toml").open("a", encoding="utf-8") as file:
        file.write('\n[policy]\nruns-from = ["stranger"]\n')


def other_vendor(site: ExaminedSite) -> None:
    site.edit("site.toml", 'vendor = "a"', 'vendor = "stranger"')


def simulation_file(site: ExaminedSite) -> None:
    shutil.copy(
        Path(__file__).parents[3] / "examples" / "phantom" / "federation.toml",
        site.folder / "federation.toml",
    )
    site.edit("federation.toml", '"aster"', '"a"')
    site.edit("site.toml", f'data = "{DATA}"\n', "")


def unsigned(site: ExaminedSite) -> None:
    for path in site.folder.glob("signatures.*.toml"):
        path.unlink()


def other_ledger(site: ExaminedSite) -> None:
    ledger = site.folder / "state" / "ledger.sqlite"
    ledger.unlink()
    TermLedger(ledger, "0" * 64).set_fact("boots", "1")


def damaged_ledger(site: ExaminedSite) -> None:
    (site.folder / "state" / "ledger.sqlite").write_bytes(b"damaged" * 1000)


def other_user(site: ExaminedSite) -> None:
    site.patch.setattr(os, "geteuid", lambda: os.getuid() + 4242)


def open_key(site: ExaminedSite) -> None:
    (site.folder / "identity" / "node-b.key").chmod(0o640)


def open_folder(site: ExaminedSite) -> None:
    (site.folder / "identity").chmod(0o755)


def file_in_place_of_logs(site: ExaminedSite) -> None:
    (site.folder / "logs").touch(mode=0o600)


def notes_of_a_killed_supervisor(site: ExaminedSite) -> None:
    write_notes(site, {})


def broken_restore(site: ExaminedSite) -> None:
    (site.folder / ".restore-x7").mkdir(mode=0o700)


def stray_program(site: ExaminedSite) -> None:
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    environment = {**os.environ, SITE_VARIABLE: str(site.folder.resolve())}
    stray = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    site.open_until_then.callback(stray.communicate)  # its input ends, and so does it


def program_that_ended(site: ExaminedSite) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_notes(site, {"worker": ended.pid})
    site.open_until_then.enter_context(locked(site.folder / "run" / "site.lock"))


def write_notes(site: ExaminedSite, programs: dict[str, int]) -> None:
    notes = ProcessTable(supervisor=os.getpid(), programs=programs, restarts={}, since=0.0)
    (site.folder / "run").mkdir(mode=0o700, exist_ok=True)
    (site.folder / "run" / "up.json").write_text(notes.model_dump_json())


def no_signing_key(site: ExaminedSite) -> None:
    (site.folder / "identity" / "signing.key").unlink()


def other_public_part(site: ExaminedSite) -> None:
    shutil.copy(site.folder / "identity" / "node-c.pub", site.folder / "identity" / "node-b.pub")


def other_site_key(site: ExaminedSite) -> None:
    (site.folder / "identity" / "site.key").write_bytes(pem_of(new_key()))


def other_vendors_certificate(site: ExaminedSite) -> None:
    for name in ("site.crt", "site.key"):
        shutil.copy(site.sites / "b" / "identity" / name, site.folder / "identity" / name)


def certificate_of_another_authority(site: ExaminedSite) -> None:
    identity = site.folder / "identity"
    other = create_consortium(site.folder.parent / "other", "other")
    request = (identity / "site.csr").read_bytes()
    certificate = sign_site_certificate(other, request, "a", ["127.0.0.1"])
    (identity / "site.crt").write_bytes(certificate)


def days_before_the_end(days: int, name: str = "site.crt") -> Plant:
    def plant(site: ExaminedSite) -> dict[str, object]:
        certificate = read_certificate(site.folder / "identity" / name)
        return {"now": certificate.not_valid_after_utc - timedelta(days=days)}

    return plant


def clock_in_the_past(site: ExaminedSite) -> dict[str, object]:
    return {"now": datetime(2020, 1, 1, tzinfo=UTC)}


def certificate_without_the_host(site: ExaminedSite) -> None:
    site.patch.setattr("deploy.doctor.looks.identity._hosts", lambda found: ("elsewhere.org",))


def other_code(site: ExaminedSite) -> None:
    site.patch.setattr("deploy.doctor.looks.versions.installed_hash", lambda: "0" * 64)


def old_flower(site: ExaminedSite) -> None:
    known = metadata.version
    site.patch.setattr(metadata, "version", lambda n: "1.30.0" if n == "flwr" else known(n))


def old_nginx(site: ExaminedSite) -> None:
    program = site.folder.parent / "nginx"
    program.write_text("#!/bin/sh\necho nginx version: nginx/1.18.0 --with-http_ssl_module >&2\n")
    program.chmod(0o700)
    site.patch.setattr("deploy.doctor.looks.versions.find_nginx", lambda: str(program))


def no_nginx(site: ExaminedSite) -> None:
    site.patch.setattr("deploy.edge.nginx.NGINX_FOLDERS", ())
    site.patch.setenv("PATH", str(site.folder))


def disk(free: int) -> Plant:
    def plant(site: ExaminedSite) -> None:
        disk = SimpleNamespace(f_bavail=free, f_frsize=1, f_favail=10**6, f_files=10**6)
        site.patch.setattr(os, "statvfs", lambda path: disk)

    return plant


def memory(whole: int, free: int) -> Plant:
    def plant(site: ExaminedSite) -> None:
        memory = SimpleNamespace(total=whole, available=free)
        site.patch.setattr("psutil.virtual_memory", lambda: memory)
        site.patch.setattr("psutil.swap_memory", lambda: SimpleNamespace(total=0))

    return plant


def no_gpu(site: ExaminedSite) -> None:
    site.add('device = "cuda"')
    site.patch.setattr(torch.cuda, "is_available", lambda: False)


def gpu_memory(free: int, whole: int) -> Plant:
    def plant(site: ExaminedSite) -> None:
        site.add('device = "cuda"')
        site.patch.setattr(torch.cuda, "is_available", lambda: True)
        site.patch.setattr(torch.cuda, "mem_get_info", lambda device: (free, whole))

    return plant


def many_threads(site: ExaminedSite) -> None:
    site.add("threads = 100000")
