"""The anchor: number and hash of the privacy ledger's last row.

The owner's anchor lies beside the ledger and holds the secret keys for comparing records. A copy
of it beside each site's keys, the **witness**, tells the site of a ledger that is lost, was
restored from an older copy, or is another one.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clients.files.durable import not_writable, sync_folder, write_durably
from strategies.errors import PrivacyError

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Anchor(BaseModel):
    """Number and hash of the last row known to be durable, and the ledger's secret key.

    ``older_keys`` are those of ledgers whose rows this one has adopted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: Literal[1] = 1
    key: Hex
    rows: int = Field(ge=0)
    head: Hex
    older_keys: tuple[Hex, ...] = ()

    @property
    def first_parent(self) -> str:
        """The parent hash of the ledger's first row."""
        return first_parent(self.key)


def first_parent(key: str) -> str:
    """Return the parent hash of the first row in the ledger with this key (hexadecimal)."""
    # It depends on the key, so that the rows of another ledger never fit.
    return hashlib.sha256(f"srflm privacy ledger {key}".encode()).hexdigest()


def read_anchor(path: Path) -> Anchor | None:
    """Return the anchor, or None if there is no file.

    Raises :class:`PrivacyError` if it is damaged or of another version.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise not_writable(path, error, "make the file readable for the site's user") from error
    try:
        return Anchor.model_validate_json(text)
    except ValidationError as error:
        version = re.search(rb'"schema_version":\s*(\d+)', text)
        if version and version[1] != b"1":
            raise PrivacyError(
                f"{path} of schema version {version[1].decode()}",
                "schema version 1",
                "use the version of srflm-flower that wrote it",
                PrivacyError.LEDGER_VERSION,
            ) from error
        raise PrivacyError(
            f"{path}, which is damaged",
            "the anchor of the privacy ledger",
            "run `srflm privacy retire`, which gives up the data whose past is not known; never put"
            " back an older copy",
            PrivacyError.LEDGER_DAMAGED,
        ) from error


def unreachable_anchor() -> Anchor:
    """Return an anchor that no ledger reaches: what was spent before it is not known."""
    return Anchor(key=secrets.token_hex(32), rows=1, head=secrets.token_hex(32))


def begin_anchor(path: Path, anchor: Anchor) -> Anchor:
    """Write the first anchor and return it, or the anchor that another process wrote first."""
    # A hard link never replaces a file, as a rename would: of two processes one wins, with one key.
    own = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    write_anchor(own, anchor)
    try:
        with suppress(FileExistsError):
            os.link(own, path)
        sync_folder(path.parent)
    except OSError as error:
        raise not_writable(path, error) from error
    finally:
        own.unlink(missing_ok=True)
    return read_anchor(path) or anchor


def write_anchor(path: Path, anchor: Anchor) -> None:
    """Replace the anchor, durably; only its owner can read it."""
    # Without the field that older versions do not know, where it says nothing.
    unset = set() if anchor.older_keys else {"older_keys"}
    write_durably(path, anchor.model_dump_json(exclude=unset).encode(), private=True)
