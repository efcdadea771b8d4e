"""Secrets are planted in everything that a site logs: the file for support has none of them."""

from __future__ import annotations

import gzip
import json
import stat
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clients.files.locks import locked
from clients.files.rotation import old_file
from deploy.cli import app
from deploy.operating.support import allowed
from deploy.processes.supervisor import ProcessTable
from deploy.site.diagnosis import Diagnosis, Line, keep_diagnosis

SECRETS = (
    "/srv/images/st-mary",
    "C:\\Users\\mueller",
    "mueller",
    "MUELLER^HANS^^^",
    "Hans Müller",
    "PAT-0047110815",
    "0047110815",
    "1.2.840.113619.2.55.3.604688119",
    "19640229",
    "10.20.30.40",
    "2001:db8::feed:1",
    "pacs.st-mary.example",
    "vpn-gateway-7",
    "st-mary",
    "case_0815.nii.gz",
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEH",
    "5f4dcc3b5aa765d61d8327deb882cf99",
    "hunter2-token",
    "could not decode the pixel data of",
)
ALL = "; ".join(SECRETS)
VENDOR = "st-mary-radiology"
KEYS = (
    *(*allowed.WORDS, *allowed.NUMBERS, *allowed.VENDORS, *allowed.CODES, *allowed.TEXTS),
    *("found", "run", "address", "sources", "reason", "loss", "metrics", "record", "vendors"),
    *("from", "cert", "fp", "m", "ust", "urt", "dir", "after", "fields", "node", "what_happened"),
)
TEXTS = (
    "{}",
    "2026-11-30T02:14:48+0000 from {}: query.accept: [SRFLM-P11] found: {}; expected: {}",
    "11/30/2026 02:15:12:ERROR:[flwr-serverapp] Connected to {}",
    "2026/11/30 02:14:38 [error] 1#1: *5 connect() failed (111: {}) client: {}, server: {}",
    "ValueError: {}",
    '  File "/home/{}/site-packages/{}/net.py", line 3, in {}',
    'File "/opt/{}/lib/python3.11/{}.py", line 3, in {}',
    "\x1b[92mINFO \x1b[0m:      Successfully installed srflm-flower to {}",
    '{{"time": 1.0, "event": "{}"',  # cut short, so no JSON
    "Traceback (most recent call last): {}",
)


def planted_events() -> list[dict[str, object]]:
    """Return events with each secret under each name, as a name, and below other names."""
    found: list[dict[str, object]] = []
    for secret in SECRETS:
        found += [{"time": 1_796_000_000.5, "event": "failed", key: secret} for key in KEYS]
        found += [{"time": secret, "event": secret, secret: secret, "problem": {"a": [secret]}}]
        found += [{"t": "2026-11-30T02:14:50+00:00", "uri": f"/v1/fleet/get-run?{secret}"}]
        found += [{"event": "reply", "code": [secret], "vendor": {secret: 1}, "phase": None}]
    return found


def plant(path: Path) -> None:
    """Fill a log, and an old file of it, with secrets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [text.replace("{}", secret) for text in TEXTS for secret in (*SECRETS, ALL)]
    events = [json.dumps(event, ensure_ascii=False) for event in planted_events()]
    old_file(path, 1).write_text("".join(f"{line}\n" for line in texts), encoding="utf-8")
    path.write_text("".join(f"{line}\n" for line in (*events, *texts)), encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return the folder of a site that looks as if it were up, with secrets wherever one can be."""
    folder = tmp_path / "mueller" / "st-mary"
    folder.mkdir(parents=True)
    (folder / "site.toml").write_text(f'vendor = "{VENDOR}"\n')
    for name in sorted(allowed.FILES):
        where = {"edge": folder / "run" / "edge" / "logs", "state": folder / "state"}
        plant(where.get(name.partition("/")[0], folder / "logs") / name.rpartition("/")[2])
    for name in (f"supernode-{VENDOR}", "supernode-vpn-gateway-7", "mueller"):
        plant(folder / "logs" / f"{name}.log")
    line = Line(code="peer.reach", severity="error", about="st-mary", finding=ALL, mend=ALL)
    found = Diagnosis(
        vendor=VENDOR,
        federation="5f4dcc3b5aa765d61d8327deb882cf99",
        version=ALL,
        time=datetime(2026, 11, 30, tzinfo=UTC),
        quick=True,
        lines=(line, line),
    )
    keep_diagnosis(folder / "state", found)
    programs = {"worker": 1, "mueller": 2}
    table = ProcessTable(supervisor=1, programs=programs, restarts={"worker": 3}, since=0.0)
    (folder / "run" / "up.json").write_text(table.model_dump_json())
    return folder


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {each.name: archive.extractfile(each).read() for each in archive}  # type: ignore[union-attr]


def test_no_planted_secret_is_in_the_bundle(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "mueller-for-support.tar.gz"
    with locked(site / "run" / "site.lock"):
        ended = CliRunner().invoke(app, ["logs", str(site), "--bundle", str(path), "--yes"])
    assert ended.exit_code == 0, ended.output
    whole = gzip.decompress(path.read_bytes())  # with the names and owners in its heads
    text = whole.decode("utf-8", "replace").lower() + path.read_bytes()[:64].decode("latin-1")
    for secret in (*SECRETS, *(json.dumps(each)[1:-1] for each in SECRETS)):
        assert secret.lower() not in text, secret
    shown = ended.output.replace(str(path), "").lower()
    assert [each for each in SECRETS if each.lower() in shown] == []


def test_bundle_has_what_support_needs(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    with locked(site / "run" / "site.lock"):
        CliRunner().invoke(app, ["logs", str(site), "--bundle", str(path), "--yes"])
    found = members(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    logs = {f"logs/{name.removesuffix('.jsonl')}.jsonl" for name in allowed.FILES}
    peers = {"logs/supernode-this-site.log.jsonl", "logs/supernode-somebody.log.jsonl"}
    about = {"README.txt", "versions.json", "doctor.json", "programs.json"}
    assert {*found} == logs | peers | about
    versions = json.loads(found["versions.json"])
    assert {"Python", "flwr", "torch", "bundle"} <= {*versions}
    doctor = json.loads(found["doctor.json"])
    assert doctor["found"] == [{"code": "peer.reach", "severity": "error", "lines": 2}]
    programs = json.loads(found["programs.json"])
    assert programs == {"up": True, "programs": {"worker": {"runs": True, "restarts": 3}}}
    for name in logs:
        assert b'"event": "failed"' in found[name] and b"SRFLM-P11" in found[name], name
        assert b"left_out" in found[name]


def test_nothing_is_written_without_consent(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    for answer, code in (("n\n", 1), ("", 1), ("y\n", 0)):
        ended = CliRunner().invoke(app, ["logs", str(site), "--bundle", str(path)], input=answer)
        assert ended.exit_code == code
        assert "logs/worker.jsonl" in ended.output, "it says first what will be in it"
        assert path.exists() == (code == 0)


def test_no_file_is_replaced(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    path.write_text("mine")
    ended = CliRunner().invoke(app, ["logs", str(site), "--bundle", str(path), "--yes"])
    assert ended.exit_code != 0 and "which exists" in str(ended.exception)
    assert path.read_text() == "mine"


def test_site_without_logs_and_without_a_federation_has_a_bundle_too(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('vendor = "aster"\n')
    path = tmp_path / "bundle.tar.gz"
    ended = CliRunner().invoke(app, ["logs", str(tmp_path), "--bundle", str(path), "--yes"])
    assert ended.exit_code == 0, ended.output
    assert json.loads(members(path)["programs.json"]) == {"up": False, "programs": {}}
