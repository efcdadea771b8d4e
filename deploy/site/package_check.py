"""Verify a model package on any machine, without a network: signature, hashes, ledger, and model.

A package proves what its site has signed, and what the vendors whose keys are in its federation
file have voted for.  That these keys are the members' own, a reader knows only from a member: by
the hash of the federation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from clients.models.model_file import read_model_file
from deploy.site.package_files import no_package, read_files
from deploy.site.verification import Verified, verify_committed
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from srflm_flower.package.bag import MANIFEST, PAYLOAD, SIGNATURE, TAGS, tag_files, tag_manifest
from srflm_flower.package.card import ModelCard
from srflm_flower.package.crate import CARD_DATA, FEDERATION, LEDGER, METADATA, MODEL
from srflm_flower.package.manifest import Listed, Manifest, Signature, package_statement
from srflm_flower.results.outcome import outcome_of
from srflm_flower.results.release import released
from strategies.errors import ConfigurationError, PackageError, RunFolderError
from strategies.protocol.records import Committed, TermRecord
from strategies.protocol.signatures import VendorKeys
from strategies.weights import hash_weights

MOST_NAMED = 8  # problems in an error


@dataclass(frozen=True)
class CheckedPackage:
    """A package in which everything fits."""

    manifest: Manifest
    card: ModelCard
    ledger: Verified


def check_package(path: Path, expected: str | None = None) -> CheckedPackage:
    """Check a package, a folder or a .zip file; ``expected`` is the federation's hash, if known.

    Raises :class:`PackageError` that names everything that does not fit, and for a ledger that is
    not valid in itself the :class:`strategies.errors.SrflmError` of its first fault.
    """
    files = read_files(path)
    manifest = _manifest(path, files)
    _require(_misfits(files, manifest), PackageError.CHANGED)
    federation = _federation(files)
    _require(_unsigned(files, manifest, federation, expected), PackageError.NOT_SIGNED)
    committed = _committed(path, files)
    public = {each.name: each.signing_key for each in federation.vendors if each.signing_key}
    ledger, _ = verify_committed(federation, committed, VendorKeys(None, public))
    card = _card(path, files)
    records = [each.record for each in committed]
    _require(_contradictions(files, manifest, federation, records, card), PackageError.CONTRADICTS)
    return CheckedPackage(manifest, card, ledger)


def _manifest(path: Path, files: Mapping[str, bytes]) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(files[MANIFEST])
    except ValidationError as error:
        raise no_package(path, f"a {MANIFEST} that cannot be read") from error
    needed = {f"{PAYLOAD}{name}" for name in (MODEL, CARD_DATA, LEDGER, FEDERATION, METADATA)}
    missing = sorted((needed | tag_files({}, "", "").keys()) - manifest.files.keys())
    if missing:
        raise no_package(path, f"a {MANIFEST} without {', '.join(missing)}")
    return manifest


def _misfits(files: Mapping[str, bytes], manifest: Manifest) -> list[str]:
    """Return the files that are missing, changed, or unknown to the manifest."""
    own = {MANIFEST, SIGNATURE, TAGS}
    listed, there = manifest.files.keys(), files.keys() - own
    found = [f"{name} is missing" for name in sorted((listed | own) - files.keys())]
    found += [f"{name} is not in {MANIFEST}" for name in sorted(there - listed)]
    found += [
        f"{name} has another content than {MANIFEST} says"
        for name in sorted(there & listed)
        if Listed.of(files[name]) != manifest.files[name]
    ]
    tags = {n: each for n, each in files.items() if n != TAGS and not n.startswith(PAYLOAD)}
    if TAGS in files and files[TAGS] != tag_manifest(tags):
        wrong = {*files[TAGS].splitlines()} ^ {*tag_manifest(tags).splitlines()}
        names = sorted({line.rpartition(b" ")[2].decode("utf-8", "replace") for line in wrong})
        found.append(f"{TAGS} has another hash of {', '.join(filter(None, names)) or 'a file'}")
    return found


def _unsigned(
    files: Mapping[str, bytes], manifest: Manifest, federation: Federation, expected: str | None
) -> list[str]:
    """Return what is wrong with the signature and with who has signed."""
    found = []
    if federation.hash != manifest.federation:
        found.append(
            f"a federation file with the hash {federation.hash[:12]}…, where {MANIFEST} names"
            f" {manifest.federation[:12]}…"
        )
    if expected is not None and not manifest.federation.startswith(expected):
        found.append(f"the federation {manifest.federation}, where {expected} is expected")
    keys = {each.name: each.signing_key for each in federation.vendors}
    if keys.get(manifest.vendor) != manifest.key:
        found.append(f"a key of {manifest.vendor!r} that is not the one in its federation file")
    try:
        signature = Signature.model_validate_json(files[SIGNATURE])
    except ValidationError:
        return [*found, f"a {SIGNATURE} that cannot be read"]
    statement = package_statement(manifest.vendor, manifest.federation, files[MANIFEST])
    verifier = VendorKeys(None, {manifest.vendor: manifest.key})
    if signature.vendor != manifest.vendor or not verifier.verify(
        manifest.vendor, statement, signature.signature
    ):
        found.append(f"a {MANIFEST} that {manifest.vendor!r} has not signed")
    return found


def _federation(files: Mapping[str, bytes]) -> Federation:
    with TemporaryDirectory(prefix="srflm-") as folder:
        path = Path(folder) / "federation.toml"
        path.write_bytes(files[f"{PAYLOAD}{FEDERATION}"])
        try:
            return load_federation(path)
        except ConfigurationError as error:
            raise PackageError(
                f"a federation file that this version does not accept: {error.found}",
                "the agreed federation file",
                "verify with the version of srflm-flower that the card names",
                PackageError.NO_PACKAGE,
            ) from error


def _committed(path: Path, files: Mapping[str, bytes]) -> list[Committed]:
    lines = files[f"{PAYLOAD}{LEDGER}"].splitlines()
    try:
        return [Committed.model_validate_json(line) for line in lines]
    except ValidationError as error:
        raise no_package(path, f"a {LEDGER} that cannot be read") from error


def _card(path: Path, files: Mapping[str, bytes]) -> ModelCard:
    try:
        return ModelCard.model_validate_json(files[f"{PAYLOAD}{CARD_DATA}"])
    except ValidationError as error:
        raise no_package(path, f"a {CARD_DATA} that cannot be read") from error


def _contradictions(
    files: Mapping[str, bytes],
    manifest: Manifest,
    federation: Federation,
    records: list[TermRecord],
    card: ModelCard,
) -> list[str]:
    """Return where card, model, and ledger do not say the same."""
    best = released(records, federation.task.metric, federation.aggregation.moving_average > 0)
    if best is None:
        return ["a ledger without a term"]
    told = {
        "the federation": (card.identity, federation.hash),
        "its maker": (card.made_by, manifest.vendor),
        "the last record": (card.head, records[-1].hash),
        "the number of terms": (card.terms, len(records)),
        "the outcome": (card.outcome, outcome_of(federation, records).sentence),
        "the released model": ((card.kind, card.term), (best.kind, best.term)),
        "who served": (
            {name: each.served for name, each in card.vendors.items() if each.served},
            _served(records),
        ),
    }
    wrong = [name for name, (on_card, in_ledger) in told.items() if on_card != in_ledger]
    found = [f"a card that tells another thing of {name}" for name in wrong]
    weights = _shared_hash(files, card)
    if weights != card.weights:
        found.append(f"a {MODEL} whose weights are not those that the card names")
    elif best.model and weights != best.model:  # the ledger has no hash of a moving average
        found.append(f"a {MODEL} whose weights are not those that the ledger names")
    tags = {n: each for n, each in files.items() if n.startswith(PAYLOAD)}
    payload = {name.removeprefix(PAYLOAD): each for name, each in tags.items()}
    made = tag_files(payload, card.made_on, manifest.vendor)
    found += [f"{name}, which does not fit the files" for name in made if files[name] != made[name]]
    return found + _crate_problems(files, manifest)


def _served(records: list[TermRecord]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for record in records:
        found[record.server] = (*found.get(record.server, ()), record.term)
    return found


def _shared_hash(files: Mapping[str, bytes], card: ModelCard) -> str:
    """Return the hash of the weights that all sites share; "" for a file that is no model."""
    with TemporaryDirectory(prefix="srflm-") as folder:
        path = Path(folder) / MODEL
        path.write_bytes(files[f"{PAYLOAD}{MODEL}"])
        try:
            weights = read_model_file(path).weights
        except RunFolderError:
            return ""
    return hash_weights({n: w for n, w in weights.items() if n not in card.kept_at_home})


def _crate_problems(files: Mapping[str, bytes], manifest: Manifest) -> list[str]:
    """Return the files of which the RO-Crate tells another hash than the manifest."""
    try:
        graph = json.loads(files[f"{PAYLOAD}{METADATA}"])["@graph"]
        told = {each["@id"]: each["sha256"] for each in graph if "sha256" in each}
    except (ValueError, KeyError, TypeError):
        return [f"a {METADATA} that cannot be read"]
    listed = {
        name.removeprefix(PAYLOAD): each.sha256
        for name, each in manifest.files.items()
        if name.startswith(PAYLOAD) and name != f"{PAYLOAD}{METADATA}"
    }
    wrong = sorted({name for name, _ in told.items() ^ listed.items()})
    return [f"a {METADATA} that tells another hash of {name}" for name in wrong]


def _require(problems: list[str], code: str) -> None:
    if not problems:
        return
    more = len(problems) - MOST_NAMED
    named = problems[:MOST_NAMED] + ([f"and {more} more"] if more > 0 else [])
    raise PackageError(
        "; ".join(named),
        "a package as its site has signed it",
        "get the package again from the site that made it, and do not use this one",
        code,
    )
