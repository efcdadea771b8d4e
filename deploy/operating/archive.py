"""The file of ``srflm backup``: a tar archive of known names, and a manifest with their hashes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from clients.files.durable import durable_file, not_writable
from deploy.identity.names import VENDOR
from deploy.identity.staged_keys import STAGED
from deploy.processes.config import Strict
from strategies.errors import DeploymentError

VERSION: Final = 1
MANIFEST = "manifest.json"
LEDGER = "state/ledger.sqlite"
MODELS = "state/models/"
OWN = tuple(
    f"state/{name}" for name in ("best.safetensors", "best-measured.json", "own.safetensors")
)
"""The site's own models, which nobody else has, and how the best one was measured."""
HASH = re.compile("[0-9a-f]{64}")
_KEYS = rf"signing\.key|site\.(key|csr|crt)|consortium-ca\.crt|node-{VENDOR.pattern}\.(key|pub)"
IDENTITY = re.compile(rf"{_KEYS}|spare-[0-9]{{3}}\.key|loopback\.(key|crt)|loopback-ca\.crt")
"""Names of the files in ``identity/`` that an archive has: keys, certificates, requests."""
SIGNATURES = re.compile(r"signatures\.[0-9a-f]{12}\.toml")
"""Names of the files with members' signatures under an edition, which lie beside it."""
_NAME = re.compile(
    rf"{SIGNATURES.pattern}|site\.toml|membership\.toml|federation(\.{HASH.pattern})?\.toml"
    rf"|identity/({STAGED}/)?({IDENTITY.pattern})"
    rf"|{re.escape(LEDGER)}|{'|'.join(map(re.escape, OWN))}|{MODELS}{HASH.pattern}\.safetensors"
)
_PIECE = 2**20
_MOST_MANIFEST = 4 * 2**20


class PrivacyHead(Strict):
    """Number and hash of the last row of the owner's privacy ledger."""

    rows: int
    head: str


class Manifest(Strict):
    """What an archive says of itself.

    ``federation`` is the hash of the first edition, ``edition_hash`` that of the site's own one;
    ``term`` and ``head`` are number and hash of the last committed record (0 and "" for none).
    ``privacy`` is the head of the privacy ledger at the time, if there was one; ``files`` maps
    names to SHA-256 (hex).
    """

    version: Literal[1] = VERSION
    vendor: str
    federation: str
    edition: int
    edition_hash: str
    term: int
    head: str
    made: datetime
    privacy: PrivacyHead | None = None
    files: dict[str, str]


def pack(path: Path, manifest: Manifest, files: Mapping[str, bytes | Path]) -> Manifest:
    """Write the archive ``path`` durably; return the manifest with the hashes of ``files`` added.

    A file of a path that is gone by now is left out.  Only the user can read the archive.  Raises
    :class:`strategies.errors.RunFolderError`, and leaves an older archive as it was, when it
    cannot be written.
    """
    hashes: dict[str, str] = {}
    with (
        durable_file(path, private=True, mend="free space, or name another file") as file,
        tarfile.open(fileobj=file, mode="w") as archive,
    ):
        for name, content in files.items():
            with suppress(FileNotFoundError):
                data = content if isinstance(content, bytes) else content.read_bytes()
                hashes[name] = _add(archive, name, data, manifest.made)
        manifest = manifest.model_copy(update={"files": hashes})
        # Last, so that an archive without its end has none.
        _add(archive, MANIFEST, manifest.model_dump_json(indent=2).encode(), manifest.made)
    return manifest


def _add(archive: tarfile.TarFile, name: str, data: bytes, made: datetime) -> str:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), 0o600, int(made.timestamp())
    archive.addfile(entry, io.BytesIO(data))
    return hashlib.sha256(data).hexdigest()


def unpack(path: Path, folder: Path) -> Manifest:
    """Write the files of the archive ``path`` into the empty ``folder``; return the manifest.

    Raises :class:`DeploymentError` for anything but a whole archive of this version, and writes
    nothing outside of ``folder``.
    """
    found: dict[str, str] = {}
    try:
        with tarfile.open(path, mode="r:") as archive:
            for entry in archive:
                # No `extractall`: only these names, and only files, ever reach the disk.
                if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.issparse():
                    raise no_archive(path, f"{entry.name!r}, which is no plain file")
                if not (_NAME.fullmatch(entry.name) or entry.name == MANIFEST):
                    raise no_archive(path, f"the name {entry.name!r}")
                if entry.name in found:
                    raise no_archive(path, f"two files {entry.name!r}")
                found[entry.name] = _extract(archive, entry, folder / entry.name)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise no_archive(path, f"an end or a head that is broken ({error})") from error
    except OSError as error:
        if str(error.filename) == str(path):
            raise no_archive(path, f"nothing that can be read ({error.strerror})") from error
        raise not_writable(folder, error) from error
    if found.pop(MANIFEST, None) is None:
        raise no_archive(path, f"no {MANIFEST}")
    manifest = _read_manifest(path, folder / MANIFEST)
    if manifest.files != found:
        wrong = sorted(dict(manifest.files.items() ^ found.items()))
        raise no_archive(path, f"other content than its manifest says: {', '.join(wrong[:5])}")
    return manifest


def _extract(archive: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> str:
    """Write one file of an archive; return its SHA-256."""
    digest, source = hashlib.sha256(), archive.extractfile(entry)
    assert source is not None  # it is a plain file
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source, os.fdopen(handle, "wb") as file:
        while piece := source.read(_PIECE):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _read_manifest(path: Path, manifest: Path) -> Manifest:
    try:
        if manifest.stat().st_size > _MOST_MANIFEST:
            raise ValueError("too long")
        text = manifest.read_bytes()
        version = json.loads(text)["version"]
        if version != VERSION:
            raise no_archive(path, f"version {version!r}")
        return Manifest.model_validate_json(text)
    except (ValidationError, ValueError, TypeError, KeyError) as error:
        raise no_archive(path, f"a {MANIFEST} that cannot be read") from error


def no_archive(path: Path, found: str) -> DeploymentError:
    """Return the error for a file that is no archive to restore from."""
    return DeploymentError(
        f"{path} with {found}",
        f"a whole archive of `srflm backup`, version {VERSION}",
        "give another copy of it, or use the version of srflm-flower that wrote it",
        DeploymentError.ARCHIVE,
    )
