"""Fixtures of the tests of membership."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.deploy.membership.machines import Consortium

FIRST = ("aster", "borealis", "cygnus")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which three sites have become members."""
    folder = tmp_path_factory.mktemp("begun")
    Consortium(folder).begin(*FIRST)
    return folder


@pytest.fixture
def consortium(begun: Path, tmp_path: Path) -> Consortium:
    shutil.copytree(begun, tmp_path / "c")
    return Consortium(tmp_path / "c")
