"""Laws of a later start: it opens no file that nobody has touched, and trusts no other."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clients.data.manifest import untouched
from clients.data.manifest.rows import read_manifest, write_manifest
from clients.data.manifest.untouched import Untouched
from clients.data.vendor_data import SPLITS
from strategies.errors import DataError
from tests.clients.data.manifest.test_indexing import write_nifti
from tests.clients.data.manifest.test_loading import indexed, load

LOADING = "clients.data.manifest.loading"


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untouched, "SETTLED", -1e9)


@pytest.mark.usefixtures("_settled")
def test_later_start_opens_no_source_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = indexed(tmp_path)
    first = load(folder)
    for name in ("read_volume", "case_key", "source_of"):  # the three that open sources
        monkeypatch.setattr(f"{LOADING}.{name}", None)
    second = load(folder)
    for name in SPLITS:
        assert len(first.split(name)) == len(second.split(name)) > 0
        pairs = zip(first.split(name).whole(), second.split(name).whole(), strict=True)
        assert all(torch.equal(one.images, other.images) for one, other in pairs)


@pytest.mark.usefixtures("_settled")
def test_file_that_was_changed_in_secret_is_opened(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    load(folder)
    row = read_manifest(folder / "manifest.csv")[0]
    path = folder / row.image
    before = path.stat()
    content = bytearray(path.read_bytes())
    write_nifti(path, 999)
    path.write_bytes(path.read_bytes()[: len(content)].ljust(len(content), b"\0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and path.stat().st_mtime_ns == before.st_mtime_ns
    after = load(folder)
    assert row.record not in {name for split in SPLITS for name in after.split(split).records}


def test_file_that_has_just_changed_is_not_trusted(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    load(folder)
    assert not list((tmp_path / "cache").rglob("*.same"))


@pytest.mark.usefixtures("_settled")
def test_note_without_its_case_is_worth_nothing(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    first = load(folder)
    notes = list((tmp_path / "cache").rglob("*.same"))
    assert len(notes) == 10
    for path in (tmp_path / "cache").rglob("*.json"):
        path.unlink()
    notes[0].write_bytes(b"\xff../../x")
    assert load(folder).train.records == first.train.records


def test_state_follows_the_words_and_every_file_below(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(3):
        np.save(tmp_path / "a" / f"{number}.npy", np.zeros(4))

    def digest(*words: str) -> str:
        found = Untouched().state(list(words), [tmp_path / "a"])
        assert found is not None and not found.settled
        return found.digest

    first = digest("x")
    assert digest("x") == first != digest("y")
    np.save(tmp_path / "a" / "3.npy", np.zeros(4))
    assert digest("x") != first
    assert Untouched().state([], [tmp_path / "gone"]) is None


@pytest.mark.usefixtures("_settled")
def test_cached_case_has_the_whole_name_of_its_pixels(tmp_path: Path) -> None:
    """A manifest in which the end of a name was changed gets no image from the cache."""
    folder = indexed(tmp_path)
    load(folder)
    path = folder / "manifest.csv"
    rows = [replace(row, record=row.record[:16] + "0" * 48) for row in read_manifest(path)]
    write_manifest(path, rows)
    with pytest.raises(DataError, match="10 of 10 cases"):
        load(folder)


def test_manifest_beside_a_series_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "0.dcm").write_bytes(b"x")
    first = Untouched().state([], [tmp_path])
    (tmp_path / "manifest.csv").write_text("case")
    assert Untouched().state([], [tmp_path]) == first
