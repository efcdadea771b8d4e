"""Tuples and mappings with a bound, for what another vendor sends.

Both bounds are far above any real federation.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field

MAX_ENTRIES = 4096
"""The most entries where there is one for each vendor, model, metric, or phase."""
MAX_HISTORY = 100_000
"""The most entries of a tuple that grows with terms or attempts."""

Entry = TypeVar("Entry")
Many = Annotated[tuple[Entry, ...], Field(max_length=MAX_ENTRIES)]
History = Annotated[tuple[Entry, ...], Field(max_length=MAX_HISTORY)]
ByName = Annotated[dict[str, Entry], Field(max_length=MAX_ENTRIES)]
