"""The consortium publishes: it makes the next edition, if there is one, and one answer for all.

Nothing is issued again that has not changed: a certificate stays until its key or address changes,
or until it ends within sixty days.  So what is published twice is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from clients.files.durable import write_durably
from deploy.identity.authority import (
    Consortium,
    create_consortium,
    load_consortium,
    sign_site_certificate,
)
from deploy.identity.certificates import read_certificate
from deploy.identity.checks import WARNING_DAYS, check_issuer
from deploy.identity.keys import openssh_line
from deploy.identity.names import alternative_name
from deploy.membership.answer import Answer, read_answer, write_answer
from deploy.membership.assigning import memberships_for
from deploy.membership.confirming import Confirmations, check_signatures, read_confirmations
from deploy.membership.consortium import first_edition, next_edition
from deploy.membership.federation_folder import FederationFolder
from deploy.membership.request import Request
from deploy.membership.weights_beside import beside, copy_weights
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from srflm_flower.federation.network_trial import check_network
from srflm_flower.federation.successor import Difference, changed_settings, difference
from srflm_flower.federation.upgrade import CodeChange, changes_nothing, with_code
from strategies.errors import ConfigurationError, IdentityError

RENEW_DAYS: Final = WARNING_DAYS
"""A certificate that ends sooner is renewed: from the day on which its site is warned."""


@dataclass(frozen=True)
class Publication:
    """What was published: ``changes`` since the edition before, ``issued`` certificates' vendors.

    ``answer`` is the file for all members.  ``new`` says that it is of a new edition; ``changed``
    that the answer is another one than before.
    """

    federation: Federation
    changes: Difference
    issued: tuple[str, ...]
    answer: Path
    new: bool
    changed: bool


def create(root: Path, text: str, name: str) -> FederationFolder:
    """Make the consortium's folder, with a CA and ``text`` as the agreed settings.

    Raises :class:`ConfigurationError` for a folder that has them already.
    """
    folder = FederationFolder(root)
    if folder.agreed.exists():
        raise ConfigurationError(
            f"{folder.agreed}, which exists", "a new folder", "choose another one, or edit the file"
        )
    create_consortium(root, name)
    write_durably(folder.agreed, text.encode())
    return folder


def plan(
    folder: FederationFolder,
    leaves: Sequence[str] = (),
    requests: Mapping[str, Request] | None = None,
    code: CodeChange | None = None,
) -> tuple[Federation, bool]:
    """Return the edition that would be published now, and whether it is a new one.

    ``leaves`` are members that leave beside those that were admitted to leave; ``requests`` are to
    be taken in place of the admitted ones.  ``code`` is a change of the code that members run.

    Raises :class:`ConfigurationError` for settings that cannot change any more, for a vendor
    without a request, and for an edition that is not valid.
    """
    editions, leaves = folder.editions(), (*dict.fromkeys((*leaves, *folder.leaving())),)
    requests = folder.requests() if requests is None else requests
    if not editions:
        if not requests:
            raise _nobody()
        base = load_federation(folder.agreed, tuple(requests))
        check_network(base)
        made = memberships_for(requests, base.roster, (), folder.withdrawn())
        return beside(first_edition(base, made)), True
    last = editions[-1]
    # A vendor that has left has lost its request, so it does not come back by itself.
    stays = [vendor for vendor in last.roster if vendor not in leaves]
    joins = [vendor for vendor in requests if vendor not in last.roster and vendor not in leaves]
    base = load_federation(folder.agreed, (*stays, *joins))
    _require_same_settings(last, base)
    made = memberships_for(requests, (*stays, *joins), editions, folder.withdrawn())
    if code is not None and changes_nothing(last, code):
        code = None
    if not made and not leaves and code is None:
        return last, False
    new = next_edition(last, made, leaves, base)
    return beside(with_code(new, code) if code is not None else new), True


def publish(
    folder: FederationFolder,
    leaves: Sequence[str] = (),
    now: datetime | None = None,
    code: CodeChange | None = None,
) -> Publication:
    """Make the next edition, renew certificates, and write the answer for all members.

    ``leaves`` are members that leave, ``code`` a change of the code that they run; the first
    edition has that of the installed package.  Raises the errors of :func:`plan`, and
    :class:`strategies.errors.IdentityError` when the CA's key is missing where it is needed.
    """
    now = now or datetime.now(UTC)
    federation, new = plan(folder, leaves, code=code)
    before = folder.editions()
    consortium, requests = load_consortium(folder.root), folder.requests()
    # First: a request that outlives its edition would let the vendor join again.
    for vendor in (*leaves, *folder.leaving()):
        folder.request(vendor).unlink(missing_ok=True)
    if new:
        agreed = load_federation(folder.agreed, federation.roster)
        copy_weights(agreed, folder.edition(federation.edition))
        # Last, as the edition exists with this file.
        text = federation.to_toml().encode()
        write_durably(folder.edition(federation.edition) / "federation.toml", text)
    issued = _issue(folder, consortium, requests, federation.roster, now)
    changed = _answer(folder, consortium, federation, _held_signatures(folder, federation))
    all_join = Difference(federation.roster, (), ())
    changes = difference(before[-1], federation) if before else all_join
    answer = folder.answer(federation.edition)
    return Publication(federation, changes, issued, answer, new, changed)


def collect(folder: FederationFolder, files: Sequence[Path]) -> tuple[str, ...]:
    """Put members' signatures into the last answer; return the members that are missing.

    Raises :class:`ConfigurationError` for a signature that is false, or under another edition.
    """
    editions = folder.editions()
    if not editions:
        raise _nobody()
    federation, signatures = editions[-1], _held_signatures(folder, editions[-1])
    for path in files:
        told = read_confirmations(path)
        check_signatures(path, told, federation)
        signatures |= told.signatures
    _answer(folder, load_consortium(folder.root), federation, signatures)
    return tuple(vendor for vendor in federation.roster if vendor not in signatures)


def _issue(
    folder: FederationFolder,
    consortium: Consortium,
    requests: Mapping[str, Request],
    roster: Sequence[str],
    now: datetime,
) -> tuple[str, ...]:
    """Sign the certificates that are missing, out of date, or for another key or address."""
    issued = []
    for vendor in roster:
        request, path = requests.get(vendor), folder.certificate(vendor)
        if request is None or not _needs_certificate(path, request, consortium, now):
            continue
        csr = request.certificate_request.encode("ascii")
        pem = sign_site_certificate(consortium, csr, vendor, [request.host], now=now)
        write_durably(path, pem)
        issued.append(vendor)
    return tuple(issued)


def _needs_certificate(path: Path, request: Request, consortium: Consortium, now: datetime) -> bool:
    if not path.exists():
        return True
    found = read_certificate(path)
    try:
        check_issuer(found, consortium.certificate, path, "")
    except IdentityError:
        return True  # of another CA
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    key = found.public_key()
    ends = found.not_valid_after_utc
    # No certificate outlives its CA, so another one of the same CA might be no better.
    late = ends < now + timedelta(days=RENEW_DAYS)
    may_renew = ends < consortium.certificate.not_valid_after_utc
    return (
        openssh_line(key) != request.site_key  # type: ignore[arg-type]
        or alternative_name(request.host) not in list(names)
        or (late and may_renew)
    )


def _answer(
    folder: FederationFolder,
    consortium: Consortium,
    federation: Federation,
    signatures: Mapping[str, str],
) -> bool:
    """Write the answer of an edition; return whether it is another one than before."""
    held = {vendor: folder.certificate(vendor) for vendor in federation.roster}
    path = folder.answer(federation.edition)
    answer = Answer(
        federation=(path.parent / "federation.toml").read_text(encoding="utf-8"),
        authority=consortium.pem.decode("ascii"),
        certificates={
            vendor: file.read_text(encoding="ascii")
            for vendor, file in held.items()
            if file.exists()
        },
        signatures=dict(signatures),
    )
    # An ECDSA signature differs each time: what has not changed stays as it is, to the byte.
    if path.exists() and read_answer(path).statement == answer.statement:
        return False
    write_answer(path, answer, consortium)
    return True


def _held_signatures(folder: FederationFolder, federation: Federation) -> dict[str, str]:
    """Return the signatures in an edition's answer; those of members, under this file."""
    path = folder.answer(federation.edition)
    if not path.exists():
        return {}
    told = Confirmations(federation=federation.hash, signatures=read_answer(path).signatures)
    check_signatures(path, told, federation)
    return dict(told.signatures)


def _nobody() -> ConfigurationError:
    return ConfigurationError(
        "no admitted request, and no edition",
        "the requests of the first members",
        "admit them: `srflm federation admit FOLDER REQUEST …`",
    )


def _require_same_settings(last: Federation, base: Federation) -> None:
    """Check that the agreed file still has the settings of the edition in force."""
    settled = base.model_copy(update={"recovered": last.recovered})
    changed = changed_settings(last, settled)
    if changed:
        raise ConfigurationError(
            f"{', '.join(changed)} in federation.toml, other than in edition {last.edition}",
            "the same settings: only the roster and the code of a federation can change",
            "put them back; for other settings create another federation",
        )
