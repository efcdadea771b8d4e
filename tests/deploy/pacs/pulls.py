"""Pulls from a made-up PACS, and what has come of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.pacs.connection import Connection
from deploy.pacs.fetching import name_of
from deploy.pacs.pulling import Pulled, pull
from deploy.pacs.query import Query
from deploy.site.pacs_settings import PacsSettings
from strategies.errors import PacsError
from tests.deploy.pacs.made_up_pacs import MadeUpPacs
from tests.support.dicom_files import CANARY

Files = dict[tuple[str, str, str], bytes]
MR = Query(modality=("MR",))


def silent(what: str, at: int, of: int) -> None:
    """Take what a pull tells of its progress."""


def pulled(
    pacs: MadeUpPacs,
    folder: Path,
    query: Query = MR,
    waits: list[float] | None = None,
    **settings: Any,
) -> Pulled:
    """Pull from a made-up PACS; the waits before repetitions go into a list and take no time."""
    noted = [] if waits is None else waits
    with Connection(PacsSettings(address=pacs.address, **settings), noted.append) as connection:
        return pull(connection, query, folder, silent)


def refused(pacs: MadeUpPacs, folder: Path, code: str, query: Query = MR, **settings: Any) -> str:
    """Return the text of the error in which a pull ends."""
    with pytest.raises(PacsError) as caught:
        pulled(pacs, folder, query, **settings)
    assert caught.value.code == code
    # A traceback shows these too.
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert CANARY not in str(caught.value)
    return str(caught.value)


def content(folder: Path) -> dict[str, bytes]:
    """Return what an index of the folder would see: path → content."""
    paths = (each for each in folder.rglob("*") if each.is_file())
    named = {path.relative_to(folder): path.read_bytes() for path in paths}
    return {str(path): data for path, data in named.items() if not str(path).startswith(".")}


def expected(files: Files) -> dict[str, bytes]:
    return {f"{name_of(e)}/{name_of(i)}.dcm": data for (_, e, i), data in files.items()}
