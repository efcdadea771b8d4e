"""Which records a data set consists of, so that no budget is forgotten under another name."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from clients.data.vendor_data import Split
from srflm_flower.errors import PrivacyError

KEYED_BYTES = 16


@dataclass(frozen=True)
class Manifest:
    """A data set as the set of its records' SHA-256 hashes (hexadecimal).

    Where a person has several records and is what is protected, hash what names the person.
    """

    records: frozenset[str]

    @staticmethod
    def of(records: Iterable[str]) -> Manifest:
        """Return the manifest of these records' hashes; raises :class:`PrivacyError` for none."""
        found = frozenset(records)
        if not found:
            raise PrivacyError("a data set without records", "at least one", "give it data")
        return Manifest(found)

    @cached_property
    def hash(self) -> str:
        """What the data set is called: SHA-256 (hex) of its records' hashes in order."""
        return hashlib.sha256("\n".join(sorted(self.records)).encode()).hexdigest()

    def keyed(self, key: bytes) -> frozenset[bytes]:
        """Return the records under a secret key: comparable, but telling nobody without it."""
        return frozenset(
            hmac.digest(key, record.encode(), "sha256")[:KEYED_BYTES] for record in self.records
        )


def manifest_of(split: Split) -> Manifest:
    """Return the manifest of images with their labels; equal images are one record.

    A label that was corrected does not make another record: only the image is hashed.
    """
    pixels = split.images.cpu().numpy()
    return Manifest.of(hashlib.sha256(image.tobytes()).hexdigest() for image in pixels)
