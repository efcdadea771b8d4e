"""New keys wait beside those in force, and take their place whole, however often it is begun."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clients.files.durable import write_durably
from deploy.identity import staged_keys as module
from deploy.identity.authority import Consortium, create_consortium, sign_site_certificate
from deploy.identity.checks import check_identity
from deploy.identity.identity import install_certificate, make_identity
from deploy.identity.spare_keys import claim_spare_keys, make_spare_keys
from deploy.identity.staged_keys import identity_with, stage_keys, staged_keys, switch_keys
from strategies.errors import IdentityError, RunFolderError

ROSTER = ("a", "b")


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """Return a site's keys, with new ones that wait, both with a certificate."""
    consortium, folder = create_consortium(tmp_path / "consortium", "ours"), tmp_path / "identity"
    make_identity(folder, "a", ("a", "b", "gone"))
    make_spare_keys(folder, 5)
    install(folder, consortium)
    (folder / "starts").write_text("7")
    stage_keys(folder, "a")
    new = staged_keys(folder)
    spare = make_spare_keys(new, 2)[0]
    claim_spare_keys(new, "a", {"b": spare})
    install(new, consortium)
    return folder


def install(folder: Path, consortium: Consortium) -> None:
    request = (folder / "site.csr").read_bytes()
    certificate = sign_site_certificate(consortium, request, "a", ["127.0.0.1"])
    install_certificate(folder, certificate, consortium.pem)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_new_keys_are_other_ones_and_trust_the_same_consortium(identity: Path) -> None:
    old, new = content(identity), content(staged_keys(identity))
    same = {name for name in new if old.get(name) == new[name]}
    assert same == {"consortium-ca.crt"}
    before = content(staged_keys(identity))
    stage_keys(identity, "a")
    assert content(staged_keys(identity)) == before, "made once"


def test_without_keys_in_force_there_are_no_new_ones(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=r"consortium-ca\.crt cannot be read"):
        stage_keys(tmp_path / "identity", "a")
    assert not (tmp_path / "identity").exists()


def test_switch_leaves_new_keys_alone_and_what_is_no_key(identity: Path) -> None:
    new = content(staged_keys(identity))
    switch_keys(identity)
    assert content(identity) == new | {"starts": b"7"}
    assert [path for path in identity.iterdir() if path.is_dir()] == []
    check_identity(identity, "a", datetime.now(UTC), ROSTER)


def test_switch_that_was_broken_off_anywhere_is_repeated_as_a_whole(
    identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = content(staged_keys(identity))
    key = identity_with(identity, public(staged_keys(identity)))
    assert key == staged_keys(identity)
    write = module.write_durably
    for allowed in range(len(new)):
        monkeypatch.setattr(module, "write_durably", full_after(allowed))
        with pytest.raises(RunFolderError):
            switch_keys(identity)
        assert content(staged_keys(identity)) == new, "whole until the end"
        assert identity_with(identity, public(staged_keys(identity))) == staged_keys(identity)
    monkeypatch.setattr(module, "write_durably", write)
    # Killed after all is written, while the spent folder is deleted: it passes for nothing.
    (identity / module.SPENT).mkdir()
    (identity / module.SPENT / "signing.key").write_text("half")
    switch_keys(identity)
    assert content(identity) == new | {"starts": b"7"}
    assert identity_with(identity, public(identity)) == identity


def full_after(count: int) -> Callable[..., None]:
    """Return a stand-in for writing a file on a disk that has room for so many."""
    left, write = iter(range(count)), write_durably

    def broken(path: Path, data: bytes, private: bool = False) -> None:
        if next(left, None) is None:
            raise RunFolderError("a full disk", "room", "free space")
        write(path, data, private=private)

    return broken


def public(folder: Path) -> str:
    return module._public(folder) or ""
