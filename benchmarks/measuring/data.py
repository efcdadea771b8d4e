"""Whether the data of a benchmark are there; they are not part of the repository."""

from __future__ import annotations

from clients.settings import NpzData
from srflm_flower.federation.federation import Federation


def missing_data(federation: Federation) -> str:
    """Return a message about a missing data file, or ""."""
    data = federation.data
    if isinstance(data, NpzData) and not data.path.is_file():
        return f"its data file {data.path.name} is not there (examples/pbc says what it is)"
    return ""
