"""What must not make a member: changed requests, wrong words, foreign and expired certificates."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import tomlkit

from deploy.identity.authority import create_consortium, load_consortium, sign_site_certificate
from deploy.identity.keys import read_signing_key
from deploy.membership.answer import read_answer, write_answer
from deploy.membership.request import Request, read_request, write_request
from strategies.errors import ConfigurationError, IdentityError
from strategies.protocol.signatures import VendorKeys
from tests.deploy.membership.machines import Consortium

WORDS = "abandon ability able about above absent absorb abstract absurd abuse access accident"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a consortium and the requests of two sites, not admitted yet."""
    folder = tmp_path_factory.mktemp("asked")
    consortium = Consortium(folder)
    consortium.create()
    consortium.init("aster")
    consortium.init("borealis")
    return folder


@pytest.fixture
def consortium(asked: Path, tmp_path: Path) -> Consortium:
    shutil.copytree(asked, tmp_path / "c")
    return Consortium(tmp_path / "c")


def admitted(consortium: Consortium) -> list[str]:
    return sorted(consortium.office.requests())


def test_request_whose_fingerprint_is_another_is_refused(consortium: Consortium) -> None:
    files = consortium.inbox("aster"), consortium.inbox("borealis")
    own = read_request(files[0]).fingerprint
    for heard in ([WORDS], [own], [own, WORDS]):
        options = [word for each in heard for word in ("--fingerprint", each)]
        error = consortium.refused("federation", "admit", consortium.office.root, *files, *options)
        assert "fingerprint is not the one heard" in error.found
    assert admitted(consortium) == []


def test_nobody_is_admitted_unasked(consortium: Consortium) -> None:
    files = [consortium.inbox("aster")]
    error = consortium.refused("federation", "admit", consortium.office.root, *files)
    assert "no terminal" in error.found and "--yes" in error.expected
    assert admitted(consortium) == []
    told = consortium.srflm("federation", "admit", consortium.office.root, *files, "--yes").output
    assert read_request(files[0]).fingerprint in re.sub(r"\s+", " ", told)
    assert admitted(consortium) == ["aster"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("address", "evil.example.org:8443"),
        ("vendor", "zeus"),
        ("signing_key", "0" * 64),
        ("signature", "00" * 64),
    ],
)
def test_changed_request_is_refused(consortium: Consortium, key: str, value: str) -> None:
    file = consortium.inbox("aster")
    tree = tomlkit.parse(file.read_text()).unwrap()
    file.write_text(tomlkit.dumps(tree | {key: value}))
    with pytest.raises(ConfigurationError, match="signed it"):
        read_request(file)


def signed_again(consortium: Consortium, **changes: object) -> Path:
    """Return aster's request, changed and signed with its own key."""
    file = consortium.inbox("aster")
    request = read_request(file)
    changed = Request.model_validate(request.model_dump() | changes)
    identity = consortium.site_folder("aster") / "identity"
    keys = VendorKeys(read_signing_key(identity / "signing.key"), {})
    write_request(file, changed.model_copy(update={"signature": keys.sign(changed.statement)}))
    return file


def test_certificate_request_of_another_is_refused(consortium: Consortium) -> None:
    other = read_request(consortium.inbox("borealis")).certificate_request
    with pytest.raises(IdentityError, match="borealis"):
        read_request(signed_again(consortium, certificate_request=other))


def test_one_key_for_two_uses_is_refused(consortium: Consortium) -> None:
    request = read_request(consortium.inbox("aster"))
    twice = (request.node_key, *request.spare_node_keys)
    with pytest.raises(ConfigurationError, match="a key that is none, or twice"):
        read_request(signed_again(consortium, spare_node_keys=twice))
    with pytest.raises(ConfigurationError, match="a key that is none, or twice"):
        read_request(signed_again(consortium, node_key="ecdsa-sha2-nistp384 AAAA"))


def test_address_that_would_pass_for_another_vendor_is_refused(consortium: Consortium) -> None:
    with pytest.raises(ConfigurationError, match=r"srflm\.internal"):
        read_request(signed_again(consortium, address="borealis.srflm.internal:8443"))


def test_two_vendors_of_one_name_are_refused(consortium: Consortium) -> None:
    consortium.admit("aster")
    first = consortium.office.request("aster").read_bytes()
    shutil.rmtree(consortium.site_folder("aster"))
    consortium.init("aster")  # another site with the same name
    root, file = consortium.office.root, consortium.inbox("aster")
    error = consortium.refused("federation", "admit", root, file, "--yes")
    assert "a second vendor with the name aster" in error.found
    assert consortium.office.request("aster").read_bytes() == first
    consortium.srflm("federation", "admit", root, file, "--yes", "--replace")
    assert consortium.office.request("aster").read_bytes() != first


def test_two_requests_of_one_name_at_once_are_refused(consortium: Consortium) -> None:
    first = consortium.folder / "first.toml"
    shutil.copy(consortium.inbox("aster"), first)
    shutil.rmtree(consortium.site_folder("aster"))
    consortium.init("aster")
    files = first, consortium.inbox("aster")
    error = consortium.refused("federation", "admit", consortium.office.root, *files, "--yes")
    assert "two different requests of aster" in error.found


def test_two_vendors_of_one_address_are_refused(consortium: Consortium) -> None:
    address = read_request(consortium.inbox("borealis")).address
    files = signed_again(consortium, address=address), consortium.inbox("borealis")
    error = consortium.refused("federation", "admit", consortium.office.root, *files, "--yes")
    assert "one address for aster and borealis" in error.found


# ---- what comes back ---------------------------------------------------------------------------


@pytest.fixture
def published(consortium: Consortium) -> Consortium:
    consortium.admit("aster", "borealis")
    consortium.publish()
    return consortium


def join(consortium: Consortium, answer: Path) -> None:
    consortium.srflm("site", "join", consortium.site_folder("aster"), answer)


def with_certificate(consortium: Consortium, pem: bytes) -> Path:
    """Return an answer in which aster has another certificate, signed by the consortium's CA."""
    path = consortium.answer("aster")
    answer = read_answer(path)
    changed = {"certificates": answer.certificates | {"aster": pem.decode()}}
    authority = load_consortium(consortium.office.root)
    write_answer(path, answer.model_copy(update=changed), authority)
    return path


def test_changed_answer_is_refused(published: Consortium) -> None:
    path = published.answer("aster")
    text = path.read_text()
    path.write_text(text.replace("127.0.0.1:9444", "127.0.0.1:9555"))
    assert path.read_text() != text
    with pytest.raises(ConfigurationError, match="not as the consortium has signed it"):
        join(published, path)
    assert not (published.site_folder("aster") / "federation.toml").exists()


def test_expired_certificate_is_refused(published: Consortium) -> None:
    authority = load_consortium(published.office.root)
    request = read_request(published.inbox("aster")).certificate_request.encode()
    past = datetime.now(UTC) - timedelta(minutes=5)
    pem = sign_site_certificate(authority, request, "aster", days=0, now=past)
    with pytest.raises(IdentityError, match="expired on"):
        join(published, with_certificate(published, pem))


def test_foreign_certificate_is_refused(published: Consortium, tmp_path: Path) -> None:
    other = create_consortium(tmp_path / "other", "nodules")
    request = read_request(published.inbox("aster")).certificate_request.encode()
    pem = sign_site_certificate(other, request, "aster")
    with pytest.raises(IdentityError, match="not signed by"):
        join(published, with_certificate(published, pem))
    # Nor does the certificate of another member fit.
    own = read_answer(published.answer("aster")).certificates["borealis"]
    with pytest.raises(IdentityError, match="not for the private key here"):
        join(published, with_certificate(published, own.encode()))


def test_answer_of_another_consortium_is_refused_by_a_member(
    published: Consortium, tmp_path: Path
) -> None:
    join(published, published.answer("aster"))
    path = published.answer("aster")
    other = create_consortium(tmp_path / "other", "nodules")
    request = read_request(published.inbox("aster")).certificate_request.encode()
    pem = sign_site_certificate(other, request, "aster")
    changes = {"authority": other.pem.decode(), "certificates": {"aster": pem.decode()}}
    write_answer(path, read_answer(path).model_copy(update=changes), other)
    with pytest.raises(IdentityError, match="another consortium CA than the installed one"):
        join(published, path)


def test_answer_without_this_vendor_says_what_to_do(published: Consortium) -> None:
    published.init("cygnus")
    answer = published.answer("aster")
    error = published.refused("site", "join", published.site_folder("cygnus"), answer)
    assert "aster, borealis" in error.found and "srflm federation admit" in error.mend


def test_wrong_words_sign_nothing(published: Consortium) -> None:
    folder, answer = published.site_folder("aster"), published.answer("aster")
    error = published.refused("site", "join", folder, answer, "--heard", WORDS)
    assert "do not come up" in error.mend
    assert not published.signatures("aster").exists()


# ---- wrong files -------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["federation file", "site.toml", "request", "answer", "folder"])
def test_wrong_file_gives_one_clear_error(published: Consortium, wrong: str) -> None:
    join(published, published.answer("aster"))
    folder = published.site_folder("aster")
    files = {
        "federation file": folder / "federation.toml",
        "site.toml": folder / "site.toml",
        "request": published.inbox("aster"),
        "answer": published.answer("aster"),
        "folder": folder,
    }
    errors = []
    if wrong != "request":
        errors.append(
            published.refused("federation", "admit", published.office.root, files[wrong], "--yes")
        )
    agreed = ("--federation", folder / "federation.toml")
    errors.append(published.refused("consortium", "assemble", files[wrong], *agreed))
    for error in errors:
        assert error.found.count("\n") == 0 and len(error.found) < 400
        assert "pydantic" not in error.found
        assert wrong in error.found or wrong == "folder"
