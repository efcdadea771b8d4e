"""The consortium's answer: one file for all members, with public parts only.

It has the federation file, the certificates of all members' sites, and the signatures that members
have sent so far; the consortium's CA has signed it.  Agreed files of weights lie beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

import tomlkit
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from clients.files.durable import write_durably
from deploy.identity.authority import Consortium
from deploy.identity.certificates import certificate_from
from deploy.membership.confirming import Confirmations, confirmations_beside
from deploy.membership.toml_file import read_toml
from deploy.membership.weights_beside import bring_weights
from deploy.processes.config import Strict
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from strategies.errors import ConfigurationError
from strategies.protocol.records import canonical_json

ANSWER: Final = "answer.toml"
HEADER: Final = """\
# The consortium's answer to all members: public parts only. A new member reads it by `srflm site
# join SITE answer.toml`, a member of the edition before by `srflm roster approve SITE answer.toml`.
"""


class Answer(Strict):
    """An answer; ``certificates`` (PEM) and ``signatures`` are by vendor."""

    schema_version: Literal[1] = 1
    authority: str
    certificates: dict[str, str]
    signatures: dict[str, str]
    federation: str
    signature: str = ""

    @property
    def statement(self) -> bytes:
        """What the CA signs: everything but the signature."""
        plain = self.model_dump(mode="json", exclude={"signature"})
        return canonical_json({"says": "answer", **plain})


def write_answer(path: Path, answer: Answer, consortium: Consortium) -> None:
    """Sign an answer and write it; raises :class:`strategies.errors.RunFolderError`."""
    made = consortium.key.sign(answer.statement, ec.ECDSA(hashes.SHA384()))
    signed = answer.model_copy(update={"signature": made.hex()})
    document = tomlkit.document()
    for key, value in signed.model_dump(mode="json").items():
        long = isinstance(value, str) and "\n" in value
        document[key] = tomlkit.string(value, multiline=True) if long else value
    write_durably(path, (HEADER + tomlkit.dumps(document)).encode())


def read_answer(path: Path) -> Answer:
    """Read an answer and check its signature.

    Raises :class:`ConfigurationError` for another file, and for one that the CA in it has not
    signed; whether that CA is the consortium's, the site sees from the one that it has installed.
    """
    mend = "ask the consortium for its answer again (`srflm federation publish` makes it)"
    answer = read_toml(Answer, path, "a consortium's answer", mend)
    authority = certificate_from(answer.authority.encode("ascii"), "the CA in the answer")
    if not _has_signed(authority, answer):
        raise ConfigurationError(
            f"{path}, which is not as the consortium has signed it", "an answer unchanged", mend
        )
    return answer


def is_answer(path: Path) -> bool:
    """Return whether a file looks like an answer, and not like a folder or a federation file."""
    return path.is_file() and path.read_bytes().startswith(HEADER.splitlines()[0].encode())


@contextmanager
def unpacked(path: Path, vendor: str) -> Iterator[Path]:
    """Give a folder with a vendor's part of an answer, as ``srflm consortium assemble`` makes one.

    It has no certificate where the answer has none for the vendor.  Raises
    :class:`ConfigurationError`.
    """
    answer = read_answer(path)
    with TemporaryDirectory(prefix="srflm-") as temporary:
        folder = Path(temporary)
        file = folder / "federation.toml"
        file.write_text(answer.federation, encoding="utf-8")
        federation = load_federation(file)
        bring_weights(federation, path.parent)
        if vendor in answer.certificates:
            (folder / "site.crt").write_text(answer.certificates[vendor], encoding="ascii")
        (folder / "consortium-ca.crt").write_text(answer.authority, encoding="ascii")
        if answer.signatures:
            told = Confirmations(federation=federation.hash, signatures=answer.signatures)
            plain = tomlkit.dumps(told.model_dump())
            confirmations_beside(file, federation.hash).write_text(plain, encoding="utf-8")
        yield folder


def federation_in(path: Path) -> Federation:
    """Return the federation file in an answer; raises :class:`ConfigurationError`."""
    with unpacked(path, "") as folder:
        return load_federation(folder / "federation.toml")


def _has_signed(authority: x509.Certificate, answer: Answer) -> bool:
    key = authority.public_key()
    try:
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        signature = bytes.fromhex(answer.signature)
        key.verify(signature, answer.statement, ec.ECDSA(hashes.SHA384()))
    except (ValueError, InvalidSignature):
        return False
    return True
