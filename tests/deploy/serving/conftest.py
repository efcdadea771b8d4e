"""Fixtures of the tests of servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.serving.launcher_bench import Bench
from tests.support.quick_sites import QuickFederation, quick_federation


@pytest.fixture(scope="module")
def kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QuickFederation]:
    """Return the sites of the vendors in the test file's ``NAMES``, for all of its tests."""
    with quick_federation(tmp_path_factory.mktemp("sites"), request.module.NAMES) as federation:
        yield federation


@pytest.fixture
def elected(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, "a")
    bench.sync()
    return bench


@pytest.fixture
def next_in_line(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, "b")
    bench.sync()
    return bench
