"""A run in which nothing goes wrong."""

from __future__ import annotations

import pytest

from srflm_flower.run.folder import RunFolder
from tests.support.rotating import run_in
from tests.support.tiny import conduct


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = run_in(tmp_path_factory.mktemp("unbroken"))
    conduct(run)
    return run
