"""Divide the rows of one manifest among the vendors of a simulation, by what headers say."""

# Without torch, which takes seconds to import: the launcher checks federation files with it.

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clients.data.manifest.makers import maker
from clients.settings import Header, VendorSettings
from strategies.errors import DataError

if TYPE_CHECKING:
    from clients.data.manifest.rows import Row

UNKNOWN = "unknown"
"""The value of a header that says nothing, and of a file that has no header."""


def header_value(text: str, header: Header) -> str:
    """Return what a header says, in one spelling: ``GE MEDICAL SYSTEMS`` → ``ge``.

    Models and kernels are lower case with ``-`` for all but letters, digits, and points; a field
    strength is in tesla, from 1 T to the nearest half (``1.494`` → ``1.5``).
    """
    if header == "manufacturer":
        return maker(text)
    if header == "field-strength":
        try:
            tesla = float(text)
        except ValueError:
            return UNKNOWN
        if not math.isfinite(tesla):
            return UNKNOWN
        return f"{round(2 * tesla) / 2 if tesla >= 1 else tesla:g}"
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-") or UNKNOWN


def held_by(vendor: VendorSettings, header: Header) -> frozenset[str]:
    """Return the values whose images a vendor has: those that it ``holds``, else its name."""
    words = (vendor.name,) if vendor.holds is None else vendor.holds
    return frozenset(header_value(each, header) for each in words)


@dataclass(frozen=True)
class Division:
    """One folder for several vendors: the ``header`` of an image says whose it is.

    A vendor with a folder of its own has no part in it.
    """

    header: Header
    roster: tuple[VendorSettings, ...]

    @property
    def vendors(self) -> tuple[VendorSettings, ...]:
        """The vendors that share the folder."""
        return tuple(vendor for vendor in self.roster if vendor.path is None)

    def rows_of(self, rows: Iterable[Row], vendor: VendorSettings) -> tuple[Row, ...]:
        """Return a vendor's rows; there may be none."""
        held = held_by(vendor, self.header)
        return tuple(row for row in rows if value_of(row, self.header) in held)

    def some_rows_of(self, rows: Sequence[Row], vendor: VendorSettings) -> tuple[Row, ...]:
        """Return a vendor's rows.

        Raises :class:`DataError`, which names the values that there are, if it has none.
        """
        mine = self.rows_of(rows, vendor)
        if not mine:
            counts = Counter(value_of(row, self.header) for row in rows)
            found = ", ".join(f"{value} ({count})" for value, count in counts.most_common(10))
            raise DataError(
                f"no image of vendor {vendor.name!r}: by {self.header}, the folder has {found}",
                f"images of {' or '.join(sorted(held_by(vendor, self.header)))}",
                "correct what the vendor holds ([[vendors]] holds = […]), or take"
                f" {vendor.name} out of the roster",
                DataError.NO_EXAMPLES,
            )
        return mine

    def of_no_vendor(self, rows: Iterable[Row]) -> dict[str, list[Row]]:
        """Return value → its rows, for the values that no vendor holds."""
        held = frozenset[str]().union(*(held_by(each, self.header) for each in self.vendors))
        values = by_value(rows, self.header)
        return {value: of for value, of in sorted(values.items()) if value not in held}

    def parts(self, rows: Sequence[Row]) -> list[Sequence[Row]]:
        """Return the rows of each vendor, and those of each value that no vendor holds."""
        mine = [self.rows_of(rows, vendor) for vendor in self.vendors]
        return [part for part in (*mine, *self.of_no_vendor(rows).values()) if part]


def by_value(rows: Iterable[Row], header: Header) -> dict[str, list[Row]]:
    """Return value → its rows; every row is in one of them."""
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[value_of(row, header)].append(row)
    return dict(found)


def value_of(row: Row, header: Header) -> str:
    """Return what the header of a row's image says."""
    match header:
        case "manufacturer":
            text = row.vendor
        case "model":
            text = row.model
        case "kernel":
            text = row.kernel
        case "field-strength":
            text = row.field
    return header_value(text, header)
