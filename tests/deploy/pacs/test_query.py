"""Query files and the table ``[pacs]``: all problems at once, and nothing of a patient quoted."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.pacs.query import Query, fits, read_query
from deploy.site.pacs_settings import PacsSettings
from strategies.errors import ConfigurationError
from tests.support.dicom_files import CANARY


def written(folder: Path, text: str) -> Path:
    path = folder / "query.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_query_is_read(tmp_path: Path) -> None:
    text = 'modality = ["CT"]\nfirst-date = 2023-01-01\nbody-part = "LIVER"\npatients = ["1"]\n'
    query = read_query(written(tmp_path, text))
    first = date(2023, 1, 1)
    assert query == Query(modality=("CT",), first_date=first, body_part="LIVER", patients=("1",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "modality: Field required"),
        ("modality = []", "modality: "),
        ('modality = ["C*"]', "modality that are not empty"),
        ('modality = [""]', "modality that are not empty"),
        ('modality = ["CT"]\npatients = ["CANARY,2"]', "patients that are not empty"),
        ('modality = ["CT"]\npatients = ["CANARY*"]', "patients that are not empty"),
        ('modality = ["CT"]\naccessions = ["CANARY\\\\2"]', "accessions that are not empty"),
        ('modality = ["CT"]\npatients = ["CANARY"]\naccessions = ["1"]', "not both"),
        ('modality = ["CT"]\nfirst-date = "CANARY"', "first-date: "),
        ('modality = ["CT"]\nfirst-date = 2024-01-02\nlast-date = 2024-01-01', "not before"),
        ('modality = ["CT"]\npatient = "CANARY"', "patient: "),
        ('modality = ["CT"]\npatients = CANARY', "it is not TOML"),
        ('modality = ["CT"]\nmost-series = 0', "most-series: "),
    ],
)
def test_wrong_query_is_refused_and_not_quoted(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_query(written(tmp_path, text))
    assert words in str(caught.value) and CANARY not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_query_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read"):
        read_query(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("wanted", "text", "expected"),
    [
        ("liver", "LIVER ", True),
        ("liver", "liver portal", False),
        ("*portal*", "Liver PORTAL venous", True),
        ("t?", "T1", True),
        ("t?", "T", False),
        ("*", "", True),
        ("", "", True),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("*a*a*a*a*a*b", "a" * 60, False),
        ("one*two", "one\ntwo", True),
    ],
)
def test_descriptions_are_compared(wanted: str, text: str, expected: bool) -> None:
    assert fits(wanted, text) is expected


@pytest.mark.parametrize(
    "address",
    [
        "https://pacs.example.org/dicom-web",
        "https://pacs.example.org:8443/rs/",
        "http://localhost:8042/dicom-web",
        "http://127.0.0.2:8042/dicom-web",
        "http://[::1]:8042/dicom-web",
    ],
)
def test_address_is_taken(address: str) -> None:
    assert PacsSettings(address=address).address == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    [
        "http://pacs.example.org/dicom-web",
        "http://10.0.0.1/dicom-web",
        "http://127.0.0.1.example.org/dicom-web",
        "http://localhost.example.org/",
        "https://me:CANARY@pacs.example.org/",
        "https://CANARY@pacs.example.org/",
        "https://pacs.example.org/?key=CANARY",
        "https://pacs.example.org/#CANARY",
        "https://pacs.example.org:CANARY/",
        "https://[CANARY/",
        "ftp://pacs.example.org/",
        "pacs.example.org",
        "https://",
        "",
    ],
)
def test_address_is_refused_and_not_quoted(address: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PacsSettings(address=address)
    (problem,) = caught.value.errors(include_input=False)
    assert "expected" in problem["msg"] and CANARY not in problem["msg"]
