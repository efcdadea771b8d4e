"""The keys of manifests: one hides names of patients, the other divides them into splits."""

from __future__ import annotations

import secrets
from pathlib import Path

from clients.data.manifest.indexing import Keys
from clients.files.durable import write_durably
from clients.files.locks import locked
from clients.files.user_folder import user_state_folder
from clients.seeds import derive_seed
from strategies.errors import DataError

KEY_BYTES = 32


def manifest_keys(seed: int, path: Path) -> Keys:
    """Return the keys of a federation with this ``seed``; the owner's lies in a file at ``path``.

    One key for all data of an owner: a patient who is at two vendors of a simulation has one name.
    It is made at the first use, and only the owner can read it.  Raises :class:`DataError` for a
    file that is no such key.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(path.with_suffix(".lock"), wait=True):
            if not path.exists():
                write_durably(path, secrets.token_bytes(KEY_BYTES), private=True)
    owner = path.read_bytes()
    if len(owner) != KEY_BYTES:
        raise DataError(
            f"{path} has {len(owner)} bytes",
            f"the {KEY_BYTES} bytes of the key that hides patients' names",
            "bring the file back; with a new key all patients have new names, so index all again",
            DataError.UNREADABLE,
        )
    # From the federation's seed, not a secret: a simulation, a site set up anew, and a copy of the
    # data divide it alike.
    return Keys(owner, str(derive_seed(seed, "data", "splits")).encode())


def owners_key_file() -> Path:
    """Return the place of the owner's key: beside the user's privacy ledger."""
    return user_state_folder() / "srflm" / "patients.key"
