"""Results take no place that anything has, and only their owner reads them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import clients.files.new
from clients.files.new import write_new_file, write_new_folder
from strategies.errors import RunFolderError


def write(path: Path, is_folder: bool) -> None:
    if is_folder:
        write_new_folder(path, {"1": b"new", "2": b"new"})
    else:
        write_new_file(path, b"new")


@pytest.mark.parametrize("is_folder", [False, True])
def test_only_the_owner_reads_results(tmp_path: Path, is_folder: bool) -> None:
    umask = os.umask(0o022)
    try:
        write(tmp_path / "a", is_folder)
    finally:
        os.umask(umask)
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("is_folder", [False, True])
@pytest.mark.parametrize("there", ["a file", "a folder", "a link to nothing"])
@pytest.mark.parametrize("comes_late", [False, True])
def test_nothing_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_folder: bool, there: str, comes_late: bool
) -> None:
    path = tmp_path / "a"
    match there:
        case "a file":
            path.write_bytes(b"old")
        case "a folder":
            path.mkdir()
            (path / "1").write_bytes(b"old")
        case _:
            path.symlink_to(tmp_path / "nothing")
    before = path.lstat()
    if comes_late:  # another call is as far as this one
        monkeypatch.setattr(clients.files.new, "_check_new", lambda path: None)
    with pytest.raises(FileExistsError):
        write(path, is_folder)
    assert path.lstat().st_ino == before.st_ino
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_file_system_without_links_is_written_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*_: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", without)
    write_new_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("is_folder", [False, True])
def test_folder_that_cannot_be_written_is_one_error(tmp_path: Path, is_folder: bool) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="could not be written"):
        write(tmp_path / "file" / "a", is_folder)
