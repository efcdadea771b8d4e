"""Numbers, tuples, and mappings with a bound, for what another vendor sends.

The bounds are far above any real federation.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field

MAX_ENTRIES = 4096
"""The most entries where there is one for each vendor, model, metric, or phase."""
MAX_HISTORY = 100_000
"""The most entries of a tuple that grows with terms or attempts."""
MAX_NUMBER = 2**53
"""The largest term, attempt, or other number: exact in every JSON parser and in SQLite."""

Count = Annotated[int, Field(ge=0, le=MAX_NUMBER)]
"""A number that starts at 0, such as an attempt."""
Ordinal = Annotated[int, Field(ge=1, le=MAX_NUMBER)]
"""A number that starts at 1, such as a term, a round, or an order."""

Entry = TypeVar("Entry")
Many = Annotated[tuple[Entry, ...], Field(max_length=MAX_ENTRIES)]
History = Annotated[tuple[Entry, ...], Field(max_length=MAX_HISTORY)]
ByName = Annotated[dict[str, Entry], Field(max_length=MAX_ENTRIES)]
