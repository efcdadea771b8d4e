"""A federation of three whose members can change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.changing import ChangingFederation, changing_federation


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChangingFederation]:
    with changing_federation(tmp_path_factory.mktemp("changing")) as federation:
        yield federation


@pytest.fixture
def sites(made: ChangingFederation) -> ChangingFederation:
    """Return a, b, and c at the beginning of a long run."""
    made.clear()
    assert made.order("b", rounds=20).result == "ordered"
    return made
