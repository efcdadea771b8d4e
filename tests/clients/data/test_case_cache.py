"""Rules of the cache of prepared cases: it never gives a wrong case, and never stops a run."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clients.data.case_cache import LOOKS, CaseCache, case_key
from clients.imaging.volume import Volume
from clients.preparation import prepare as prepare_module
from clients.preparation.prepare import Prepared, prepare, undo
from clients.preparation.settings import AS_READ, PrepareSettings
from strategies.errors import DataError, RunFolderError

AFFINE = np.diag([-1.0, 2.0, 1.0, 1.0])
SETTINGS = PrepareSettings(orientation="RAS", spacing=(1.0,), size=(10,))


def made(seed: int = 0, masked: bool = True) -> Prepared:
    rng = np.random.default_rng(seed)
    values, labels = rng.random((1, 8, 6, 7)), rng.integers(0, 3, (1, 8, 6, 7))
    image, mask = (
        Volume(values, values, "numbers", AFFINE),
        Volume(labels, labels, "numbers", AFFINE),
    )
    return prepare(image, mask if masked else None, "mask" if masked else "class", SETTINGS)


def never() -> Prepared:
    raise AssertionError("it is in the cache")


def same(one: Prepared, other: Prepared) -> bool:
    targets = one.target, other.target
    return (
        (
            one.image.tobytes() == other.image.tobytes()
            and one.spacing == other.spacing
            and repr(one.geometry) == repr(other.geometry)
            and all(each is None for each in targets)
        )
        or np.array_equal(*targets)  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("masked", [True, False])
def test_case_is_made_once(tmp_path: Path, masked: bool) -> None:
    case = made(masked=masked)
    first = CaseCache(tmp_path / "cache").prepared("a", lambda: case)
    again = CaseCache(tmp_path / "cache").prepared("a", never)
    assert same(first, case) and same(again, case)
    assert isinstance(again.image, np.memmap) and not again.image.flags.writeable
    if again.target is not None:
        back = undo(np.asarray(again.target), again.geometry, labels=True)
        np.testing.assert_array_equal(back, undo(case.target, case.geometry, True))  # type: ignore[arg-type]


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    cache = CaseCache(tmp_path / "above" / "cache")
    cache.prepared("a", made)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    files = list(cache.folder.iterdir())
    assert len(files) == 4 and all(path.stat().st_mode & 0o777 == 0o600 for path in files)


def test_key_is_of_all_that_counts_and_of_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {"a.npy": b"1", "b.npy": b"2", "same.npy": b"1", "a.dcm": b"1"}
    paths = {name: tmp_path / name for name in contents}
    for name, content in contents.items():
        paths[name].write_bytes(content)
    a, b = paths["a.npy"], paths["b.npy"]
    keys = [
        case_key([a], [b], "mask", AS_READ),
        case_key([a, b], [], "mask", AS_READ),
        case_key([b], [a], "mask", AS_READ),
        case_key([a], [b], "image", AS_READ),
        case_key([paths["a.dcm"]], [b], "mask", AS_READ),
        case_key([a], [b], "mask", SETTINGS),
    ]
    assert len(set(keys)) == len(keys)
    assert case_key([paths["same.npy"]], [b], "mask", AS_READ) == keys[0]
    monkeypatch.setattr("clients.data.case_cache.VERSION", prepare_module.VERSION + 1)
    assert case_key([a], [b], "mask", AS_READ) != keys[0]
    with pytest.raises(DataError, match="cannot be read"):
        case_key([tmp_path / "none.npy"], [], "class", AS_READ)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_last(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def flip_first(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


@pytest.mark.parametrize(
    "damage", [cut, flip_last, flip_first, Path.unlink], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("part", ["json", "image.npy", "target.npy"])
def test_damaged_case_is_made_again(
    tmp_path: Path, damage: Callable[[Path], None], part: str
) -> None:
    CaseCache(tmp_path).prepared("a", made)
    damage(tmp_path / f"a.{part}")
    calls: list[int] = []
    found = CaseCache(tmp_path).prepared("a", lambda: calls.append(1) or made())  # type: ignore[func-returns-value]
    assert same(found, made()) and calls == [1]
    assert same(CaseCache(tmp_path).prepared("a", never), made())


def test_least_recently_used_cases_go_first(tmp_path: Path) -> None:
    one = CaseCache(tmp_path)
    one.prepared("0", made)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    most = 3 * size + 8192
    for number, key in enumerate("123456"):
        CaseCache(tmp_path, most).prepared(key, lambda: made(number))  # noqa: B023
        os.utime(tmp_path / f"{key}.json", (number, number))
        CaseCache(tmp_path, most).prepared("0", never)  # stays in use
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= most
    kept = {path.stem for path in tmp_path.glob("*.json")}
    assert kept == {"0", "5", "6"}
    assert {path.name.partition(".")[0] for path in tmp_path.glob("*.npy")} == kept


def test_more_cases_than_there_is_room_for_are_found_again_in_part(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A start goes through all cases in one order: the last ones must not push out the first."""
    CaseCache(tmp_path / "size").prepared("0", made)
    size = sum(path.stat().st_size for path in (tmp_path / "size").iterdir())
    made_now: list[list[int]] = []
    for _ in range(2):
        cache, calls = CaseCache(tmp_path / "cache", 4 * size + 16384), list[int]()
        for number in range(10):
            found = cache.prepared(str(number), lambda: calls.append(number) or made(number))  # type: ignore[func-returns-value] # noqa: B023
            assert same(found, made(number))
        made_now.append(calls)
        held = sum(path.stat().st_size for path in (tmp_path / "cache").iterdir())
        assert held <= cache.most_bytes
    first, second = made_now
    assert first == list(range(10)) and 4 <= 10 - len(second) < 10
    assert sum("is full" in record.getMessage() for record in caplog.records) == 2


def test_many_cases_take_as_long_as_few_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, looks = CaseCache(tmp_path), list[int]()
    sweep = CaseCache._sweep
    monkeypatch.setattr(CaseCache, "_sweep", lambda self: looks.append(1) or sweep(self))  # type: ignore[func-returns-value]
    for number in range(LOOKS + 5):
        cache.prepared(str(number), made)
    assert len(looks) == 2


def test_case_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = CaseCache(tmp_path, most_bytes=1000)
    assert same(cache.prepared("a", made), made())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_full_disk_loses_the_cache_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    cache = CaseCache(tmp_path / "cache")
    cache.prepared("before", made)

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(os, call, full)
        for key in "abc":
            assert same(cache.prepared(key, made), made())
        assert same(cache.prepared("before", never), made())
    (said,) = caplog.records
    assert "not kept" in said.message and "No space left" in said.message
    assert {path.stem for path in cache.folder.glob("*.json")} == {"before"}


def test_folder_that_cannot_be_made_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("x")
    assert same(CaseCache(tmp_path / "file" / "cache").prepared("a", made), made())
    assert any("not kept" in record.message for record in caplog.records)


def test_error_of_the_reader_is_not_hidden(tmp_path: Path) -> None:
    def broken() -> Prepared:
        raise DataError("a bad image", "a good one", "mend it", DataError.UNREADABLE)

    with pytest.raises(DataError, match="a bad image"):
        CaseCache(tmp_path).prepared("a", broken)
    assert not list(tmp_path.glob("*.json"))


def test_cleared_cache_is_empty(tmp_path: Path) -> None:
    cache = CaseCache(tmp_path / "cache")
    cache.clear()
    for key in "ab":
        cache.prepared(key, made)
    held = cache.prepared("a", never)
    cache.clear()
    assert [path.name for path in cache.folder.iterdir()] == [".lock"]
    assert same(held, made())  # a run that uses it goes on
    cache.folder.chmod(0o500)
    try:
        if os.geteuid() != 0:
            with pytest.raises(RunFolderError):
                cache.clear()
    finally:
        cache.folder.chmod(0o700)


FILLING = """
import sys
from pathlib import Path
from clients.data.case_cache import CaseCache
from tests.clients.data.test_case_cache import made, same
cache = CaseCache(Path(sys.argv[1]), int(sys.argv[2]))
print("ready", flush=True)
for turn in range(int(sys.argv[3])):
    for number in range(6):
        assert same(cache.prepared(f"case-{number}", lambda: made(number)), made(number))
"""


def fill(folder: Path, most: int, turns: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FILLING, str(folder), str(most), str(turns)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("most", [2**30, 40_000])
def test_two_processes_fill_it_at_once(tmp_path: Path, most: int) -> None:
    folder = tmp_path / "cache"
    with fill(folder, most, 3) as one, fill(folder, most, 3) as other:
        assert [each.wait(120) for each in (one, other)] == [0, 0]
    files = list(folder.iterdir())
    assert sum(path.stat().st_size for path in files) <= most
    cases = {path.stem for path in files if path.suffix == ".json"}
    assert {path.name.partition(".")[0] for path in files if path.suffix == ".npy"} == cases
    assert cases if most < 2**30 else len(cases) == 6


@pytest.mark.slow
def test_killed_process_leaves_no_wrong_case(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    for delay in (0.0, 0.004, 0.03):
        with fill(folder, 40_000, 10_000) as process:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            time.sleep(delay)
            process.kill()
    cache = CaseCache(folder)
    for number in range(6):
        assert same(cache.prepared(f"case-{number}", lambda: made(number)), made(number))  # noqa: B023
    names = {path.name for path in folder.iterdir()}
    assert len(names) == 1 + 3 * 6  # the lock, and three files a case: nothing is left over
