"""A PACS of a few made-up files on loopback, which speaks just enough QIDO, WADO, and STOW."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from tests.support.dicom_files import CANARY, MR
from tests.support.dicom_series import affine_of, slices_of, write_series

BOUNDARY = "made-up"
STUDIES, SERIES_EACH, IMAGES_EACH = 2, 2, 3
RNG = np.random.default_rng(11)


@dataclass
class MadeUpPacs:
    """Files by (study, series, image), how the server behaves, and all that it was asked.

    ``answer`` may answer a request itself, in place of the server, and returns whether it did.
    """

    files: dict[tuple[str, str, str], bytes]
    address: str = ""
    limit: int = 1000
    keeps_limit: bool = True
    keeps_offset: bool = True
    told: bool = True
    answer: Callable[[Any], bool] = lambda handler: False
    asked: list[tuple[str, str]] = field(default_factory=list)
    queries: list[dict[str, list[str]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    stored: list[bytes] = field(default_factory=list)

    @property
    def images_asked(self) -> list[str]:
        """The paths of images that were asked for, in order."""
        return [path for _, path in self.asked if "/instances/" in path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    pacs: MadeUpPacs

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.pacs.asked.append(("GET", parts.path))
        self.pacs.queries.append(parse_qs(parts.query))
        self.pacs.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.pacs.answer(self):
            return
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match parts.path.strip("/").split("/"):
            case ["dicom-web", "studies"]:
                self._list({s: self._study(s) for s, _, _ in self.pacs.files}, query)
            case ["dicom-web", "studies", study, "series"]:
                names = {e: self._series(s, e) for s, e, _ in self.pacs.files if s == study}
                self._list(names, query)
            case ["dicom-web", "studies", study, "series", series, "instances"]:
                names = {
                    i: {"00080018": {"vr": "UI", "Value": [i]}}
                    for s, e, i in self.pacs.files
                    if (s, e) == (study, series)
                }
                self._list(names, query)
            case ["dicom-web", "studies", study, "series", series, "instances", image]:
                self.send(*in_parts(self.pacs.files[study, series, image]))
            case _:
                self.send(b"", "text/plain", 404)

    def do_POST(self) -> None:
        self.pacs.asked.append(("POST", self.path))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.pacs.answer(self):
            self.pacs.stored.append(body)
            self.send(b"[{}]", "application/dicom+json")

    def do_OTHER(self) -> None:
        self.pacs.asked.append((self.command, self.path))
        self.send(b"", "text/plain", 405)

    do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OTHER  # noqa: N815

    def send(self, body: bytes, kind: str, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _list(self, entries: dict[str, dict[str, Any]], query: dict[str, str]) -> None:
        found = list(entries.values())
        if self.pacs.keeps_offset:
            found = found[int(query.get("offset", 0)) :]
        if self.pacs.keeps_limit and "limit" in query:
            found = found[: min(int(query["limit"]), self.pacs.limit)]
        self.send(json.dumps(found).encode(), "application/dicom+json")

    def _study(self, study: str) -> dict[str, Any]:
        return {
            "0020000D": {"vr": "UI", "Value": [study]},
            "00080020": {"vr": "DA", "Value": ["20240517"]},
            "00081030": {"vr": "LO", "Value": [f"{CANARY} head"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": CANARY}]},
            "00100020": {"vr": "LO", "Value": [f"{CANARY}-1"]},
        }

    def _series(self, study: str, series: str) -> dict[str, Any]:
        keys = [key for key in self.pacs.files if key[:2] == (study, series)]
        told = {"00201209": {"vr": "IS", "Value": [len(keys)]}} if self.pacs.told else {}
        return {
            "0020000E": {"vr": "UI", "Value": [series]},
            "00080060": {"vr": "CS", "Value": ["MR"]},
            "0008103E": {"vr": "LO", "Value": [f"{CANARY} T1"]},
            "00080070": {"vr": "LO", "Value": ["SIEMENS"]},
            **told,
        }


def in_parts(content: bytes, boundary: str = BOUNDARY) -> tuple[bytes, str]:
    """Return the body and the content type of an answer with one object."""
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    kind = f'multipart/related; type="application/dicom"; boundary="{boundary}"'
    return head + content + f"\r\n--{boundary}--\r\n".encode(), kind


def made_up_files(folder: Path, images: int = IMAGES_EACH) -> dict[tuple[str, str, str], bytes]:
    """Write a few series of MR into a folder; return their files by study, series, and image."""
    for study in range(STUDIES):
        uid, patient = generate_uid(), f"{CANARY}-{study}"
        for series in range(SERIES_EACH):
            array = RNG.integers(0, 900, (8, 8, images)).astype(np.int16)
            about = {"StudyInstanceUID": uid, "PatientID": patient, "ImageType": ["ORIGINAL"]}
            slices = slices_of(array, affine_of())
            write_series(folder / f"{study}-{series}", slices, **MR, **about)
    return read_files(folder)


def read_files(folder: Path) -> dict[tuple[str, str, str], bytes]:
    """Return the DICOM files in a folder by study, series, and image."""
    files = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        tags = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
        header: Dataset = dcmread(path, specific_tags=tags)
        files[tuple(str(header[tag].value) for tag in tags)] = path.read_bytes()
    return files  # type: ignore[return-value]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that refuses the certificate, or has broken off."""


@contextmanager
def served(
    files: dict[tuple[str, str, str], bytes], tls: ssl.SSLContext | None = None
) -> Iterator[MadeUpPacs]:
    """Serve files inside the block, on a port that the system chooses."""
    pacs = MadeUpPacs(files)
    handler = type("Handler", (_Handler,), {"pacs": pacs})
    with _Server(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if tls is None else "https"
        pacs.address = f"{scheme}://127.0.0.1:{server.server_address[1]}/dicom-web"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield pacs
        finally:
            server.shutdown()
            thread.join()
