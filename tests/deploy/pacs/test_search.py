"""All series that fit are found, and no others, whatever the server ignores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from deploy.pacs import search
from deploy.pacs.connection import Connection
from deploy.pacs.query import Query
from deploy.pacs.search import FoundSeries, find_series, images_of
from deploy.site.pacs_settings import PacsSettings
from strategies.errors import PacsError
from tests.deploy.pacs.made_up_pacs import MadeUpPacs, served
from tests.support.dicom_files import CANARY

MR = {"modality": ("MR",)}
PAGE = 4


def found(pacs: MadeUpPacs, **query: Any) -> FoundSeries:
    with Connection(PacsSettings(address=pacs.address)) as connection:
        return find_series(connection, Query(**(MR | query)))


# ---- pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
@pytest.mark.parametrize(
    ("keeps_offset", "keeps_limit", "limit"),
    # A lower limit of its own, of a server without offsets, would hide the rest from everybody.
    [(True, True, 3), (True, True, 1000), (True, False, 0), (False, True, 1000), (False, False, 0)],
)
def test_whole_list_is_found(
    monkeypatch: pytest.MonkeyPatch, count: int, keeps_offset: bool, keeps_limit: bool, limit: int
) -> None:
    monkeypatch.setattr(search, "PAGE", PAGE)
    names = [f"1.2.{number}" for number in range(1, count + 1)]
    with served({("1.2", "1.3", name): b"" for name in names}) as pacs:
        pacs.keeps_offset, pacs.keeps_limit, pacs.limit = keeps_offset, keeps_limit, limit
        with Connection(PacsSettings(address=pacs.address)) as connection:
            assert images_of(connection, search.Series("1.2", "1.3")) == names


def test_list_without_an_end_is_given_up(pacs: MadeUpPacs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_STUDIES", 50)
    told = []

    def answer(handler) -> bool:
        told.append(len(told))
        body = f'[{{"0020000D": {{"vr": "UI", "Value": ["1.2.{len(told)}"]}}}}]'
        return handler.send(body.encode(), "application/dicom+json") is None

    pacs.answer = answer
    with pytest.raises(PacsError, match="more than 50 entries") as caught:
        found(pacs)
    assert caught.value.code == PacsError.ANSWER and len(told) == 51


# ---- what fits ---------------------------------------------------------------------------------


FITTING: list[dict[str, Any]] = [
    {},
    {"modality": ("CT", "MR")},
    {"series_description": f"{CANARY.lower()} t?"},
    {"series_description": "*T1"},
    {"study_description": "*HEAD*"},
    {"manufacturer": "Siemens*"},
    {"first_date": date(2024, 5, 17), "last_date": date(2024, 5, 17)},
    {"first_date": date(2024, 5, 17)},
    {"last_date": date(2024, 5, 17)},
    {"patients": (f"{CANARY}-1",)},
    {"accessions": ("1", "2")},
]
OTHERS: list[tuple[dict[str, Any], str, int]] = [
    ({"modality": ("CT",)}, "series of another modality", 4),
    ({"series_description": "T1"}, "series of another description", 4),
    ({"series_description": "[C]*"}, "series of another description", 4),
    ({"study_description": "head"}, "study of another description", 2),
    ({"manufacturer": "GE"}, "series of another manufacturer", 4),
    ({"body_part": "LIVER"}, "series whose body part is not told", 4),
    ({"first_date": date(2024, 5, 18)}, "study of another date", 2),
    ({"last_date": date(2024, 5, 16)}, "study of another date", 2),
    ({"patients": ("B",)}, "study of another patient", 2),
]


@pytest.mark.parametrize("query", FITTING, ids=str)
def test_series_that_fit_are_found(pacs: MadeUpPacs, query: dict[str, Any]) -> None:
    assert len(found(pacs, **query).series) == 4


@pytest.mark.parametrize(("query", "reason", "count"), OTHERS, ids=str)
def test_what_the_server_has_not_compared_is_compared_here_and_counted(
    pacs: MadeUpPacs, query: dict[str, Any], reason: str, count: int
) -> None:
    """The made-up server tells everything, whatever it is asked for, as some do."""
    assert found(pacs, **query) == FoundSeries((), found(pacs, **query).others)
    assert dict(found(pacs, **query).others) == {reason: count}


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ({"first_date": date(2024, 1, 2)}, [{"StudyDate": ["20240102-"]}]),
        ({"last_date": date(2024, 1, 2)}, [{"StudyDate": ["-20240102"]}]),
        (
            {"modality": ("CT", "MR")},
            [{"ModalitiesInStudy": ["CT"]}, {"ModalitiesInStudy": ["MR"]}],
        ),
        ({"patients": ("a", "b")}, [{"PatientID": ["a"]}, {"PatientID": ["b"]}]),
        ({"accessions": ("7",)}, [{"AccessionNumber": ["7"]}]),
    ],
)
def test_what_every_pacs_must_match_is_left_to_it(
    pacs: MadeUpPacs, query: dict[str, Any], sent: list[dict[str, list[str]]]
) -> None:
    found(pacs, **query)
    asked = [each for (_, p), each in zip(pacs.asked, pacs.queries, strict=True) if p[-1] == "s"]
    studies = [each for each in asked if "ModalitiesInStudy" in each and each["offset"] == ["0"]]
    keys = {key for each in sent for key in each}
    assert [{key: each[key] for key in keys} for each in studies] == sent


def test_too_many_series_stop_before_anything_is_fetched(pacs: MadeUpPacs) -> None:
    with pytest.raises(PacsError, match="more than 3 series fit") as caught:
        found(pacs, most_series=3)
    assert caught.value.code == PacsError.NOTHING
    assert len(found(pacs, most_series=4).series) == 4


def test_progress_counts_the_studies(pacs: MadeUpPacs) -> None:
    told: list[tuple[int, int]] = []
    note: Callable[[int, int], None] = lambda at, of: told.append((at, of))  # noqa: E731
    with Connection(PacsSettings(address=pacs.address)) as connection:
        find_series(connection, Query(**MR), note)
    assert told == [(0, 2), (1, 2), (2, 2)]
