"""Joining a consortium: sites make their own keys, the consortium signs, private keys stay."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.membership import assemble, join, new_site
from deploy.pki import check_identity
from srflm_flower.errors import ConfigurationError
from srflm_flower.federation import built_in_federation
from tests.support.commands import SRFLM, run

ROSTER = ("aster", "borealis")


def make_sites(folder: Path) -> dict[str, Path]:
    return {
        vendor: new_site(
            folder / vendor, vendor, ROSTER, "127.0.0.1:8443", f"{vendor}.example.org:8443"
        )
        for vendor in ROSTER
    }


def test_site_joins_with_keys_that_nobody_else_has_seen(tmp_path: Path) -> None:
    files = make_sites(tmp_path)
    assert "PRIVATE" not in "".join(path.read_text() for path in files.values())
    answers = assemble(tmp_path / "ca", built_in_federation(2), list(files.values()))
    hashes = set()
    for vendor, answer in answers.items():
        hashes.add(join(tmp_path / vendor, answer).hash)
        check_identity(tmp_path / vendor / "identity", vendor, datetime.now(UTC), ROSTER)
        assert not list(answer.glob("*.key"))
    assert len(hashes) == 1


def test_member_that_is_missing_is_named(tmp_path: Path) -> None:
    files = make_sites(tmp_path)
    with pytest.raises(ConfigurationError, match="aster, borealis, cygnus"):
        assemble(tmp_path / "ca", built_in_federation(3), list(files.values()))


def test_answer_for_another_site_is_refused(tmp_path: Path) -> None:
    files = make_sites(tmp_path)
    answers = assemble(tmp_path / "ca", built_in_federation(2), list(files.values()))
    before = (tmp_path / "aster" / "site.toml").read_bytes()
    with pytest.raises(Exception, match="found"):
        join(tmp_path / "aster", answers["borealis"])
    assert not (tmp_path / "aster" / "federation.toml").exists()
    assert (tmp_path / "aster" / "site.toml").read_bytes() == before


def test_commands_of_the_readme(tmp_path: Path) -> None:
    roster = ",".join(ROSTER)
    for number, vendor in enumerate(ROSTER):
        address = f"127.0.0.1:{9443 + number}"
        command = [SRFLM, "site", "new", vendor, "--vendor", vendor, "--roster", roster]
        made = run([*command, "--address", address, "--listen", address], tmp_path)
        assert made.returncode == 0, made.stderr
    (tmp_path / "federation.toml").write_text(built_in_federation(2).to_toml())
    members = [f"{vendor}/membership.toml" for vendor in ROSTER]
    signed = run(
        [SRFLM, "consortium", "assemble", *members, "--federation", "federation.toml"], tmp_path
    )
    assert signed.returncode == 0, signed.stderr
    joined = run([SRFLM, "site", "join", "aster", "consortium/members/aster"], tmp_path)
    assert joined.returncode == 0, joined.stderr
    assert "Member of phantom" in joined.stdout
