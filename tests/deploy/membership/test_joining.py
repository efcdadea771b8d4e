"""Joining a consortium: sites make their own keys, the consortium signs, private keys stay."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.site import app
from deploy.identity.checks import check_identity
from deploy.identity.identity import make_identity
from deploy.identity.keys import public_line
from deploy.membership.consortium import assemble, assemble_change
from deploy.membership.joining import join, new_site, read_membership
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes
from srflm_flower.federation.successor import check_successor, difference
from strategies.errors import ConfigurationError
from tests.support.commands import SRFLM, run

ROSTER = ("aster", "borealis")


def make_sites(folder: Path, roster: tuple[str, ...] = ROSTER) -> dict[str, Path]:
    return {
        vendor: new_site(
            folder / vendor, vendor, roster, "127.0.0.1:8443", f"{vendor}.example.org:8443"
        )
        for vendor in roster
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


@pytest.mark.parametrize("name", ["signing-key", "node-keys", "site-key"])
def test_federation_file_with_another_key_of_this_site_is_refused(
    tmp_path: Path, name: str
) -> None:
    answers = assemble(tmp_path / "ca", built_in_federation(2), list(make_sites(tmp_path).values()))
    other = make_identity(tmp_path / "other", "aster", ROSTER)
    false = {
        "signing-key": {"signing_key": other.signing_key},
        "node-keys": {"node_keys": other.node_keys},
        "site-key": {"site_key": public_line(tmp_path / "other" / "site.key")},
    }
    agreed = load_federation(answers["aster"] / "federation.toml")
    aster, borealis = agreed.vendors
    changed = with_changes(agreed, vendors=[aster.model_copy(update=false[name]), borealis])
    (answers["aster"] / "federation.toml").write_text(changed.to_toml())
    with pytest.raises(ConfigurationError, match=f"keys of aster that are not this site's: {name}"):
        join(tmp_path / "aster", answers["aster"])
    assert not (tmp_path / "aster" / "federation.toml").exists()
    assert not (tmp_path / "aster" / "identity" / "site.crt").exists()


def test_member_is_told_the_hash_to_compare(tmp_path: Path) -> None:
    answers = assemble(tmp_path / "ca", built_in_federation(2), list(make_sites(tmp_path).values()))
    told = CliRunner().invoke(app, ["join", str(tmp_path / "aster"), str(answers["aster"])])
    assert load_federation(answers["borealis"] / "federation.toml").hash in told.output
    assert "Compare this by telephone" in told.output


def test_federation_that_began_without_keys_of_certificates_goes_on_without(tmp_path: Path) -> None:
    files = list(make_sites(tmp_path).values())
    answers = assemble(tmp_path / "ca", built_in_federation(2), files)
    agreed = load_federation(answers["aster"] / "federation.toml")
    members = [member.model_copy(update={"site_key": None}) for member in agreed.vendors]
    old = with_changes(agreed, vendors=members)
    assert old.hash != agreed.hash and "site-key" not in old.to_toml()
    with pytest.raises(ConfigurationError, match=r"aster\.site-key: found nothing"):
        with_changes(agreed, vendors=[members[0], agreed.vendors[1]])
    longer = (*ROSTER, "cygnus")
    files = list(make_sites(tmp_path, longer).values())
    answers = assemble_change(tmp_path / "ca", old, files)
    new = join(tmp_path / "cygnus", answers["cygnus"])
    assert [member.site_key for member in new.vendors] == [None] * 3
    answers = assemble_change(tmp_path / "ca", agreed, files)
    with_keys = load_federation(answers["cygnus"] / "federation.toml")
    with pytest.raises(ConfigurationError, match="site-key: found a change"):
        check_successor(agreed, new.model_copy(update={"previous": agreed.hash}))
    expected = [public_line(tmp_path / v / "identity" / "site.key") for v in longer]
    assert [member.site_key for member in with_keys.vendors] == expected


def test_newcomer_joins_by_a_new_edition_and_keeps_no_one_elses_keys(tmp_path: Path) -> None:
    answers = assemble(tmp_path / "ca", built_in_federation(2), list(make_sites(tmp_path).values()))
    old = load_federation(answers["aster"] / "federation.toml")
    longer = (*ROSTER, "cygnus")
    files = list(make_sites(tmp_path, longer).values())
    answers = assemble_change(tmp_path / "ca", old, files)
    new = join(tmp_path / "cygnus", answers["cygnus"])
    check_successor(old, new)
    check_identity(tmp_path / "cygnus" / "identity", "cygnus", datetime.now(UTC), longer)
    assert difference(old, new).joins == ("cygnus",)
    assert load_federation(tmp_path / "ca" / "federation.toml") == new

    left = assemble_change(tmp_path / "ca", new, [], ["borealis"])
    last = load_federation(left["cygnus"] / "federation.toml")
    check_successor(new, last)
    assert (last.edition, last.roster) == (3, ("aster", "cygnus"))
    assert [vendor.number for vendor in last.vendors] == [0, 2]
    assert last.first == old.as_edition
    assert set(last.vendors[0].node_keys or {}) == {"aster", "cygnus"}


def test_join_without_new_keys_of_the_others_is_refused(tmp_path: Path) -> None:
    answers = assemble(tmp_path / "ca", built_in_federation(2), list(make_sites(tmp_path).values()))
    old = load_federation(answers["aster"] / "federation.toml")
    longer = (*ROSTER, "cygnus")
    file = new_site(tmp_path / "cygnus", "cygnus", longer, "127.0.0.1:8443", "c.org:8443")
    with pytest.raises(ConfigurationError, match=r"aster\.node-keys: found aster, borealis"):
        assemble_change(tmp_path / "ca", old, [file])
    with pytest.raises(ConfigurationError, match="members that leave"):
        assemble_change(tmp_path / "ca", old, [], ["cygnus"])
    with pytest.raises(ConfigurationError, match="expected at least two"):
        assemble_change(tmp_path / "ca", old, [], ["aster"])


@pytest.mark.slow
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
    change_by_the_commands_of_the_readme(tmp_path)


def change_by_the_commands_of_the_readme(tmp_path: Path) -> None:
    for number, vendor in enumerate((*ROSTER, "cygnus")):
        address = f"127.0.0.1:{9443 + number}"
        command = [SRFLM, "site", "new", vendor, "--vendor", vendor, "--address", address]
        made = run([*command, "--roster", "aster,borealis,cygnus"], tmp_path)
        assert made.returncode == 0, made.stderr
    members = [f"{vendor}/membership.toml" for vendor in (*ROSTER, "cygnus")]
    command = [SRFLM, "consortium", "assemble", *members]
    changed = run([*command, "--change", "aster/federation.toml"], tmp_path)
    assert changed.returncode == 0, changed.stderr
    approved = run([SRFLM, "roster", "approve", "aster", "consortium/federation.toml"], tmp_path)
    assert approved.returncode == 0, approved.stderr
    assert "Joins: cygnus" in approved.stdout
    waiting = "aster, borealis; approved here: aster, borealis, cygnus; waiting for a term in which"
    assert waiting in approved.stdout
    assert waiting in run([SRFLM, "status", "aster"], tmp_path).stdout
    withdrawn = run([SRFLM, "roster", "withdraw", "aster"], tmp_path)
    assert withdrawn.stdout == "Withdrawn.\n"
    refused = run([SRFLM, "roster", "approve", "aster", "aster/federation.toml"], tmp_path)
    assert refused.returncode == 2 and "edition: found 1; expected 2" in refused.stderr
    nothing = run([SRFLM, "consortium", "assemble", *members], tmp_path)
    assert nothing.returncode == 2 and "neither --federation nor --change" in nothing.stderr


def test_agreed_weights_travel_beside_the_file_without_a_path_of_this_machine(
    tmp_path: Path,
) -> None:
    weights = tmp_path / "here" / "begin.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    agreed = {"file": weights, "sha256": hashlib.sha256(b"weights").hexdigest()}
    base = with_changes(built_in_federation(2), model__initial_weights=agreed)
    answers = assemble(tmp_path / "ca", base, list(make_sites(tmp_path).values()))
    for vendor, answer in answers.items():
        assert str(tmp_path) not in (answer / "federation.toml").read_text()
        join(tmp_path / vendor, answer)
        assert (tmp_path / vendor / "begin.safetensors").read_bytes() == b"weights"
        joined = load_federation(tmp_path / vendor / "federation.toml")
        assert joined.model.initial_weights is not None
        assert joined.model.initial_weights.file == tmp_path / vendor / "begin.safetensors"
    (answers["aster"] / "begin.safetensors").write_bytes(b"others")
    with pytest.raises(ConfigurationError, match="SHA-256"):
        join(tmp_path / "aster", answers["aster"])


def test_weights_of_frozen_features_travel_beside_the_file_too(tmp_path: Path) -> None:
    weights = tmp_path / "here" / "public.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    agreed = {
        "kind": "efficientnet-lite0",
        "file": weights,
        "sha256": hashlib.sha256(b"weights").hexdigest(),
    }
    base = with_changes(built_in_federation(2), model__network="linear", model__features=agreed)
    answers = assemble(tmp_path / "ca", base, list(make_sites(tmp_path).values()))
    for vendor, answer in answers.items():
        assert str(tmp_path) not in (answer / "federation.toml").read_text()
        join(tmp_path / vendor, answer)
        assert (tmp_path / vendor / "public.safetensors").read_bytes() == b"weights"


def test_membership_with_a_wrong_address_is_named_as_such(tmp_path: Path) -> None:
    file = new_site(tmp_path / "a", "a", ("a", "b"), "127.0.0.1:9443", "a.example.org")
    with pytest.raises(ConfigurationError) as caught:
        read_membership(file)
    assert "membership.toml with address 'a.example.org', without a port" in caught.value.found


def test_federation_file_among_the_memberships_is_named_in_one_line(tmp_path: Path) -> None:
    """The shell's `*.toml` finds it too, where it lies beside them."""
    path = tmp_path / "federation.toml"
    path.write_text(built_in_federation(2).to_toml(), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_membership(path)
    assert caught.value.found == f"{path}, which is a federation file"
    assert "\n" not in str(caught.value) and "pydantic" not in str(caught.value)
