"""Trust in a site by the key of its certificate, whoever else has signed a certificate.

nginx trusts authorities, not keys.  So each site's key is the only authority for that site: the
site shows a certificate that its own key has signed, as a server and as a client, and its peers
make the authority's certificate from the key in the federation file.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from deploy.identity.certificates import authority_of, end_entity, issue, read_certificate
from deploy.identity.keys import new_key, read_ec_key

FROM, UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""A key in the federation file has no dates; it is revoked by another edition of the file."""
MANY_DAYS = 36500


def authority_for(vendor: str, key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the certificate (PEM) of the authority that may sign for ``vendor``: its own key."""
    # The peer's private key is not here, and whoever trusts an authority checks no signature of it.
    made = authority_of(authority_name(vendor), key, new_key(), FROM, UNTIL)
    return made.public_bytes(Encoding.PEM)


def shown_certificate(identity: Path, vendor: str) -> bytes:
    """Return the certificate (PEM) that a site shows its peers: ``site.crt``, signed by its key.

    It is valid for the names of ``site.crt``, and until the same day.  Raises
    :class:`strategies.errors.IdentityError`.
    """
    key, installed = read_ec_key(identity / "site.key"), read_certificate(identity / "site.crt")
    until = installed.not_valid_after_utc
    authority = authority_of(authority_name(vendor), key.public_key(), key, FROM, until)
    names = installed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    builder = end_entity(vendor, key.public_key(), list(names), client=True)
    return issue(authority, key, builder, datetime.now(UTC), MANY_DAYS)


def authority_name(vendor: str) -> str:
    """Return the common name of the authority for a vendor's site."""
    return f"{vendor} site key"
