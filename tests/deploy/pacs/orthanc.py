"""Orthanc, a real PACS, with its DICOMweb plugin: unpacked into a folder, installed nowhere."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.deploy.pacs.made_up_pacs import in_parts
from tests.support.waiting import PATIENCE_SECONDS, wait_until

PACKAGES = (
    *("orthanc", "orthanc-dicomweb", "libdcmtk17", "libcivetweb1", "liblua5.3-0"),
    *("libpugixml1v5", "libboost-locale1.74.0", "libboost-thread1.74.0", "libwrap0"),
)
"""Of Debian 12, without what such a machine has anyway: 9 MB."""
USER, PASSWORD = "srflm", "secret"


def unpacked(folder: Path) -> Path:
    """Return a folder with Orthanc's packages unpacked; skip where they cannot be had."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip("no apt-get, which fetches Orthanc")
    command = ["apt-get", "-qq", "download", *PACKAGES]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    packages = sorted(folder.glob("*.deb"))
    if ended.returncode != 0 or len(packages) != len(PACKAGES):
        pytest.skip("apt-get has no packages of Orthanc (no network, or another system)")
    for package in packages:
        subprocess.run(["dpkg", "-x", package, folder / "root"], check=True)
    return folder / "root"


class Orthanc:
    """A running server; ``address`` is that of its DICOMweb service."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/dicom-web"
        self.http = httpx.Client(auth=(USER, PASSWORD), trust_env=False, timeout=PATIENCE_SECONDS)

    def is_up(self) -> bool:
        """Return whether the server answers."""
        try:
            return self.http.get(f"{self.address}/studies?limit=1").status_code == 200
        except httpx.TransportError:
            return False

    def store(self, content: bytes) -> None:
        """Store one DICOM file (STOW-RS)."""
        body, kind = in_parts(content)
        headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
        answer = self.http.post(f"{self.address}/studies", content=body, headers=headers)
        assert answer.status_code == 200, answer.text

    def stored(self) -> int:
        """Return the number of images at the server, by its own count."""
        base = self.address.removesuffix("/dicom-web")
        return int(self.http.get(f"{base}/statistics").json()["CountInstances"])


@contextmanager
def running(root: Path, folder: Path) -> Iterator[Orthanc]:
    """Start a server in ``folder`` on a free port, and stop it at the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "Plugins": [str(root / "usr/share/orthanc/plugins/libOrthancDicomWeb.so")],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    dictionaries = [root / "usr/share/libdcmtk17" / name for name in ("dicom.dic", "private.dic")]
    libraries = sorted({str(path.parent) for path in root.rglob("*.so*")})
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join(libraries),
        "DCMDICTPATH": ":".join(map(str, dictionaries)),
    }
    command = [root / "usr/sbin/Orthanc", folder / "orthanc.json"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    server = Orthanc(port)
    try:
        wait_until(lambda: server.is_up() or process.poll() is not None, "Orthanc does not answer")
        if process.poll() is not None:
            pytest.skip(f"Orthanc does not run here: {(folder / 'log').read_text()[-300:]}")
        yield server
    finally:
        server.http.close()
        process.terminate()
        process.wait(PATIENCE_SECONDS)
