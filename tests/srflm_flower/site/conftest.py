"""Fixtures of the tests of a site."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stage import Stage, staged


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("sites")) as found:
        yield found
