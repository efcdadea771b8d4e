"""Real sites need nginx."""

from __future__ import annotations

import pytest

from deploy.edge.nginx import find_nginx
from strategies.errors import ConfigurationError


@pytest.fixture(autouse=True, scope="session")
def nginx() -> str:
    """Return nginx; skip where it is missing."""
    try:
        return find_nginx()
    except ConfigurationError as error:
        pytest.skip(f"{error.found}: {error.mend}")
