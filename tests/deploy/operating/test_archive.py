"""Nothing but a whole archive of known names is unpacked, and nothing outside of its folder."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.operating.archive import MANIFEST, Manifest, pack, unpack
from strategies.errors import DeploymentError, RunFolderError

FILES = {"site.toml": b'vendor = "a"\n', "identity/signing.key": b"secret"}
Change = Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    made = datetime(2026, 1, 2, tzinfo=UTC)
    manifest = Manifest(
        vendor="a",
        federation="f" * 64,
        edition=1,
        edition_hash="f" * 64,
        term=0,
        head="",
        made=made,
        files={},
    )
    pack(tmp_path / "site.backup", manifest, {**FILES, "state/best.safetensors": tmp_path / "no"})
    return tmp_path / "site.backup"


def altered(archive: Path, change: Change) -> Path:
    """Return the archive with other entries."""
    with tarfile.open(archive) as old:
        entries = [(each, old.extractfile(each).read()) for each in old]  # type: ignore[union-attr]
    change(entries)
    with tarfile.open(archive, "w") as new:
        for entry, data in entries:
            new.addfile(entry, io.BytesIO(data))
    return archive


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    data = b"evil" if kind == tarfile.REGTYPE else b""
    info.size = len(data)
    return info, data


def refused(archive: Path, folder: Path, match: str) -> None:
    """Check that the archive is refused, and that nothing is written beside ``folder``."""
    folder.mkdir()
    before = {each for each in folder.parent.rglob("*") if not each.is_relative_to(folder)}
    with pytest.raises(DeploymentError, match=match) as told:
        unpack(archive, folder)
    assert told.value.code == DeploymentError.ARCHIVE
    assert {each for each in folder.parent.rglob("*") if not each.is_relative_to(folder)} == before
    assert not any(each.is_symlink() for each in folder.rglob("*"))


def test_archive_comes_back_as_it_was_and_is_for_its_user_alone(
    archive: Path, tmp_path: Path
) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    (tmp_path / "to").mkdir()
    manifest = unpack(archive, tmp_path / "to")
    assert set(manifest.files) == set(FILES), "a file that is gone by now is left out"
    for name, data in FILES.items():
        path = tmp_path / "to" / name
        assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (data, 0o600)


@pytest.mark.parametrize(
    "strange",
    [
        entry("../outside"),
        entry("/tmp/outside"),
        entry("identity/../../outside"),
        entry("identity/node-..%2f.key/x"),
        entry("identity/starts"),
        entry("identity/privacy.anchor"),
        entry("state/privacy.sqlite"),
        entry("state/ledger.sqlite-wal"),
        entry("state/models/x.safetensors"),
        entry("state/best.safetensors", tarfile.SYMTYPE, "/etc/passwd"),
        entry("state/best.safetensors", tarfile.LNKTYPE, "site.toml"),
        entry("identity", tarfile.SYMTYPE, ".."),
        entry("state", tarfile.DIRTYPE),
        entry("state/best.safetensors", tarfile.FIFOTYPE),
        entry("state/best.safetensors", tarfile.CHRTYPE),
        entry("site.toml"),
        entry("membership.toml"),  # a good name, which the manifest does not have
    ],
    ids=lambda each: f"{each[0].name}-{each[0].type.decode()}",
)
@pytest.mark.parametrize("first", [True, False])
def test_strange_entry(
    archive: Path, tmp_path: Path, strange: tuple[tarfile.TarInfo, bytes], first: bool
) -> None:
    altered(archive, lambda entries: entries.insert(0 if first else len(entries), strange))
    refused(archive, tmp_path / "to", "with")


def test_changed_byte_missing_file_and_missing_end(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    archive.write_bytes(whole.replace(b"secret", b"sacred"))
    refused(archive, tmp_path / "1", "other content")
    archive.write_bytes(whole)
    altered(archive, lambda entries: entries.pop(0))
    refused(archive, tmp_path / "2", "other content than its manifest says: site.toml")
    archive.write_bytes(whole)
    altered(archive, lambda entries: entries.pop())
    refused(archive, tmp_path / "3", f"no {MANIFEST}")
    for number, length in enumerate(range(0, len(whole.rstrip(b"\0")), 100), start=4):
        archive.write_bytes(whole[:length])
        refused(archive, tmp_path / str(number), "with")


def test_archive_that_cannot_be_written_whole_leaves_the_older_one(
    archive: Path, tmp_path: Path
) -> None:
    before = archive.read_bytes()
    (tmp_path / "to").mkdir()
    manifest = unpack(archive, tmp_path / "to")
    with pytest.raises(RunFolderError):
        pack(archive, manifest, {**FILES, "membership.toml": tmp_path})
    assert archive.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {archive.name, "to"}


def test_no_archive_at_all(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", tmp_path / "1", "nothing that can be read")
    refused(tmp_path, tmp_path / "2", "nothing that can be read")
    (tmp_path / "text").write_text("a text that is long enough\n" * 99)
    refused(tmp_path / "text", tmp_path / "3", "broken")


@pytest.mark.parametrize(
    ("change", "match"),
    [({"version": 2}, "version 2"), ({"vendor": 7}, "cannot be read"), ({"x": 1}, "cannot be")],
)
def test_manifest_of_another_kind(
    archive: Path, tmp_path: Path, change: dict[str, object], match: str
) -> None:
    def change_manifest(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        info, data = entries.pop()
        data = json.dumps(json.loads(data) | change).encode()
        info.size = len(data)
        entries.append((info, data))

    altered(archive, change_manifest)
    refused(archive, tmp_path / "to", match)
