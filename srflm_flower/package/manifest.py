"""The manifest of a package, with the hash of every file, and the site's signature under it."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from strategies.protocol.records import canonical_json

SHA256 = r"^[0-9a-f]{64}$"


class Listed(BaseModel):
    """A file in a package: its hash and its size in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern=SHA256)
    size: int = Field(ge=0)

    @classmethod
    def of(cls, content: bytes) -> Listed:
        """Return what a manifest says of this content."""
        return cls(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


class Manifest(BaseModel):
    """All files of a package but the manifest, its signature, and the bag's list of both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    vendor: str
    federation: str = Field(pattern=SHA256)
    key: str = Field(pattern=SHA256)
    files: dict[str, Listed]

    @property
    def content(self) -> bytes:
        """The bytes of the file ``manifest.json``, which are signed by their hash."""
        return (self.model_dump_json(indent=2) + "\n").encode()


class Signature(BaseModel):
    """A vendor's Ed25519 signature (hexadecimal) under the manifest with this hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vendor: str
    manifest: str = Field(pattern=SHA256)
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")


def package_statement(vendor: str, federation: str, manifest: bytes) -> bytes:
    """Return the statement that a site signs when it makes a package with this ``manifest``."""
    # It names its kind, so that no vote is ever taken for it, and it for no vote.
    said = {
        "says": "package",
        "vendor": vendor,
        "federation": federation,
        "manifest": hashlib.sha256(manifest).hexdigest(),
    }
    return canonical_json(said)
