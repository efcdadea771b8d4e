"""What must neither remove a member nor change its keys: each has one clear error."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tomlkit

from deploy.identity.keys import read_signing_key
from deploy.identity.staged_keys import staged_keys
from deploy.membership.confirming import read_confirmations
from deploy.membership.member_request import (
    MemberRequest,
    read_member_request,
    write_member_request,
)
from deploy.membership.request import Request
from strategies.errors import ConfigurationError, SrflmError
from strategies.protocol.signatures import VendorKeys
from tests.deploy.membership.machines import Consortium

FIRST = ("aster", "borealis", "cygnus")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three members; cygnus wants to leave, and borealis has new keys."""
    folder = tmp_path_factory.mktemp("asked")
    consortium = Consortium(folder)
    consortium.begin(*FIRST)
    consortium.ask("cygnus", "leave")
    consortium.ask("borealis", "rotate-keys")
    return folder


@pytest.fixture
def consortium(asked: Path, tmp_path: Path) -> Consortium:
    shutil.copytree(asked, tmp_path / "c")
    return Consortium(tmp_path / "c")


def leave_of(consortium: Consortium) -> Path:
    return consortium.inbox("cygnus").with_name("cygnus.leave.toml")


def keys_of(consortium: Consortium) -> Path:
    return consortium.inbox("borealis").with_name("borealis.new-keys.toml")


def refused(consortium: Consortium, *files: Path) -> SrflmError:
    """Return the error of `admit`, after which everything is as it was."""
    root = consortium.office.root
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    error = consortium.refused("federation", "admit", root, *files, "--yes")
    assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert error.found and error.expected and error.mend
    return error


def signed(
    consortium: Consortium, file: Path, signer: str, key: Path | None = None, **changes: object
) -> Path:
    """Return a request with ``changes``, signed in earnest by the site of ``signer``."""
    identity = consortium.site_folder(signer) / "identity"
    private = read_signing_key(key or identity / "signing.key")
    public = private.public_key().public_bytes_raw().hex()
    plain = read_member_request(file).model_dump() | {"signing_key": public} | changes
    request = MemberRequest.model_validate(plain)
    signature = VendorKeys(private, {}).sign(request.statement)
    write_member_request(file, request.model_copy(update={"signature": signature}))
    return file


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vendor", "aster"),
        ("edition", 2),
        ("federation", "others"),
        ("signing_key", "0" * 64),
        ("signature", "00" * 64),
    ],
)
@pytest.mark.parametrize("of", [leave_of, keys_of])
def test_edited_request_is_refused(
    consortium: Consortium, of: Callable[[Consortium], Path], key: str, value: object
) -> None:
    file = of(consortium)
    tree = tomlkit.parse(file.read_text()).unwrap()
    file.write_text(tomlkit.dumps(tree | {key: value}))
    error = refused(consortium, file)
    assert "which is not as" in error.found and "has signed it" in error.found
    assert "send it again" in error.mend


def test_new_keys_that_were_exchanged_on_the_way_are_refused(consortium: Consortium) -> None:
    file = keys_of(consortium)
    other = read_member_request(consortium.ask("aster", "rotate-keys")).keys
    assert other is not None
    text = file.read_text()
    tree = tomlkit.parse(text).unwrap()
    tree["keys"] = other.model_dump(mode="json")
    file.write_text(tomlkit.dumps(tree))
    assert "not as borealis has signed it" in refused(consortium, file).found
    # And if borealis had signed keys of another: they are not its own.
    file.write_text(text)
    error = refused(consortium, signed(consortium, file, "borealis", keys=other.model_dump()))
    assert "with keys of aster, signed by borealis" in error.found


def test_request_of_an_unknown_vendor_is_refused(consortium: Consortium) -> None:
    error = refused(consortium, signed(consortium, leave_of(consortium), "cygnus", vendor="zeus"))
    assert "a request of zeus, which is no member in edition 1" in error.found
    assert error.expected == "one of aster, borealis, cygnus"


@pytest.mark.parametrize("of", [leave_of, keys_of])
def test_request_signed_by_another_key_is_refused(
    consortium: Consortium, of: Callable[[Consortium], Path]
) -> None:
    """A member cannot make another one leave, nor give it keys."""
    vendor = of(consortium).name.partition(".")[0]
    error = refused(consortium, signed(consortium, of(consortium), "aster"))
    assert f"in the name of {vendor}, signed by another key" in error.found
    assert "A key was stolen" in error.mend


def test_request_of_another_federation_is_refused(consortium: Consortium) -> None:
    hash_ = "ab" * 32
    file = signed(consortium, leave_of(consortium), "cygnus", federation="lungs", first=hash_)
    error = refused(consortium, file)
    assert "for the federation lungs (abababababab…)" in error.found
    assert error.expected.startswith("one for nodules (")


@pytest.mark.parametrize("of", [leave_of, keys_of])
def test_request_for_an_old_edition_is_refused(
    consortium: Consortium, of: Callable[[Consortium], Path]
) -> None:
    consortium.init("draco")
    consortium.admit("draco")
    consortium.publish()
    error = refused(consortium, of(consortium))
    assert "a request for the edition after 1" in error.found
    assert "one for the edition after 2" in error.expected
    command = "leave" if of is leave_of else "rotate-keys"
    assert f"srflm site {command}" in error.mend


def test_leave_is_admitted_once(consortium: Consortium) -> None:
    file = leave_of(consortium)
    assert "two requests of cygnus at once" in refused(consortium, file, file).found
    consortium.admit_member(file)
    error = refused(consortium, file)
    assert "whose leave for the next edition is admitted already" in error.found
    assert "srflm federation publish" in error.mend
    consortium.publish()
    assert "cygnus, which is no member in edition 2" in refused(consortium, file).found


def test_new_keys_are_admitted_once(consortium: Consortium) -> None:
    file = keys_of(consortium)
    consortium.admit_member(file)
    assert "whose new keys are admitted already" in refused(consortium, file).found
    consortium.publish()
    assert "for the edition after 1" in refused(consortium, file).found


def test_one_that_leaves_gets_no_new_keys(consortium: Consortium) -> None:
    leave, keys = leave_of(consortium), consortium.ask("cygnus", "rotate-keys")
    assert "two requests of cygnus at once" in refused(consortium, leave, keys).found
    consortium.admit_member(leave)
    error = refused(consortium, keys)
    assert "admitted already" in error.found and "is to stay, delete" in error.mend


def test_new_key_that_another_site_has_is_refused(consortium: Consortium) -> None:
    """For each kind of key, and for keys that nobody uses yet."""
    file = keys_of(consortium)
    own = read_member_request(file).keys
    assert own is not None
    other = consortium.office.requests()["aster"]
    spare = other.spare_node_keys[-1]
    in_force = (consortium.office.editions()[0].member("aster").node_keys or {})["cygnus"]
    for taken in (other.node_key, spare, " ".join(in_force.split()[:2])):
        again = with_keys(consortium, file, own, spare_node_keys=(taken, *own.spare_node_keys[1:]))
        assert "of which one is used already" in refused(consortium, again).found


def test_old_keys_cannot_come_again_as_new_ones(consortium: Consortium) -> None:
    file = keys_of(consortium)
    request = read_member_request(file)
    assert request.keys is not None
    before = consortium.office.requests()["borealis"]
    again = with_keys(consortium, file, request.keys, node_key=before.spare_node_keys[0])
    assert "of which one is used already" in refused(consortium, again).found
    same = signed(consortium, file, "borealis", keys=before.model_dump())
    assert "signed by the same key" in refused(consortium, same).found


def with_keys(consortium: Consortium, file: Path, keys: Request, **changes: object) -> Path:
    """Return borealis's request with other new keys, signed with the new and the old one."""
    staged = staged_keys(consortium.site_folder("borealis") / "identity") / "signing.key"
    changed = Request.model_validate(keys.model_dump() | changes)
    signature = VendorKeys(read_signing_key(staged), {}).sign(changed.statement)
    complete = changed.model_copy(update={"signature": signature})
    return signed(consortium, file, "borealis", keys=complete.model_dump())


def test_leave_with_keys_and_new_keys_without_any_are_refused(consortium: Consortium) -> None:
    keys = read_member_request(keys_of(consortium)).keys
    assert keys is not None
    file = signed(consortium, leave_of(consortium), "cygnus", keys=keys.model_dump())
    assert "which asks for 'leave'" in refused(consortium, file).found
    file = signed(consortium, keys_of(consortium), "borealis", keys=None)
    assert "which asks for 'new-keys'" in refused(consortium, file).found


def test_federation_without_an_edition_has_no_members_to_ask(
    consortium: Consortium, tmp_path: Path
) -> None:
    empty = Consortium(tmp_path / "empty")
    empty.create()
    error = refused(empty, leave_of(consortium))
    assert "for a federation without any edition" in error.found


def test_other_files_are_named_for_what_they_are(consortium: Consortium) -> None:
    with pytest.raises(ConfigurationError, match="a member's request to leave, or for new keys"):
        read_confirmations(leave_of(consortium))
    with pytest.raises(ConfigurationError, match="which is a request"):
        read_member_request(consortium.inbox("aster"))
