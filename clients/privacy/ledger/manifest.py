"""Identify a data set by its records, so that its spent budget follows it under any name."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from clients.data.examples import record_names
from clients.data.records import Records
from strategies.errors import PrivacyError

KEYED_BYTES = 16  # of each HMAC: 128 bits are enough to tell records apart


@dataclass(frozen=True)
class Manifest:
    """A data set as the set of its images' SHA-256 hashes (hexadecimal).

    ``patients`` are the hashes of patients' names: other images of a known patient share the
    budget.  ``older`` are hashes by which ledgers of older versions may know the images.
    """

    records: frozenset[str]
    patients: frozenset[str] = frozenset()
    older: frozenset[str] = frozenset()

    @staticmethod
    def of(
        records: Iterable[str], patients: Iterable[str] = (), older: Iterable[str] = ()
    ) -> Manifest:
        """Return the manifest of these hashes; raise :class:`PrivacyError` without any record."""
        found = frozenset(records)
        if not found:
            raise PrivacyError("a data set without records", "at least one", "give it data")
        return Manifest(found, frozenset(patients), frozenset(older))

    @cached_property
    def hash(self) -> str:
        """The name of the data set: SHA-256 (hex) of its records' and patients' hashes."""
        return hashlib.sha256("\n".join(self._names).encode()).hexdigest()

    def keyed(self, key: bytes) -> frozenset[bytes]:
        """Return HMACs of the hashes under the owner's key, 16 bytes each, to compare data sets."""
        # Plain hashes would let a reader of the ledger test whether an image is among them.
        return _keyed(self._names, key)

    def keyed_older(self, key: bytes) -> frozenset[bytes]:
        """Return the same of the names in older ledgers, for comparison only."""
        return _keyed(self.older, key)

    @property
    def _names(self) -> list[str]:
        return sorted(self.records | self.patients)


def _keyed(names: Iterable[str], key: bytes) -> frozenset[bytes]:
    return frozenset(hmac.digest(key, name.encode(), "sha256")[:KEYED_BYTES] for name in names)


def manifest_of(split: Records) -> Manifest:
    """Return the manifest of a split's images as they were read; equal images are one record."""
    # Labels and preprocessing do not count: a corrected label does not bring a new budget.
    whole = (cases.images.numpy() for cases in split.whole())
    records = split.records or [name for each in whole for name in record_names(each).tolist()]
    return Manifest.of(records, split.patients, split.older)
