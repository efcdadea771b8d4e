"""The table of a pull is text that can be read again, whatever the PACS says of its series."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from deploy.pacs import dicom_json as tags
from deploy.pacs.dicom_json import MOST_LETTERS, text
from deploy.pacs.search import Series
from deploy.pacs.table import write_table
from strategies.errors import RunFolderError


def described(description: str, number: int = 1) -> Series:
    found = text({tags.SERIES_DESCRIPTION: {"Value": [description]}}, tags.SERIES_DESCRIPTION)
    return Series("1.2", f"3.{number}", 1, "MR", "20240517", found)


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("description", ["x" * 140_000, "x\ud800y", "a\0b", "a\rb,c"])
def test_any_description_is_written_and_the_next_pull_reads_it(
    tmp_path: Path, description: str
) -> None:
    path = tmp_path / "series.csv"
    write_table(path, [described(description)])
    write_table(path, [described("next", 2)])
    table = path.read_text(encoding="utf-8")
    assert "3.1" in table and "next" in table and len(table) < 2 * MOST_LETTERS


@pytest.mark.parametrize("sign", "=+-@")
def test_spreadsheet_runs_no_description(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "series.csv"
    write_table(path, [described(f'{sign}HYPERLINK("http://x")')])
    write_table(path, [described("next", 2)])
    assert [each["description"][:2] for each in rows(path)] == [f"'{sign}", "ne"]


def test_table_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    path.write_text("folder\n" + "x" * 140_000)
    with pytest.raises(RunFolderError, match="it is no table"):
        write_table(path, [described("next")])
