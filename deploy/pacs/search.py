"""Find the series that a query asks for: studies first, then the series of each (QIDO-RS).

Only what every PACS must match is left to the PACS; all else is compared here, and again what the
PACS should have compared: many leave out, without a word, what they do not know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from deploy.pacs import dicom_json as tags
from deploy.pacs.connection import Connection
from deploy.pacs.dicom_json import Entry, number, text, uid, values
from deploy.pacs.query import Query, fits
from deploy.pacs.refusals import strange_answer
from strategies.errors import PacsError

Parameters = dict[str, str | list[str]]

PAGE = 500
MOST_STUDIES, MOST_SERIES, MOST_IMAGES = 50_000, 10_000, 100_000
"""Entries of one list, so that a list without an end has one."""
_KEPT = (
    *(tags.STUDY_DATE, tags.STUDY_DESCRIPTION, tags.ACCESSION, tags.PATIENT),
    *(tags.MODALITY, tags.SERIES_DESCRIPTION, tags.BODY_PART, tags.MANUFACTURER),
    tags.IMAGES_OF_SERIES,
)
"""All that is read of an entry: the rest of 50,000, or long texts, would fill the memory."""


@dataclass(frozen=True)
class Series:
    """A series at the PACS; ``images`` is the number that the PACS tells, None if it does not.

    All texts are the PACS's: they belong in the site's own table only.
    """

    study: str = field(repr=False)
    uid: str = field(repr=False)
    images: int | None = None
    modality: str = ""
    date: str = field(default="", repr=False)
    description: str = field(default="", repr=False)


@dataclass(frozen=True)
class FoundSeries:
    """The series that fit, and how many others came, by the reason why they do not."""

    series: tuple[Series, ...]
    others: Counter[str]


def find_series(
    pacs: Connection, query: Query, progress: Callable[[int, int], None] = lambda at, of: None
) -> FoundSeries:
    """Return all series that fit; ``progress`` is told how many of the studies are looked through.

    Raises :class:`PacsError` for answers that are none, and if more series fit than the query
    allows.
    """
    series: dict[str, Series] = {}
    others: Counter[str] = Counter()
    studies = _studies(pacs, query)
    for at, (study, entry) in enumerate(studies.items()):
        progress(at, len(studies))
        if reason := _study_misfit(entry, query):
            others[reason] += 1
            continue
        try:
            told = _series_of(pacs, study, query)
        except PacsError as error:
            if error.code != PacsError.REFUSED:
                raise
            others["study that this site's user may not read (403)"] += 1
            continue
        for name, each in told.items():
            if reason := _series_misfit(each, query):
                others[reason] += 1
            else:
                series[name] = _series(study, name, entry, each)
        if len(series) > query.most_series:
            raise PacsError(
                f"more than {query.most_series} series fit the query",
                "fewer series, so that no mistake fetches a whole archive",
                "narrow the query, or raise most-series in it",
                PacsError.NOTHING,
            )
    progress(len(studies), len(studies))
    return FoundSeries(tuple(series.values()), others)


def images_of(pacs: Connection, series: Series) -> list[str]:
    """Return the SOPInstanceUIDs of all images of a series; raises :class:`PacsError`."""
    path = f"studies/{series.study}/series/{series.uid}/instances"
    return list(_pages(pacs, path, {}, tags.IMAGE, MOST_IMAGES))


def _studies(pacs: Connection, query: Query) -> dict[str, Entry]:
    common: Parameters = {"includefield": [tags.STUDY_DESCRIPTION]}
    if query.first_date or query.last_date:
        first, last = (
            "" if each is None else f"{each:%Y%m%d}" for each in (query.first_date, query.last_date)
        )
        common["StudyDate"] = f"{first}-{last}"
    found: dict[str, Entry] = {}
    for modality in query.modality:
        for named in _named(query):
            parameters: Parameters = {**common, **named, "ModalitiesInStudy": modality}
            found |= _pages(pacs, "studies", parameters, tags.STUDY, MOST_STUDIES)
    return found


def _named(query: Query) -> Iterator[dict[str, str]]:
    yield from ({"PatientID": each} for each in query.patients)
    yield from ({"AccessionNumber": each} for each in query.accessions)
    if not query.patients and not query.accessions:
        yield {}


def _series_of(pacs: Connection, study: str, query: Query) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    fields = [tags.SERIES_DESCRIPTION, tags.BODY_PART, tags.MANUFACTURER, tags.IMAGES_OF_SERIES]
    for modality in query.modality:
        parameters: Parameters = {"Modality": modality, "includefield": fields}
        found |= _pages(pacs, f"studies/{study}/series", parameters, tags.SERIES, MOST_SERIES)
    return found


def _pages(
    pacs: Connection,
    path: str,
    parameters: Parameters,
    key: str,
    most: int,
) -> dict[str, Entry]:
    """Return all entries of a list by their UIDs, also of servers that ignore limit and offset."""
    found: dict[str, Entry] = {}
    asked = 0
    while True:
        page = pacs.search(path, {**parameters, "limit": PAGE, "offset": asked})
        before = len(found)
        _add(found, page, key, most)
        asked += len(page)
        if len(found) == before:
            break  # a short page is no end: many servers have a lower limit of their own
    if page:
        # The same page twice: the server ignores the offset, and perhaps keeps to the limit.
        _add(found, pacs.search(path, parameters), key, most)
    return found


def _add(found: dict[str, Entry], page: list[Entry], key: str, most: int) -> None:
    try:
        named = {uid(each, key): _kept(each) for each in page}
    except ValueError:
        named = None  # raised below: the exception's own text is no help
    if named is None:
        raise strange_answer("to a search with entries without a UID")
    for name, each in named.items():
        found.setdefault(name, each)
    if len(found) > most:
        raise PacsError(
            f"the PACS lists more than {most} entries in answer to one search",
            "a list with an end, and not a whole archive",
            "narrow the dates in the query; if that does not help, ask the PACS's operators",
            PacsError.ANSWER,
        )


def _kept(entry: Entry) -> Entry:
    return {tag: {"Value": [text(entry, tag)]} for tag in _KEPT if values(entry, tag)}


def _study_misfit(entry: Entry, query: Query) -> str | None:
    """Return why a study does not fit; what the PACS does not tell it has compared itself."""
    day = text(entry, tags.STUDY_DATE)
    first = "" if query.first_date is None else f"{query.first_date:%Y%m%d}"
    last = "99999999" if query.last_date is None else f"{query.last_date:%Y%m%d}"
    if day and not first <= day.replace(".", "") <= last:
        return "study of another date"
    patient, accession = text(entry, tags.PATIENT), text(entry, tags.ACCESSION)
    if query.patients and patient and patient not in query.patients:
        return "study of another patient"
    if query.accessions and accession and accession not in query.accessions:
        return "study with another accession number"
    wanted = query.study_description
    if wanted is not None and not fits(wanted, text(entry, tags.STUDY_DESCRIPTION)):
        return "study of another description"
    return None


def _series_misfit(entry: Entry, query: Query) -> str | None:
    if text(entry, tags.MODALITY) not in query.modality:
        return "series of another modality"
    for name, wanted, tag in (
        ("description", query.series_description, tags.SERIES_DESCRIPTION),
        ("body part", query.body_part, tags.BODY_PART),
        ("manufacturer", query.manufacturer, tags.MANUFACTURER),
    ):
        if wanted is None:
            continue
        if not values(entry, tag):
            return f"series whose {name} is not told"
        if not fits(wanted, text(entry, tag)):
            return f"series of another {name}"
    return None


def _series(study: str, name: str, study_entry: Entry, entry: Entry) -> Series:
    return Series(
        study,
        name,
        number(entry, tags.IMAGES_OF_SERIES),
        text(entry, tags.MODALITY),
        text(study_entry, tags.STUDY_DATE),
        text(entry, tags.SERIES_DESCRIPTION),
    )
