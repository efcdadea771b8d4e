"""Which records a data set consists of, so that no budget is forgotten under another name."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from clients.data.examples import record_names
from clients.data.vendor_data import Split
from strategies.errors import PrivacyError

KEYED_BYTES = 16


@dataclass(frozen=True)
class Manifest:
    """A data set as the set of its images' SHA-256 hashes (hexadecimal).

    ``patients`` are hashes of what names those who have several: whoever is known again under
    another image has one budget for both.
    """

    records: frozenset[str]
    patients: frozenset[str] = frozenset()

    @staticmethod
    def of(records: Iterable[str], patients: Iterable[str] = ()) -> Manifest:
        """Return the manifest of these records' hashes; raises :class:`PrivacyError` for none."""
        found = frozenset(records)
        if not found:
            raise PrivacyError("a data set without records", "at least one", "give it data")
        return Manifest(found, frozenset(patients))

    @cached_property
    def hash(self) -> str:
        """What the data set is called: SHA-256 (hex) of its records' and patients' hashes."""
        return hashlib.sha256("\n".join(self._names).encode()).hexdigest()

    def keyed(self, key: bytes) -> frozenset[bytes]:
        """Return the names under a secret key: comparable, but telling nobody without it."""
        return frozenset(
            hmac.digest(key, name.encode(), "sha256")[:KEYED_BYTES] for name in self._names
        )

    @property
    def _names(self) -> list[str]:
        return sorted(self.records | self.patients)


def manifest_of(split: Split) -> Manifest:
    """Return the manifest of a split's images as they were read; equal images are one record.

    A label that was corrected, or other preprocessing, does not make another record.
    """
    records = split.records or record_names(split.images.cpu().numpy()).tolist()
    return Manifest.of(records, split.patients)
