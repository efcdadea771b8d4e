"""Rules of a federation file whose vendors share one folder, divided by headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from srflm_flower.federation.loading import load_federation, with_changes
from tests.support.federation_files import loaded, problems_of

DIVIDED = '[data]\nsource = "files"\npath = "ct"\npartition = "manufacturer"\n'
GE_AND_CANON = '[[vendors]]\nname = "ge"\n[[vendors]]\nname = "canon"\n'


def test_path_is_from_the_files_folder_and_no_part_of_the_identity(tmp_path: Path) -> None:
    federation = loaded(tmp_path, DIVIDED + GE_AND_CANON)
    assert federation.data.path == tmp_path / "ct"  # type: ignore[union-attr]
    moved = with_changes(federation, data__path=tmp_path / "elsewhere")
    assert moved.hash == federation.hash
    others = [
        DIVIDED.replace("manufacturer", "model") + GE_AND_CANON,
        DIVIDED + GE_AND_CANON + 'holds = ["toshiba"]\n',
    ]
    assert len({federation.hash, *(loaded(tmp_path, text).hash for text in others)}) == 3


def test_written_file_is_read_alike(tmp_path: Path) -> None:
    federation = loaded(tmp_path, DIVIDED + GE_AND_CANON + 'holds = ["toshiba"]\n')
    again = tmp_path / "again.toml"
    again.write_text(federation.to_toml(), encoding="utf-8")
    assert load_federation(again) == federation


def test_site_with_a_folder_of_its_own_needs_no_part_of_the_divided_one(tmp_path: Path) -> None:
    own = GE_AND_CANON + 'path = "own"\n[[vendors]]\nname = "toshiba"\n'
    federation = loaded(tmp_path, DIVIDED + own)
    assert federation.member("canon").path == tmp_path / "own"


@pytest.mark.parametrize(
    ("text", "where", "mend"),
    [
        (
            DIVIDED.replace('path = "ct"\n', "") + GE_AND_CANON,
            "data.partition: found 'manufacturer'",
            'add path = "…"',
        ),
        (
            DIVIDED.replace('partition = "manufacturer"\n', "")
            + GE_AND_CANON.replace("]]\n", ']]\npath = "x"\n'),
            "data.path: found ",
            'add partition = "manufacturer"',
        ),
        (
            GE_AND_CANON + 'holds = ["toshiba"]\n',
            "vendors.canon.holds: found ['toshiba']",
            "remove it",
        ),
        (
            DIVIDED + GE_AND_CANON + '[[vendors]]\nname = "toshiba"\n',
            "vendors: found canon, toshiba for the manufacturer 'canon'",
            "correct holds",
        ),
        (
            DIVIDED.replace("manufacturer", "maker") + GE_AND_CANON,
            "data.partition: found 'maker'; expected one of 'manufacturer', 'model', 'kernel',",
            "change it",
        ),
        (
            DIVIDED + GE_AND_CANON + "holds = []\n",
            "vendors.1.holds: found []; expected an array of at least 1",
            "change it",
        ),
    ],
    ids=["no path", "no partition", "holds alone", "one maker twice", "no header", "holds none"],
)
def test_contradiction_is_one_line(tmp_path: Path, text: str, where: str, mend: str) -> None:
    found = problems_of(tmp_path, text)
    assert found.startswith("1 problem(s)"), found
    assert where in found and mend in found
