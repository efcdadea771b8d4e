"""Fixtures of the tests of servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.quick_sites import QuickFederation, quick_federation


@pytest.fixture(scope="module")
def kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QuickFederation]:
    """Return the sites of the vendors in the test file's ``NAMES``, for all of its tests."""
    with quick_federation(tmp_path_factory.mktemp("sites"), request.module.NAMES) as federation:
        yield federation
