from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree, which

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_ssh_public_key
from flwr.supernode.cli.flower_supernode import load_ssh_private_key

from deploy.identity.authority import (
    Consortium,
    create_consortium,
    load_consortium,
    sign_site_certificate,
)
from deploy.identity.checks import check_identity, expires_within
from deploy.identity.identity import install_certificate, make_identity
from deploy.identity.keys import read_signing_key, write_private
from strategies.errors import ConfigurationError, IdentityError, RunFolderError

ROSTER = ("aster", "borealis", "cygnus")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def install(consortium: Consortium, folder: Path, vendor: str, days: int = 825) -> None:
    csr = (folder / "site.csr").read_bytes()
    pem = sign_site_certificate(consortium, csr, vendor, ["10.0.0.7"], days, NOW)
    install_certificate(folder, pem, consortium.pem)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a consortium and the complete identity of aster."""
    folder = tmp_path_factory.mktemp("pki")
    consortium = create_consortium(folder / "consortium", "phantom", NOW)
    make_identity(folder / "aster", "aster", ROSTER, NOW)
    install(consortium, folder / "aster", "aster")
    return folder


@pytest.fixture
def identity(made: Path, tmp_path: Path) -> Path:
    """Return a copy that the test may spoil."""
    return Path(copytree(made / "aster", tmp_path / "identity"))


@pytest.fixture
def consortium(made: Path) -> Consortium:
    return load_consortium(made / "consortium")


def request(name: str, key: object | None = None) -> bytes:
    builder = x509.CertificateSigningRequestBuilder(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    )
    signer = key or ec.generate_private_key(ec.SECP384R1())
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)  # type: ignore[arg-type]


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_complete_identity_passes(identity: Path) -> None:
    check_identity(identity, "aster", NOW, ROSTER)


def test_private_keys_are_for_their_owner_only(made: Path) -> None:
    for folder in (made / "consortium", made / "aster"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        keys = {name: mode for name, mode in modes(folder).items() if name.endswith(".key")}
        assert keys and set(keys.values()) == {0o600}
    assert not list(made.rglob(".*")), "no temporary files"


def test_private_file_is_never_overwritten(tmp_path: Path) -> None:
    write_private(tmp_path / "x.key", b"first")
    with pytest.raises(IdentityError, match="exists"):
        write_private(tmp_path / "x.key", b"second")
    assert (tmp_path / "x.key").read_bytes() == b"first"


def test_key_that_cannot_be_written_is_an_error_about_the_folder(tmp_path: Path) -> None:
    (tmp_path / "identity").write_text("no folder")
    with pytest.raises(RunFolderError, match="correct the folder's owner"):
        write_private(tmp_path / "identity" / "x.key", b"key")


def test_public_identity_is_what_the_files_say(identity: Path) -> None:
    public = make_identity(identity, "aster", ROSTER, NOW)
    assert public.vendor == "aster" and len(bytes.fromhex(public.signing_key)) == 32
    assert list(public.node_keys) == list(ROSTER)
    for peer, line in public.node_keys.items():
        assert (identity / f"node-{peer}.pub").read_text() == f"{line}\n"
        private = load_ssh_private_key((identity / f"node-{peer}.key").read_bytes(), None)
        assert private.public_key() == load_ssh_public_key(line.encode())
    assert len(set(public.node_keys.values())) == len(ROSTER), "a key for each SuperLink"


@pytest.mark.skipif(which("ssh-keygen") is None, reason="no ssh-keygen here")
def test_ssh_keygen_reads_the_node_key_as_its_own(identity: Path) -> None:
    command = ["ssh-keygen", "-y", "-f", str(identity / "node-borealis.key")]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert found[:2] == (identity / "node-borealis.pub").read_text().split()[:2]


def test_making_an_identity_again_changes_nothing_and_adds_new_peers(identity: Path) -> None:
    before = {path.name: path.read_bytes() for path in identity.iterdir()}
    first = make_identity(identity, "aster", ROSTER, NOW)
    longer = make_identity(identity, "aster", [*ROSTER, "draco"], NOW)
    after = {path.name: path.read_bytes() for path in identity.iterdir()}
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"node-draco.key", "node-draco.pub"}
    assert longer.signing_key == first.signing_key
    assert {**longer.node_keys, **first.node_keys} == longer.node_keys


def test_missing_request_and_public_keys_are_made_from_the_keys(identity: Path) -> None:
    before = (identity / "node-cygnus.pub").read_bytes()
    (identity / "site.csr").unlink()
    (identity / "node-cygnus.pub").unlink()
    make_identity(identity, "aster", ROSTER, NOW)
    csr = x509.load_pem_x509_csr((identity / "site.csr").read_bytes())
    certificate = x509.load_pem_x509_certificate((identity / "site.crt").read_bytes())
    assert csr.public_key() == certificate.public_key()
    assert (identity / "node-cygnus.pub").read_bytes() == before


def test_folder_of_another_vendor_is_refused_untouched(identity: Path) -> None:
    before = modes(identity)
    with pytest.raises(IdentityError, match="request of 'CN=aster'"):
        make_identity(identity, "borealis", [*ROSTER, "draco"], NOW)
    assert modes(identity) == before


@pytest.mark.parametrize("name", ["../x", "A", "", "a/b", "a\nb", ".a", "a" * 41])
def test_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="the name"):
        make_identity(tmp_path / "identity", "aster", [name])
    assert not (tmp_path / "identity").exists()


def test_half_of_the_loopback_files_is_refused_with_what_to_delete(identity: Path) -> None:
    (identity / "loopback.crt").unlink()
    with pytest.raises(IdentityError, match=r"delete loopback\.key") as caught:
        make_identity(identity, "aster", ROSTER, NOW)
    assert caught.value.code == IdentityError.MISSING


def test_consortium_is_not_made_twice(made: Path, consortium: Consortium) -> None:
    with pytest.raises(IdentityError, match="a consortium CA in"):
        create_consortium(made / "consortium", "phantom")
    assert load_consortium(made / "consortium").certificate == consortium.certificate
    assert "key=" not in repr(consortium)


def test_certificate_names_vendor_addresses_and_uses(consortium: Consortium) -> None:
    pem = sign_site_certificate(
        consortium, request("aster"), "aster", ["Site.Example.", "10.0.0.7", "::1"], now=NOW
    )
    certificate = x509.load_pem_x509_certificate(pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert certificate.subject.rfc4514_string() == "CN=aster"
    assert names.get_values_for_type(x509.DNSName) == ["aster.srflm.internal", "site.example"]
    assert list(map(str, names.get_values_for_type(x509.IPAddress))) == ["10.0.0.7", "::1"]
    assert certificate.not_valid_before_utc < NOW, "clocks differ"
    assert certificate.not_valid_after_utc == NOW + timedelta(days=825)


def test_certificate_does_not_outlive_its_ca(consortium: Consortium) -> None:
    pem = sign_site_certificate(consortium, request("aster"), "aster", days=99999, now=NOW)
    certificate = x509.load_pem_x509_certificate(pem)
    assert certificate.not_valid_after_utc == consortium.certificate.not_valid_after_utc


def damaged() -> bytes:
    lines = request("aster").splitlines()
    lines[-2] = lines[-2][:8] + (b"A" if lines[-2][8:9] != b"A" else b"B") + lines[-2][9:]
    return b"\n".join(lines)


@pytest.mark.parametrize(
    ("csr", "message"),
    [
        (damaged, "signature is invalid"),
        (lambda: b"no request", "no certificate request"),
        (lambda: request("borealis"), "CN=borealis"),
        (lambda: request("aster", rsa.generate_private_key(65537, 2048)), "not NIST EC"),
    ],
)
def test_request_that_is_not_the_vendors_is_refused(
    consortium: Consortium, csr: Callable[[], bytes], message: str
) -> None:
    with pytest.raises(IdentityError, match=message) as caught:
        sign_site_certificate(consortium, csr(), "aster", now=NOW)
    assert caught.value.code == IdentityError.CERTIFICATE


@pytest.mark.parametrize(
    "address", ["borealis.srflm.internal", "x.SRFLM.internal.", "*.example", "a:8443", "a b", ""]
)
def test_address_that_could_pass_for_another_site_is_refused(
    consortium: Consortium, address: str
) -> None:
    with pytest.raises(ConfigurationError, match="the address"):
        sign_site_certificate(consortium, request("aster"), "aster", [address], now=NOW)


def test_expired_ca_signs_nothing(consortium: Consortium) -> None:
    late = NOW + timedelta(days=4000)
    with pytest.raises(IdentityError, match=r"consortium-ca\.crt expired on 2036"):
        sign_site_certificate(consortium, request("aster"), "aster", now=late)


def test_certificate_of_another_key_is_not_installed(
    identity: Path, consortium: Consortium
) -> None:
    before = (identity / "site.crt").read_bytes()
    pem = sign_site_certificate(consortium, request("aster"), "aster", now=NOW)
    with pytest.raises(IdentityError, match="not for the private key"):
        install_certificate(identity, pem, consortium.pem)
    assert (identity / "site.crt").read_bytes() == before


def test_other_ca_is_not_installed_in_passing(identity: Path, tmp_path: Path) -> None:
    other = create_consortium(tmp_path / "other", "phantom", NOW)
    with pytest.raises(IdentityError, match="another consortium CA"):
        install(other, identity, "aster")
    (identity / "consortium-ca.crt").unlink()
    install(other, identity, "aster")
    check_identity(identity, "aster", NOW)


def test_certificate_and_ca_that_do_not_fit_are_not_installed(
    identity: Path, tmp_path: Path
) -> None:
    other = create_consortium(tmp_path / "other", "phantom", NOW)
    with pytest.raises(IdentityError, match="not signed by CN=phantom consortium CA"):
        install_certificate(identity, (identity / "site.crt").read_bytes(), other.pem)


def test_renewal_replaces_the_certificate(identity: Path, consortium: Consortium) -> None:
    before = (identity / "site.crt").read_bytes()
    install(consortium, identity, "aster", days=900)
    assert (identity / "site.crt").read_bytes() != before
    check_identity(identity, "aster", NOW + timedelta(days=850))


@pytest.mark.parametrize(
    "name",
    [
        "signing.key",
        "site.key",
        "site.crt",
        "consortium-ca.crt",
        "node-aster.key",
        "node-borealis.pub",
        "loopback.key",
        "loopback.crt",
        "loopback-ca.crt",
    ],
)
def test_missing_file_is_named(identity: Path, name: str) -> None:
    (identity / name).unlink()
    with pytest.raises(IdentityError, match=name.replace(".", r"\.")) as caught:
        check_identity(identity, "aster", NOW, ROSTER)
    assert caught.value.code == IdentityError.MISSING


def test_expired_certificate_is_refused_with_the_date_and_how_to_renew(identity: Path) -> None:
    with pytest.raises(IdentityError, match=r"site\.crt expired on 2029-02-23.*sign site\.csr"):
        check_identity(identity, "aster", NOW + timedelta(days=826))


def test_certificate_of_the_future_is_refused(identity: Path) -> None:
    with pytest.raises(IdentityError, match=r"not valid before 2026-11-21 11:50 UTC.*the clock"):
        check_identity(identity, "aster", NOW - timedelta(hours=1))


def test_certificate_of_another_vendor_is_refused(identity: Path) -> None:
    with pytest.raises(IdentityError, match=r"CN=aster.*expected: CN=borealis"):
        check_identity(identity, "borealis", NOW)


def test_certificate_of_another_ca_is_refused(identity: Path, tmp_path: Path) -> None:
    other = create_consortium(tmp_path / "other", "phantom", NOW)
    (identity / "consortium-ca.crt").write_bytes(other.pem)
    with pytest.raises(IdentityError, match="not signed by"):
        check_identity(identity, "aster", NOW)


def test_key_that_is_not_the_certificates_is_refused(identity: Path) -> None:
    (identity / "site.key").unlink()
    (identity / "loopback.key").rename(identity / "site.key")
    with pytest.raises(IdentityError, match=r"site\.crt is not for the private key"):
        check_identity(identity, "aster", NOW)


def test_key_that_others_can_read_is_refused(identity: Path) -> None:
    (identity / "signing.key").chmod(0o640)
    with pytest.raises(IdentityError, match="chmod 600") as caught:
        check_identity(identity, "aster", NOW)
    assert caught.value.code == IdentityError.KEY


@pytest.mark.parametrize("name", ["signing.key", "site.key", "node-aster.key"])
def test_damaged_or_wrong_key_is_refused(identity: Path, name: str) -> None:
    (identity / name).write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")
    with pytest.raises(IdentityError, match="not a usable private key") as caught:
        check_identity(identity, "aster", NOW)
    assert caught.value.code == IdentityError.KEY


def test_kinds_of_keys_are_not_confused(identity: Path) -> None:
    ed = (identity / "signing.key").read_bytes()
    (identity / "signing.key").write_bytes((identity / "site.key").read_bytes())
    with pytest.raises(IdentityError, match="not a usable private key"):
        check_identity(identity, "aster", NOW)
    (identity / "signing.key").write_bytes(ed)
    (identity / "site.key").write_bytes(ed)
    with pytest.raises(IdentityError, match="not a usable private key"):
        check_identity(identity, "aster", NOW)


def test_public_node_key_of_another_key_is_refused(identity: Path) -> None:
    (identity / "node-borealis.pub").write_bytes((identity / "node-cygnus.pub").read_bytes())
    with pytest.raises(IdentityError, match="not the public part"):
        check_identity(identity, "aster", NOW, ROSTER)


def test_warning_comes_before_the_certificate_expires(identity: Path) -> None:
    until = NOW + timedelta(days=825)
    assert expires_within(identity, 30, NOW) == {}
    assert expires_within(identity, 30, until - timedelta(days=29)) == {"site.crt": until}
    assert expires_within(identity, 30, until + timedelta(days=1)) == {"site.crt": until}
    all_of_them = {"site.crt", "consortium-ca.crt", "loopback.crt", "loopback-ca.crt"}
    assert set(expires_within(identity, 30, NOW + timedelta(days=3630))) == all_of_them


def test_what_the_signing_key_signs_the_public_identity_verifies(identity: Path) -> None:
    public = bytes.fromhex(make_identity(identity, "aster", ROSTER, NOW).signing_key)
    signature = read_signing_key(identity / "signing.key").sign(b"a vote")
    ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, b"a vote")
