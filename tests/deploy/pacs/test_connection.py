"""The door to the PACS: whom it trusts, as whom it speaks, how much it takes, and what it says."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from deploy.identity.certificates import end_entity, issue, make_authority
from deploy.identity.keys import new_key
from deploy.pacs import connection
from deploy.pacs.connection import Connection
from deploy.site.pacs_settings import PacsSettings
from strategies.errors import ConfigurationError, PacsError
from tests.deploy.pacs.made_up_pacs import MadeUpPacs, served
from tests.deploy.pacs.pulls import Files, pulled, refused
from tests.support.dicom_files import CANARY

PASSWORD = "geheim:%'\" ü"


def account(folder: Path, text: str) -> Path:
    path = folder / "account.toml"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def problem(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Connection(PacsSettings(address="https://pacs.invalid", credentials=path))
    assert caught.value.__cause__ is None
    return str(caught.value)


# ---- as whom -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("user = 'a'\npassword = 'b'\n", "Basic YTpi"),
        ("token = 'abc.def'\n", "Bearer abc.def"),
        ("", None),
    ],
)
def test_credentials_are_sent(
    pacs: MadeUpPacs, folder: Path, tmp_path: Path, text: str, sent: str | None
) -> None:
    path = account(tmp_path, text) if text else None
    pulled(pacs, folder, credentials=path)
    assert {each.get("authorization") for each in pacs.headers} == {sent}


def test_wrong_password_is_one_error_at_once(
    pacs: MadeUpPacs, folder: Path, tmp_path: Path
) -> None:
    pacs.answer = lambda handler: handler.send(CANARY.encode(), "text/plain", 401) is None
    path = account(tmp_path, f"user = 'me'\npassword = '''{PASSWORD}'''\n")
    text = refused(pacs, folder, PacsError.CREDENTIALS, credentials=path)
    assert "credentials (401)" in text and PASSWORD not in text
    assert len(pacs.asked) == 1


def test_password_that_is_refused_within_a_pull_ends_it(pacs: MadeUpPacs, folder: Path) -> None:
    def answer(handler) -> bool:
        is_late = len(pacs.images_asked) > 2
        return is_late and handler.send(b"", "text/plain", 401) is None

    pacs.answer = answer
    refused(pacs, folder, PacsError.CREDENTIALS, at_once=1)
    assert len(pacs.images_asked) == 3


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_credentials_that_others_can_read_are_refused(tmp_path: Path, mode: int) -> None:
    path = account(tmp_path, f"user = 'a'\npassword = '{CANARY}'\n")
    path.chmod(mode)
    text = problem(path)
    assert f"has the mode {mode:04o}" in text and f"chmod 600 {path}" in text
    assert CANARY not in text


@pytest.mark.parametrize(
    "text",
    [
        f"user = '{CANARY}'\n",
        f"password = '{CANARY}'\n",
        f"user = 'a'\npassword = '{CANARY}'\ntoken = 'b'\n",
        f"user = 'a'\npassword = '{CANARY}'\nextra = 1\n",
        f"user = 'a'\npassword = {CANARY}\n",
        f"{CANARY}",
        "",
        "user = 1\npassword = 2\n",
    ],
)
def test_credentials_in_another_form_are_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    said = problem(account(tmp_path, text))
    assert "credentials in the form" in said and CANARY not in said


def test_credentials_that_are_missing_are_named(tmp_path: Path) -> None:
    assert f"{tmp_path / 'none'}, named by pacs.credentials" in problem(tmp_path / "none")


# ---- whom it trusts ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an authority, and its certificates for this machine and another."""
    folder, now = tmp_path_factory.mktemp("tls"), datetime.now(UTC)
    authority_key = new_key()
    pem = make_authority(authority_key, "hospital", now - timedelta(days=20), 40)
    (folder / "ca.pem").write_bytes(pem)
    authority = x509.load_pem_x509_certificate(pem)
    names = {
        "own": ([x509.IPAddress(ip_address("127.0.0.1"))], now),
        "another": ([x509.DNSName("another.example")], now),
        "expired": ([x509.IPAddress(ip_address("127.0.0.1"))], now - timedelta(days=9)),
    }
    for name, (alternatives, start) in names.items():
        key = new_key()
        builder = end_entity("pacs", key.public_key(), alternatives, client=False)
        certificate = issue(authority, authority_key, builder, start, days=5)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.pem").write_bytes(private + certificate)
    return folder


@pytest.fixture
def secured(files: Files, keys: Path, request: pytest.FixtureRequest) -> Iterator[MadeUpPacs]:
    """Return a PACS with TLS, whose certificate a mark may name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / f"{getattr(request, 'param', 'own')}.pem")
    with served(dict(files), context) as running:
        yield running


def test_own_authority_is_trusted(secured: MadeUpPacs, keys: Path, folder: Path) -> None:
    assert pulled(secured, folder, ca=keys / "ca.pem").whole == 4


@pytest.mark.parametrize(
    ("secured", "words"),
    [
        ("own", "no authority known here"),
        ("another", "is for another host"),
        ("expired", "has expired"),
    ],
    indirect=["secured"],
)
def test_certificate_that_is_not_trusted_is_one_error(
    secured: MadeUpPacs, keys: Path, folder: Path, words: str
) -> None:
    ca = None if "authority" in words else keys / "ca.pem"
    assert words in refused(secured, folder, PacsError.CERTIFICATE, ca=ca)
    assert secured.asked == []


def test_environment_changes_nothing(
    secured: MadeUpPacs, keys: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither another authority nor a proxy, which would get the password."""
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "own.pem"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert pulled(secured, folder, ca=keys / "ca.pem").whole == 4


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_authority_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="named by pacs"):
        Connection(PacsSettings(address="https://pacs.invalid", ca=path))


# ---- no answer, and strange ones ---------------------------------------------------------------


def test_pacs_that_cannot_be_reached_is_told_at_once(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    nobody, waits = MadeUpPacs({}, f"http://127.0.0.1:{port}/dicom-web"), []
    with pytest.raises(PacsError, match="cannot be reached") as caught:
        pulled(nobody, folder, waits=waits)
    assert caught.value.code == PacsError.UNREACHABLE and waits == []


def test_pacs_that_is_silent_is_given_up(pacs: MadeUpPacs, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        silent = MadeUpPacs({}, f"http://127.0.0.1:{listening.getsockname()[1]}")
        text = refused(silent, folder, PacsError.UNREACHABLE, patience=0.2)
    assert "silent for pacs.patience seconds" in text


def endless(handler) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/dicom+json")
    handler.end_headers()
    handler.close_connection = True
    try:
        while True:
            handler.wfile.write(b" " * 2**16)
    except OSError:
        return True


RUBBISH = {
    b"<html>CANARY</html>": "not DICOM's JSON",
    b'{"0020000D": 1}': "without a UID",
    b'[{"0020000D": {"vr": "UI", "Value": ["../../CANARY"]}}]': "without a UID",
    b'[{"0020000D": {"vr": "UI", "Value": [{"a": 1}]}}]': "without a UID",
    b'["CANARY"]': "not DICOM's JSON",
    b"3": "not DICOM's JSON",
    b"\xff\xfe\x00": "not DICOM's JSON",
    b"[" * 100_000: "not DICOM's JSON",
    json.dumps([{"error": CANARY}]).encode(): "without a UID",
}


@pytest.mark.parametrize("body", RUBBISH, ids=lambda body: body[:12].decode("latin-1"))
def test_rubbish_is_one_error_that_quotes_nothing(
    pacs: MadeUpPacs, folder: Path, body: bytes
) -> None:
    pacs.answer = lambda handler: handler.send(body, "application/dicom+json") is None
    assert RUBBISH[body] in refused(pacs, folder, PacsError.ANSWER)


def test_answer_without_an_end_is_given_up(
    pacs: MadeUpPacs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_ANSWER", 2**20)
    pacs.answer = endless
    assert "more than 1 MiB" in refused(pacs, folder, PacsError.ANSWER)


@pytest.mark.parametrize(("body", "status"), [(b"[]", 200), (b"", 200), (b"", 204)])
def test_empty_answer_is_one_error(
    pacs: MadeUpPacs, folder: Path, body: bytes, status: int
) -> None:
    pacs.answer = lambda handler: handler.send(body, "application/dicom+json", status) is None
    assert "no series fits the query" in refused(pacs, folder, PacsError.NOTHING)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (301, PacsError.ANSWER, "redirection (301)"),
        (403, PacsError.REFUSED, "(403)"),
        (404, PacsError.ANSWER, "status 404"),
        (500, PacsError.ANSWER, "status 500"),
        (503, PacsError.UNREACHABLE, "overloaded or down (503)"),
    ],
)
def test_status_that_is_no_success_is_one_error(
    pacs: MadeUpPacs, folder: Path, status: int, code: str, words: str
) -> None:
    pacs.answer = lambda handler: (
        handler.send(CANARY.encode(), "text/plain", status, Location="http://127.0.0.1:9/") is None
    )
    assert words in refused(pacs, folder, code)
    assert len(pacs.asked) == (4 if status == 503 else 1)


def test_environment_names_no_authority_and_no_file_of_keys(
    secured: MadeUpPacs, keys: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a variable would do what the site's IT has not agreed to."""
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.pem"))
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys / "log"))
    refused(secured, folder, PacsError.CERTIFICATE)
    assert pulled(secured, folder, ca=keys / "ca.pem").whole == 4
    assert not (keys / "log").exists()


@pytest.mark.parametrize(
    "text",
    [
        f'token = "{CANARY}\\nX-Other: 1"',
        f'token = "{CANARY}ü"',
        f'user = "a"\npassword = "{CANARY}\\u0000"',
    ],
)
def test_credentials_that_no_header_holds_are_refused(tmp_path: Path, text: str) -> None:
    said = problem(account(tmp_path, text))
    assert "printable signs" in said and CANARY not in said


@pytest.mark.parametrize(
    "address",
    [
        "https://pacs.example.org/dicom\tweb",
        "https://pacs.example.org/di\x00com",
        "https://xn--/",
        "https://host\\@127.0.0.1/",
        "http://localhost\\@pacs.example.org/x",
    ],
)
def test_address_that_is_read_in_two_ways_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="expected"):
        PacsSettings(address=address)


@pytest.mark.parametrize(
    "address",
    ["https://PACS.example.org/x", "https://[::1]:8042/x", "https://klinik-süd.de", "https://a:1"],
)
def test_usual_addresses_are_read(address: str) -> None:
    Connection(PacsSettings(address=address))
