"""A new privacy ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.privacy.ledger.ledger import PrivacyLedger
from tests.support.privacy_ledger import opened


@pytest.fixture
def ledger(tmp_path: Path) -> PrivacyLedger:
    return opened(tmp_path)
