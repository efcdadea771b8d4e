"""No new site comes up with a federation file that a member has not signed."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.identity.identity import make_identity
from deploy.membership.confirming import (
    HEARD_DIGITS,
    Confirmations,
    collect,
    confirm,
    confirmations_beside,
    read_confirmations,
    require_confirmed,
    sign_file,
)
from deploy.membership.consortium import assemble, assemble_change
from deploy.membership.joining import join, new_site
from deploy.membership.roster import approve
from deploy.operating.backup import back_up
from deploy.operating.control import prepare
from deploy.operating.restore import restore
from deploy.site.site_on_disk import SiteOnDisk, site_on_disk
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes
from strategies.errors import ConfigurationError
from strategies.protocol.signatures import federation_statement
from tests.support.quick_sites import QuickFederation, quick_federation

ROSTER = ("aster", "borealis", "cygnus")
NOT_SIGNED = "did not sign"


def members(folder: Path, roster: tuple[str, ...] = ROSTER) -> list[Path]:
    """Make a site, or the keys for new members, of every vendor; return the memberships."""
    return [
        new_site(folder / v, v, roster, "127.0.0.1:8443", f"{v}.example.org:8443") for v in roster
    ]


@pytest.fixture
def joined(tmp_path: Path) -> Path:
    """Return a folder with joined sites, of which none has signed, and their consortium."""
    answers = assemble(tmp_path / "consortium", built_in_federation(3), members(tmp_path))
    for vendor, answer in answers.items():
        join(tmp_path / vendor, answer)
    return tmp_path


def answer_for(folder: Path, vendor: str) -> Path:
    return folder / "consortium" / "members" / vendor


def at(folder: Path, vendor: str) -> SiteOnDisk:
    return site_on_disk(folder / vendor)


def agreed(folder: Path, vendor: str = "aster") -> Federation:
    return load_federation(folder / vendor / "federation.toml")


def command(*words: object) -> str:
    told = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert told.exit_code == 0
    return told.output


def refused(site: SiteOnDisk, names: str) -> None:
    with pytest.raises(ConfigurationError, match=f"that {names} {NOT_SIGNED}"):
        require_confirmed(site)


def test_site_comes_up_only_when_all_members_have_signed(joined: Path) -> None:
    before, ca = agreed(joined).hash, joined / "consortium"
    first = command("site", "join", joined / "aster", answer_for(joined, "aster"))
    assert "Not signed yet: aster, borealis, cygnus" in first and "srflm site confirm" in first
    for number, vendor in enumerate(ROSTER):
        with pytest.raises(ConfigurationError, match=NOT_SIGNED) as caught:
            prepare(joined / "aster")
        assert ", ".join(ROSTER[number:]) in caught.value.found
        assert "srflm site confirm" in str(caught.value)
        told = command("site", "confirm", joined / vendor, before)
        sent = confirmations_beside(joined / vendor / "federation.toml", before)
        assert str(sent) in told
        told = command("consortium", "collect", sent, "--folder", ca)
        missing = ", ".join(ROSTER[number + 1 :])
        assert (f"Not signed yet: {missing}." if missing else "All members have signed") in told
        last = command("site", "join", joined / "aster", answer_for(joined, "aster"))
    assert "All members have signed it. Next:  srflm up" in last
    require_confirmed(at(joined, "aster"))
    refused(at(joined, "borealis"), "aster, cygnus")
    assert agreed(joined).hash == before, "signatures are no part of the file"


def test_site_that_is_restored_before_its_first_term_has_the_signatures(joined: Path) -> None:
    signed = [confirm(at(joined, vendor), agreed(joined, vendor).hash) for vendor in ROSTER]
    collect(joined / "consortium", signed)
    join(joined / "aster", answer_for(joined, "aster"))
    back_up(at(joined, "aster"), joined / "archive")
    restore(joined / "archive", joined / "new")
    assert not (joined / "new" / "identity" / "federation").exists(), "it has not come up before"
    require_confirmed(site_on_disk(joined / "new"))


def test_signature_under_another_file_counts_nowhere(joined: Path) -> None:
    """The consortium sends borealis another file than the others: nobody comes up."""
    ours = agreed(joined)
    other = with_changes(ours, training__learning_rate=0.5)
    (answer_for(joined, "borealis") / "federation.toml").write_text(other.to_toml())
    join(joined / "borealis", answer_for(joined, "borealis"))
    signed = [confirm(at(joined, v), agreed(joined, v).hash) for v in ROSTER]
    with pytest.raises(ConfigurationError, match="another federation file than the one sent out"):
        collect(joined / "consortium", signed)
    # It puts what it has into the file for aster, under the hash that aster expects.
    told = [read_confirmations(path).signatures for path in signed]
    everything = told[0] | told[1] | told[2]
    forged = Confirmations(federation=ours.hash, signatures=everything)
    sent = confirmations_beside(answer_for(joined, "aster") / "federation.toml", ours.hash)
    lines = [f'federation = "{forged.federation}"', "[signatures]"]
    sent.write_text("\n".join([*lines, *(f'{v} = "{s}"' for v, s in everything.items())]))
    with pytest.raises(ConfigurationError, match="signatures of borealis that do not fit"):
        join(joined / "aster", answer_for(joined, "aster"))
    refused(at(joined, "aster"), "borealis, cygnus")
    confirmations_beside(joined / "aster" / "federation.toml", ours.hash).write_bytes(
        sent.read_bytes()
    )
    with pytest.raises(ConfigurationError, match="signatures of borealis that do not fit"):
        prepare(joined / "aster")


def test_key_that_the_consortium_puts_in_for_another_member_shows_in_the_comparison(
    joined: Path,
) -> None:
    """It can sign in that member's name then, but the hash that the member reads out is another."""
    theirs = agreed(joined, "borealis").hash
    signing = make_identity(joined / "false", "borealis", ROSTER).signing_key
    changed = [
        m.model_copy(update={"signing_key": signing}) if m.name == "borealis" else m
        for m in agreed(joined).vendors
    ]
    ours = with_changes(agreed(joined), vendors=changed)
    assert ours.hash != theirs
    (joined / "aster" / "federation.toml").write_text(ours.to_toml())
    with pytest.raises(ConfigurationError, match="do not come up: ask the consortium"):
        confirm(at(joined, "aster"), theirs)
    refused(at(joined, "aster"), ", ".join(ROSTER))


def test_hash_must_be_heard_at_a_length_that_nobody_can_imitate(joined: Path) -> None:
    whole = agreed(joined).hash
    with pytest.raises(ConfigurationError, match=f"at least {HEARD_DIGITS} digits"):
        confirm(at(joined, "aster"), whole[: HEARD_DIGITS - 1])
    spoken = " ".join(whole[n : n + 4].upper() for n in range(0, HEARD_DIGITS, 4))
    assert confirm(at(joined, "aster"), spoken).exists()


def test_signature_of_a_member_is_for_its_own_name(joined: Path) -> None:
    site, hash_ = at(joined, "aster"), agreed(joined).hash
    path = sign_file(site, agreed(joined))
    own = site.keys.sign(federation_statement("borealis", hash_))
    for vendor, signature in (("borealis", own), ("borealis", "00"), ("stranger", own)):
        text = f'federation = "{hash_}"\n[signatures]\n{vendor} = "{signature}"\n'
        path.write_text(text)
        with pytest.raises(ConfigurationError, match=f"signatures of {vendor} that do not fit"):
            require_confirmed(site)


@pytest.fixture
def old(tmp_path: Path) -> QuickFederation:
    """Return a federation of a version in which nobody signed, with a committed term."""
    with quick_federation(tmp_path, ("a", "b", "c")) as sites:
        sites.clear()
        for folder in sites.folders.values():
            for path in folder.glob("signatures.*.toml"):
                path.unlink()
        with pytest.raises(ConfigurationError, match=f"a, b, c {NOT_SIGNED}"):
            require_confirmed(sites.site("a"))
        sites.order("a", rounds=9)
        sites.run_to(1)
        sites.disconnect()
    return sites


def test_federation_that_has_terms_goes_on_without_signatures(old: QuickFederation) -> None:
    folder = old.folders["a"]
    require_confirmed(site_on_disk(folder))
    lost = site_on_disk(folder)
    (lost.settings.state / "ledger.sqlite").unlink()
    lost.state.ledger.found_anew()
    assert len(lost.state.ledger) == 0
    require_confirmed(site_on_disk(folder))  # it has come up with this file before
    other = with_changes(load_federation(folder / "federation.toml"), run__rounds=3, seed=1)
    (folder / "federation.toml").write_text(other.to_toml())
    (lost.settings.state / "ledger.sqlite").unlink()
    anew = site_on_disk(folder)
    anew.state.ledger.found_anew()
    refused(anew, "a, b, c")


def test_newcomer_comes_up_when_as_many_have_signed_as_decide(joined: Path) -> None:
    longer = (*ROSTER, "draco")
    answers = assemble_change(joined / "consortium", agreed(joined), members(joined, longer))
    file = joined / "consortium" / "federation.toml"
    join(joined / "draco", answers["draco"])
    new = agreed(joined, "draco")
    for vendor in ("aster", "borealis", "cygnus"):  # a majority of the four
        refused(at(joined, "draco"), ".*draco")
        approve(at(joined, vendor), file)
        sent = confirmations_beside(joined / vendor / "federation.toml", new.hash)
        collect(joined / "consortium", [sent])
        join(joined / "draco", answers["draco"])
    refused(at(joined, "draco"), "draco")
    path = confirm(at(joined, "draco"), new.hash)
    held = read_confirmations(path)
    require_confirmed(at(joined, "draco"))
    # One that is away, or against the change, does not keep the newcomer out; two do.
    (joined / "draco" / "identity" / "federation").unlink()
    for away, enough in (("aster",), True), (("aster", "cygnus"), False):
        kept = {v: s for v, s in held.signatures.items() if v not in away}
        lines = [f'federation = "{new.hash}"', "[signatures]"]
        path.write_text("\n".join([*lines, *(f'{v} = "{s}"' for v, s in kept.items())]))
        if enough:
            require_confirmed(at(joined, "draco"))
            (joined / "draco" / "identity" / "federation").unlink()
        else:
            refused(at(joined, "draco"), "aster, cygnus")
