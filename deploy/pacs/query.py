"""The query file: the series that a site wants from its PACS, in TOML."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field, Strict, ValidationError, model_validator

from strategies.errors import ConfigurationError
from strategies.settings import Settings

Texts = Annotated[tuple[str, ...], Strict(False)]
UNSAFE = re.compile(r"[,\\*?\x00-\x1f]")
"""In DICOM a backslash, and in DICOMweb a comma, divides several values; * and ? match others."""


class Query(Settings):
    """The series that a site wants; a series must fit everything that is said.

    ``*`` in a description stands for any signs, ``?`` for one; capital and small letters are equal.
    """

    modality: Texts = Field(
        min_length=1, description='Kinds of scanners or objects, such as ["CT"] or ["MR"].'
    )
    first_date: date | None = Field(default=None, description="First day of the study.")
    last_date: date | None = Field(default=None, description="Last day of the study.")
    study_description: str | None = Field(
        default=None, description="Description of the study, with * and ?."
    )
    series_description: str | None = Field(
        default=None, description="Description of the series, with * and ?."
    )
    body_part: str | None = Field(
        default=None, description='Part of the body, as the scanner has written it: "LIVER".'
    )
    manufacturer: str | None = Field(
        default=None, description="Maker of the scanner, with * and ?."
    )
    patients: Texts = Field(default=(), description="Patients' numbers; left out, all patients.")
    accessions: Texts = Field(
        default=(), description="Accession numbers of studies; left out, all studies."
    )
    most_series: int = Field(
        default=1000, ge=1, description="If more series fit, nothing is fetched."
    )

    @model_validator(mode="after")
    def _is_possible(self) -> Query:
        if self.first_date and self.last_date and self.last_date < self.first_date:
            raise ValueError("expected a last-date that is not before first-date")
        for name in ("modality", "patients", "accessions"):
            if any(not each.strip() or UNSAFE.search(each) for each in getattr(self, name)):
                raise ValueError(f"expected {name} that are not empty and have none of , \\ * ?")
        if self.patients and self.accessions:
            raise ValueError("expected patients or accessions, not both")
        return self


def read_query(path: Path) -> Query:
    """Read a query file.

    Raises :class:`ConfigurationError` with all problems at once; it quotes nothing of the file, as
    patients' numbers may be in it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror})",
            "a query file in TOML",
            "correct the path",
        ) from None
    try:
        return Query.model_validate(tomllib.loads(content.decode("utf-8-sig")))
    except ValidationError as error:
        problems = [
            f"  - {'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        ]
    except ValueError:
        problems = ["  - it is not TOML"]
    raise ConfigurationError(
        f"{len(problems)} problem(s) in {path}:\n" + "\n".join(problems),
        'a query file, which says at least modality = ["CT"] or another one',
        "change the lines named above",
    )


def fits(wanted: str, found: str) -> bool:
    """Return whether a text is as ``wanted``, with ``*`` and ``?`` in it."""
    pattern = wanted.strip().casefold().replace("[", "[[]")  # in DICOM, [ is a sign as any other
    return fnmatchcase(found.strip().casefold(), pattern)
