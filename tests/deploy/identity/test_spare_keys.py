"""Spare node keys: made once, claimed by their public part, never used for two peers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.identity.identity import make_identity
from deploy.identity.keys import public_line
from deploy.identity.spare_keys import claim_spare_keys, make_spare_keys
from deploy.operating.archive import IDENTITY
from strategies.errors import IdentityError


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    make_identity(tmp_path, "aster", ("aster",))
    return tmp_path


def test_claimed_key_is_the_one_with_that_public_part(identity: Path) -> None:
    spares = make_spare_keys(identity, 3)
    claim_spare_keys(identity, "aster", {"borealis": f"{spares[1]} a comment"})
    assert public_line(identity / "node-borealis.key") == spares[1]
    assert (identity / "node-borealis.key").stat().st_mode & 0o077 == 0
    written = (identity / "node-borealis.pub").read_text()
    assert written == f"{spares[1]} aster-to-borealis\n"


def test_only_free_keys_are_offered_again(identity: Path) -> None:
    first = make_spare_keys(identity, 3)
    assert make_spare_keys(identity, 3) == first
    claim_spare_keys(identity, "aster", {"borealis": first[0]})
    second = make_spare_keys(identity, 3)
    assert second[:2] == first[1:] and first[0] not in second
    assert len(list(identity.glob("spare-*.key"))) == 4


def test_one_key_for_two_peers_is_refused(identity: Path) -> None:
    (spare,) = make_spare_keys(identity, 1)
    claim_spare_keys(identity, "aster", {"borealis": spare})
    with pytest.raises(IdentityError, match="for borealis already"):
        claim_spare_keys(identity, "aster", {"cygnus": spare})
    assert not (identity / "node-cygnus.key").exists()


def test_key_in_use_stays(identity: Path) -> None:
    spares = make_spare_keys(identity, 2)
    claim_spare_keys(identity, "aster", {"borealis": spares[0]})
    claim_spare_keys(identity, "aster", {"borealis": spares[1]}, in_use=["borealis"])
    assert public_line(identity / "node-borealis.key") == spares[0]
    claim_spare_keys(identity, "aster", {"borealis": spares[1]})  # it had left, and is back
    assert public_line(identity / "node-borealis.key") == spares[1]


def test_foreign_key_changes_nothing(identity: Path, tmp_path: Path) -> None:
    make_spare_keys(identity, 1)
    other = make_identity(tmp_path / "other", "zeus", ("zeus",))
    claim_spare_keys(identity, "aster", {"borealis": other.node_keys["zeus"]})
    assert not (identity / "node-borealis.key").exists()


def test_claim_that_broke_off_is_completed(identity: Path) -> None:
    (spare,) = make_spare_keys(identity, 1)
    claim_spare_keys(identity, "aster", {"borealis": spare})
    (identity / "node-borealis.pub").unlink()
    claim_spare_keys(identity, "aster", {"borealis": spare})
    assert (identity / "node-borealis.pub").read_text().startswith(spare)


def test_backup_has_the_spare_keys(identity: Path) -> None:
    make_spare_keys(identity, 2)
    names = [path.name for path in identity.iterdir() if re.search(r"spare|node", path.name)]
    assert len(names) == 4 and all(IDENTITY.fullmatch(name) for name in names)
