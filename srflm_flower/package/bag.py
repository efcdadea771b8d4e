"""The bag around a package's files (BagIt 1.0, RFC 8493), with SHA-512, as Five Safes asks for it.

::

    bagit.txt  bag-info.txt  manifest-sha512.txt  tagmanifest-sha512.txt
    manifest.json  signature.json       what the site has signed
    data/                               the crate: card, weights, ledger, federation file
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping

PAYLOAD = "data/"
MANIFEST, SIGNATURE = "manifest.json", "signature.json"
TAGS = "tagmanifest-sha512.txt"
BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_NAMESPACE = uuid.UUID("6f8a1f0e-6a54-4f0c-9d1b-0b3c4f4f7a11")
"""A random number under which names of packages become UUIDs; it must never change."""


def tag_files(payload: Mapping[str, bytes], day: str, vendor: str) -> dict[str, bytes]:
    """Return the bag's own files for this payload (name below ``data/`` → content)."""
    hashes = _sums({f"{PAYLOAD}{name}": content for name, content in payload.items()})
    size = sum(map(len, payload.values()))
    info = [
        f"Source-Organization: {vendor}",
        f"Bagging-Date: {day}",
        f"External-Identifier: {identifier(hashes)}",
        f"Payload-Oxum: {size}.{len(payload)}",
    ]
    return {
        "bagit.txt": BAGIT,
        "bag-info.txt": ("\n".join(info) + "\n").encode(),
        "manifest-sha512.txt": hashes,
    }


def tag_manifest(tags: Mapping[str, bytes]) -> bytes:
    """Return the list of the files outside of ``data/`` with their SHA-512."""
    return _sums(tags)


def identifier(payload: bytes) -> str:
    """Return the UUID of a bag, which follows from the list of its payload: equal bags are one."""
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, hashlib.sha512(payload).hexdigest())}"


def _sums(files: Mapping[str, bytes]) -> bytes:
    # As `sha512sum` writes it, and can check it.
    lines = [f"{hashlib.sha512(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "".join(lines).encode()
