"""An invitation request: the public parts of a new site in one file, signed by the site itself.

The file is safe to send by e-mail.  That it comes from the site shows its fingerprint only, twelve
words that the site's operator reads to the consortium over the telephone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

import tomlkit
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from pydantic import Field

from clients.files.durable import write_durably
from deploy.edge.addresses import check_own_address, listen_for
from deploy.edge.machines import host_of, split_address
from deploy.identity.certificates import key_of_request
from deploy.identity.identity import PublicIdentity
from deploy.identity.keys import openssh_line, read_signing_key
from deploy.identity.names import VENDOR, alternative_name
from deploy.identity.spare_keys import make_spare_keys
from deploy.identity.words import words_of
from deploy.membership.joining import begin_site
from deploy.membership.toml_file import read_toml
from deploy.processes.config import Strict
from deploy.processes.private import private_files
from strategies.errors import ConfigurationError
from strategies.protocol.records import canonical_json
from strategies.protocol.signatures import VendorKeys

ENDING: Final = ".request.toml"
HEADER: Final = """\
# The request of a site to become a member of a federation: public parts only, safe to e-mail.
# Whoever gets it compares its fingerprint, twelve words, with the site's operator by telephone.
"""
AGAIN: Final = "have the site run `srflm site init`, and send what it names"
NodeKey = Annotated[str, Field(pattern=r"^ecdsa-sha2-nistp384 [A-Za-z0-9+/=]+$")]


class Signed(Strict):
    """A request with the fingerprint of all that its signature covers; ``says`` is its kind."""

    says: ClassVar[str]

    @property
    def statement(self) -> bytes:
        """What the site signs: everything but the signature."""
        plain = self.model_dump(mode="json", exclude={"signature"})
        return canonical_json({"says": self.says, **plain})

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of what the site signs."""
        return hashlib.sha256(self.statement).hexdigest()

    @property
    def fingerprint(self) -> str:
        """The twelve words to compare by telephone."""
        return words_of(self.digest)


class Request(Signed):
    """A site's request, with its self-signature (Ed25519, hexadecimal) over all the rest.

    ``node_key`` is for the site's own SuperLink; of ``spare_node_keys`` the consortium takes one
    for each other member.
    """

    says = "request"

    schema_version: Literal[1]
    vendor: str
    address: str
    signing_key: str = Field(pattern=r"^[0-9a-f]{64}$")
    node_key: NodeKey
    spare_node_keys: tuple[NodeKey, ...]
    certificate_request: str
    signature: str = ""

    @property
    def host(self) -> str:
        """The host of the address, as it stands in a certificate."""
        return host_of(self.address)

    @property
    def site_key(self) -> str:
        """The OpenSSH line of the key for which a certificate is asked."""
        return openssh_line(key_of_request(self.certificate_request.encode("ascii"), self.vendor))


def check_name_and_address(vendor: str, address: str) -> None:
    """Check what a person has typed; raises :class:`ConfigurationError`."""
    if not VENDOR.fullmatch(vendor):
        raise ConfigurationError(
            f"the vendor's name {vendor!r}",
            "1 to 40 lower-case letters, digits, '_', '-' or '.', the first a letter or digit",
            "choose such a name; the others will see it",
        )
    check_own_address(address, "the address")
    alternative_name(split_address(address)[0])


def init_site(
    folder: Path, vendor: str, address: str, listen: str | None, data: Path | None
) -> Path:
    """Make a site's ``site.toml`` and keys; return the file of its request.

    ``address`` is the ``host:port`` at which others reach the site, ``listen`` its own ``ip:port``
    (:func:`deploy.edge.addresses.listen_for`),
    ``data`` its images; None where the federation uses phantoms.  Called again, it keeps
    ``site.toml`` and all keys, and adds spare keys in place of those given out.

    Raises :class:`ConfigurationError` for a name, address, or path that cannot be right;
    :class:`strategies.errors.IdentityError` for a folder that is another vendor's.
    """
    check_name_and_address(vendor, address)
    listen = listen_for(address, listen)
    if data is not None and not data.exists():
        raise ConfigurationError(
            f"the data {str(data)!r}, which does not exist",
            "this vendor's folder or file of images",
            "correct the path",
        )
    own = {"listen": listen} | ({"data": str(data.resolve())} if data is not None else {})
    identity, public = begin_site(folder, own, vendor, (vendor,))
    # With the user's own umask, as it is sent to others.
    path = folder / f"{vendor}{ENDING}"
    write_request(path, request_for(identity, public, address))
    return path


def request_for(identity: Path, public: PublicIdentity, address: str) -> Request:
    """Return the signed request for the keys in ``identity``, which gets the spare keys it lacks.

    Raises :class:`strategies.errors.IdentityError`.
    """
    with private_files():
        spares = make_spare_keys(identity)
    request = Request(
        schema_version=1,
        vendor=public.vendor,
        address=address,
        signing_key=public.signing_key,
        node_key=" ".join(public.node_keys[public.vendor].split()[:2]),
        spare_node_keys=spares,
        certificate_request=(identity / "site.csr").read_text(encoding="ascii"),
    )
    keys = VendorKeys(read_signing_key(identity / "signing.key"), {})
    return request.model_copy(update={"signature": keys.sign(request.statement)})


def write_request(path: Path, request: Request) -> None:
    """Write a request as a TOML file; raises :class:`strategies.errors.RunFolderError`."""
    text = HEADER + tomlkit.dumps(request.model_dump(mode="json"))
    write_durably(path, text.encode())


def read_request(path: Path) -> Request:
    """Read and check a request.

    Raises :class:`ConfigurationError` for another file, a request that was changed, and a name or
    address that cannot be right; :class:`strategies.errors.IdentityError` for the certificate
    request of another vendor.
    """
    request = read_toml(Request, path, "a site's request", AGAIN)
    check_request(request, path)
    return request


def check_request(request: Request, path: Path) -> None:
    """Check a request that was read from ``path``; the errors are :func:`read_request`'s."""
    keys = VendorKeys(None, {request.vendor: request.signing_key})
    if not keys.verify(request.vendor, request.statement, request.signature):
        raise ConfigurationError(
            f"{path}, which is not as {request.vendor} has signed it",
            "a request as the site has made it",
            "have the site send it again; if it comes changed again, ask who is on the way",
        )
    check_name_and_address(request.vendor, request.address)
    lines = (request.node_key, *request.spare_node_keys, request.site_key)
    if len(set(lines)) != len(lines) or not all(map(_is_ec_key, lines)):
        raise ConfigurationError(
            f"{path}, with a key that is none, or twice", "different EC keys", AGAIN
        )


def _is_ec_key(line: str) -> bool:
    try:
        return isinstance(load_ssh_public_key(line.encode("ascii")), EllipticCurvePublicKey)
    except (ValueError, UnsupportedAlgorithm):
        return False


def twice(requests: Sequence[Request]) -> list[str]:
    """Return the vendors of which there are two different requests."""
    seen: dict[str, str] = {}
    return [
        each.vendor for each in requests if seen.setdefault(each.vendor, each.digest) != each.digest
    ]
