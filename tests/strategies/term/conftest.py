"""Four sites that aggregate securely."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.quick_sites import QuickFederation, quick_federation
from tests.support.secure_sites import SECURE
from tests.support.tiny import VENDORS


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFederation]:
    with quick_federation(tmp_path_factory.mktemp("sites"), VENDORS, **SECURE) as federation:
        yield federation


@pytest.fixture
def sites(kept: QuickFederation) -> QuickFederation:
    """Return four sites; ``a`` is elected for term 1, so that b, c, and d are its clients."""
    kept.clear()
    kept.order("b", rounds=3)
    return kept
