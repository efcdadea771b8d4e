"""Rules of the file ``manifest.csv``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.data.manifest.rows import COLUMNS, Row, read_manifest, write_manifest
from strategies.errors import DataError

ROW = Row("c1", "p1", "images/a b.nii.gz", "masks/ä.nii.gz", "train", "f" * 64, vendor="ge")
texts = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.builds(
            Row,
            case=texts,
            patient=texts,
            image=texts,
            target=texts,
            split=st.just("test"),
            record=texts,
            model=texts,
        ),
        unique_by=lambda row: row.case,
        max_size=5,
    )
)
def test_rows_come_back_as_they_were_written(tmp_path: Path, rows: list[Row]) -> None:
    write_manifest(tmp_path / "m.csv", rows)
    assert sorted(read_manifest(tmp_path / "m.csv"), key=lambda r: r.case) == sorted(
        rows, key=lambda r: r.case
    )


def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.csv", [ROW])
    assert (tmp_path / "m.csv").stat().st_mode & 0o777 == 0o600


def refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_manifest(path)
    return caught.value


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "m.csv").code == DataError.MISSING


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("split", "spilt"), "its columns are"),
        (lambda text: text.replace("train", "trian"), "the split 'trian'"),
        (lambda text: text.replace(",ge", ",ge,x,y,z,a,b"), "another number of columns"),
        (lambda text: text.rpartition(",train")[0], "another number of columns"),
        (lambda text: text + text.splitlines()[1] + "\n", "a case that is there already"),
        (lambda text: "", "its columns are missing"),
        (lambda text: "\x00\x01", "its columns are"),
    ],
    ids=["column", "split", "more", "cut", "twice", "empty", "bytes"],
)
def test_damaged_file_is_refused(tmp_path: Path, change: object, words: str) -> None:
    path = tmp_path / "m.csv"
    write_manifest(path, [ROW])
    assert callable(change)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    error = refused(path)
    assert words in error.found and error.code == DataError.UNREADABLE
    assert ", ".join(COLUMNS) in error.expected


def test_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    write_manifest(path, [ROW, replace(ROW, case="c2", image="z", split="test")])
    error = refused(path)
    assert "line 3: a patient of train in test" in error.found
    assert "p1" not in str(error)
