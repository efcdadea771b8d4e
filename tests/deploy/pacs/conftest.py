"""Fixtures: a made-up PACS, and a folder for what comes from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.pacs.made_up_pacs import MadeUpPacs, made_up_files, served
from tests.deploy.pacs.pulls import Files


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Return made-up files; every text in them, and in the PACS's answers, has the canary."""
    return made_up_files(tmp_path_factory.mktemp("made-up"))


@pytest.fixture
def pacs(files: Files) -> Iterator[MadeUpPacs]:
    """Return a running PACS with these files."""
    with served(dict(files)) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the path of a folder that is still to be made."""
    return tmp_path / "images"
