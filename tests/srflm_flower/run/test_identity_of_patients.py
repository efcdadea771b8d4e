"""Nothing that names a patient is in what a run sends, logs, draws, or keeps: canaries look for it.

The canary stands in all texts, dates, and names of the headers, and in the names of all files and
folders below a vendor's own.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import pickle
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage
from typer.testing import CliRunner

from clients.data.sources import forget_cached_data
from deploy.cli import app
from srflm_flower import client_app
from srflm_flower.federation.loading import load_federation
from srflm_flower.run.conduct import ConductedRun
from srflm_flower.run.folder import create_run_folder
from srflm_flower.run.memory_grid import Deliver, MemoryGrid
from strategies.errors import DataError, SrflmError
from tests.support.dicom_files import CANARY, write_dicom

FEDERATION = """
name = "hidden"
[data]
source = "files"
most-unreadable = 0.5
prepare = {window = [-1000, 1000]}
[task]
classes = ["benign", "malignant"]
[model]
network = "small-cnn"
width = 8
[training]
batch-size = 2
[run]
rounds = 1
device = "cpu"
[[vendors]]
name = "a"
path = "a"
[[vendors]]
name = "b"
path = "b"
"""

PATIENTS = 10
Spoil = Callable[[Path], object]


def _rewritten(**changes: Any) -> Spoil:
    return lambda path: write_dicom(path, _pixels(77), **changes)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


BAD: dict[str, Spoil] = {
    "nothing": lambda _: None,
    "gone": lambda path: path.unlink(),
    "no DICOM": lambda path: path.write_bytes(f"{CANARY} is the name".encode()),
    "truncated": _truncated,
    "other pixels": _rewritten(),
    "no pixels": _rewritten(PixelData=None),
    "a value that is none": _rewritten(RescaleSlope=CANARY),
    "a syntax that nothing decodes": _rewritten(syntax="1.2.840.10008.1.2.4.100"),
    "secondary capture": _rewritten(SOPClassUID=SecondaryCaptureImageStorage),
}
"""What happens to a patient's image after the folder was indexed."""


def _pixels(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    return rng.integers(0, 2000, (16, 16)).astype(np.int16)


def write_vendor(folder: Path, first: int) -> list[Path]:
    """Write images of ten patients in folders of classes; return their paths."""
    paths = []
    for number in range(first, first + PATIENTS):
        kind = "benign" if number % 2 else "malignant"
        path = folder / kind / f"{CANARY} Doe-{number}" / f"{CANARY} 19500101 {number} é.dcm"
        path.parent.mkdir(parents=True)
        uid = f"1.2.3.{number}"
        names = {"PatientID": f"{CANARY}-{number}", "SeriesInstanceUID": uid}
        write_dicom(path, _pixels(number), SOPClassUID=CTImageStorage, **names)
        paths.append(path)
    return paths


@pytest.fixture
def hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with an indexed federation of two vendors, and the user's own folders."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "federation.toml"
    file.write_text(FEDERATION, encoding="utf-8")
    for number, name in enumerate("ab"):
        assert len(write_vendor(tmp_path / name, 100 * number)) == PATIENTS
        said("data", "index", tmp_path / name, file)
    forget_cached_data()
    return tmp_path


def said(*words: object) -> str:
    """Run a command that succeeds; return what it printed."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def contents(folder: Path) -> Iterator[bytes]:
    """Yield the place and the content of every file, and all that is packed in it."""
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        yield str(path.relative_to(folder)).encode()
        yield from unpacked(path.read_bytes())


def unpacked(data: bytes) -> Iterator[bytes]:
    """Yield data, and what is in it as zlib (PNG, PDF), gzip, base64 (HTML), and JSON's escapes."""
    yield data
    for found in re.finditer(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08", data):
        with suppress(zlib.error):
            yield zlib.decompressobj(wbits=47).decompress(data[found.start() :])
    for found in re.finditer(rb"base64,([A-Za-z0-9+/=]+)", data):
        with suppress(ValueError):
            yield from unpacked(base64.b64decode(found[1]))
    if b"\\u" in data:
        yield re.sub(rb"\\u00([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), data)


def has_canary(data: bytes) -> bool:
    """Return whether the canary is in the data, in any letters of one or two bytes."""
    low = data.lower()
    return any(CANARY.lower().encode(code) in low for code in ("ascii", "utf-16-le", "utf-16-be"))


@pytest.mark.parametrize("bad", ["gone", "truncated"])
def test_site_that_stops_shows_no_patient(
    hidden: Path, bad: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """One bad image of ten is more than the share that the agreed file allows."""
    file = hidden / "federation.toml"
    file.write_text(FEDERATION.replace("most-unreadable = 0.5\n", ""), encoding="utf-8")
    BAD[bad](sorted((hidden / "a").rglob("*.dcm"))[3])
    federation = load_federation(file)
    run = create_run_folder(federation, hidden / "run", hidden, alone=True)
    with caplog.at_level(logging.DEBUG), pytest.raises(SrflmError) as caught:
        ConductedRun(run, federation).conduct(MemoryGrid(client_app.app, 2, run.path))
    texts = [str(caught.value), *(record.getMessage() for record in caplog.records)]
    texts += capfd.readouterr()
    texts.append(CliRunner().invoke(app, ["config", "check", str(file)]).output)
    logs = b"".join(contents(run.path))
    assert DataError.UNREADABLE.encode() in logs, "the site's log says why it stopped"
    shown = [data for data in (logs, *(text.encode() for text in texts)) if has_canary(data)]
    assert shown == []


@pytest.mark.parametrize("bad", BAD)
def test_run_shows_no_patient(
    hidden: Path,
    bad: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    file = hidden / "federation.toml"
    BAD[bad](sorted((hidden / "a").rglob("*.dcm"))[3])
    sent: list[bytes] = []

    def listening(message: Message, deliver: Deliver) -> Message | None:
        sent.append(pickle.dumps(message.content))
        reply = deliver(message)
        if reply is not None:
            has = reply.has_content()
            sent.append(pickle.dumps(reply.content) if has else reply.error.reason.encode())
        return reply

    federation = load_federation(file)
    run = create_run_folder(federation, hidden / "run", hidden, alone=True)
    with caplog.at_level(logging.DEBUG):
        grid = MemoryGrid(client_app.app, 2, run.path, listening)
        ConductedRun(run, federation).conduct(grid)
    printed = said("data", "preview", file, "--out", hidden / "run" / "preview.png")
    printed += said("config", "check", file)
    records = [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    out, err = capfd.readouterr()

    assert len(sent) > 10 and (run.path / "report.html").exists()
    everything = {
        "sent": sent,
        "logged": [text.encode() for text in records],
        "printed": [text.encode() for text in (printed, out, err)],
        "kept by the run": list(contents(run.path)),
        "kept by the user": [*contents(hidden / "state"), *contents(hidden / "cache")],
    }
    shown = {what: sum(map(has_canary, parts)) for what, parts in everything.items()}
    assert not any(shown.values()), shown
    if bad != "nothing":
        assert any("is left out" in text for text in records)


def test_canary_is_found_where_it_is(hidden: Path) -> None:
    """The same search finds it in the data, in the site's own table, and in packed streams."""
    assert sum(map(has_canary, contents(hidden / "a"))) == 2 * PATIENTS + 1
    text = f"a {CANARY}".encode()
    escaped = "".join(f"\\u00{byte:02x}" for byte in text).encode()
    packed = {
        "png": b"head" + zlib.compress(text),
        "quick": zlib.compress(text, 1),
        "gz": gzip.compress(text),
        "html": b'<img src="data:image/png;base64,' + base64.b64encode(zlib.compress(text)) + b'">',
        "json": json.dumps({"a": 1}).encode() + escaped,
    }
    for form, data in packed.items():
        (hidden / form).mkdir()
        (hidden / form / "x").write_bytes(data)
        assert any(map(has_canary, contents(hidden / form))), form
    (hidden / "names" / CANARY).mkdir(parents=True)
    (hidden / "names" / CANARY / "x").write_bytes(b"")
    assert any(map(has_canary, contents(hidden / "names")))
