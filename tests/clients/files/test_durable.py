"""Rules of writing: the old content or the new, never a mixture."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.files.durable import append_durably, sweep_temporaries, write_durably
from strategies.errors import RunFolderError
from tests.support.waiting import PATIENCE_SECONDS


def disk_full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let this process write no file beyond ``size`` bytes: what fits is written, as on a disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_content_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "x"
    for content in (b"old", b"", b"new" * 1000):
        write_durably(path, content)
        assert path.read_bytes() == content
    assert files_in(tmp_path) == ["x"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_old_content_stays_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "x"
    write_durably(path, b"old")
    monkeypatch.setattr(os, call, disk_full)
    with pytest.raises(RunFolderError) as caught:
        write_durably(path, b"new")
    assert caught.value.code == RunFolderError.NOT_WRITABLE
    assert "x could not be written (No space left on device)" in caught.value.found
    assert "committed terms are kept" in caught.value.mend
    assert path.read_bytes() == b"old"
    assert files_in(tmp_path) == ["x"]


def test_old_content_stays_when_the_new_one_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_durably(path, b"old")
    with largest_file(5000), pytest.raises(RunFolderError):
        write_durably(path, b"n" * 9000)
    assert path.read_bytes() == b"old"
    assert files_in(tmp_path) == ["x"]


def test_what_is_replaced_is_on_disk_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def noted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object) -> object:
            calls.append(name)
            return real(*args)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    write_durably(tmp_path / "x", b"new")
    assert calls == ["fsync", "replace", "fsync"]


@settings(deadline=None, max_examples=30)
@given(lines=st.lists(st.binary().filter(lambda line: b"\n" not in line), max_size=5))
def test_appended_lines_follow_one_another(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("append") / "x"
    for line in lines:
        append_durably(path, line)
    assert not lines or path.read_bytes() == b"".join(line + b"\n" for line in lines)


@pytest.mark.parametrize("torn", [1, 100, 8191, 8192, 8193, 30_000])
@pytest.mark.parametrize("before", [b"", b"one\n", b"one\n" + b"2" * 9000 + b"\n"])
def test_line_that_a_crash_cut_short_gives_way_to_the_next(
    tmp_path: Path, before: bytes, torn: int
) -> None:
    path = tmp_path / "x"
    path.write_bytes(before + b"t" * torn)
    append_durably(path, b"next")
    assert path.read_bytes() == before + b"next\n"


def test_failed_append_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    append_durably(path, b"one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", disk_full)
        with pytest.raises(RunFolderError):
            append_durably(path, b"two")
    assert path.read_bytes() == b"one\n"
    append_durably(path, b"two")
    assert path.read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize("room", [0, 1, 700, 8000])
def test_line_that_fits_only_in_part_leaves_the_file_as_it_was(tmp_path: Path, room: int) -> None:
    path = tmp_path / "x"
    append_durably(path, b"one")
    with largest_file(4 + room), pytest.raises(RunFolderError):
        append_durably(path, b"2" * 9000)
    assert path.read_bytes() == b"one\n"


def test_line_that_another_process_is_writing_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x"
    other = threading.Thread(target=append_durably, args=(path, b"next"))
    with path.open("ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b"ha")
        other.start()
        other.join(0.2)
        file.write(b"lf\n")
    other.join(PATIENCE_SECONDS)
    assert path.read_bytes() == b"half\nnext\n"


def test_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for write in (write_durably, append_durably):
        with pytest.raises(RunFolderError) as caught:
            write(tmp_path / "file" / "x", b"")
        assert caught.value.code == RunFolderError.NOT_WRITABLE


def test_sweep_deletes_what_a_killed_process_left_and_nothing_else(tmp_path: Path) -> None:
    kept = ["x", ".hidden", ".x.123", f"x.{'a' * 32}", f"a/.x.{'g' * 32}"]
    for name in [*kept, f".x.{'a' * 32}", f"a/b/.model.safetensors.{'0' * 32}"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    sweep_temporaries(tmp_path)
    assert files_in(tmp_path) == sorted(Path(name).name for name in kept)


def test_sweep_finds_the_temporaries_that_writing_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt  # not an OSError: nobody tidies up, as after kill -9

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_durably(tmp_path / "x", b"new")
    assert len(files_in(tmp_path)) == 1
    sweep_temporaries(tmp_path)
    assert files_in(tmp_path) == []
