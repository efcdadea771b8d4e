"""A site comes back from its archive with all that is certified, and gives no vote twice."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from clients.files.locks import locked
from deploy.cli import app
from deploy.operating.archive import OWN
from deploy.operating.backup import back_up
from deploy.operating.restore import restore
from deploy.site.layout import Layout
from deploy.site.verification import verify_site
from strategies.errors import ConfigurationError, DeploymentError, MessageRefused, SrflmError
from tests.srflm_flower.site.test_old_copies import (
    commit_unseen,
    not_elected,
    one_history,
    try_to_serve,
)
from tests.support.quick_sites import QuickFederation, quick_federation


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFederation]:
    with quick_federation(tmp_path_factory.mktemp("three"), ("a", "b", "c")) as federation:
        yield federation


@pytest.fixture
def sites(three: QuickFederation, tmp_path: Path) -> Iterator[QuickFederation]:
    """Return three sites after their first term; the folders are as before afterwards."""
    three.clear()
    assert three.order("b", rounds=9).result == "ordered"
    three.run_to(1)
    kept = {v: shutil.copytree(f, tmp_path / "kept" / v) for v, f in three.folders.items()}
    yield three
    three.disconnect()
    for vendor, folder in three.folders.items():
        shutil.rmtree(folder)
        shutil.copytree(kept[vendor], folder)


def keep(sites: QuickFederation, vendor: str, to: Path) -> Path:
    """Back a site up."""
    back_up(sites.site(vendor), to)
    return to


def lose(sites: QuickFederation, vendor: str, *names: str) -> None:
    """Lose the whole folder of a site, or these folders in it."""
    sites.disconnect()
    sites._kept.pop(vendor, None)
    for name in names or ("",):
        shutil.rmtree(sites.folders[vendor] / name)


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a site, by name; a lock that was once held is nothing to restore."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}
    files.pop("run/site.lock", None)
    return files


def refuses(archive: Path, folder: Path, code: str, match: str) -> None:
    """Check that nothing is restored."""
    before = content(folder)
    with pytest.raises(SrflmError, match=match) as told:
        restore(archive, folder)
    assert told.value.code == code
    assert content(folder) == before


# ---- the archive ---------------------------------------------------------------------------------


def test_site_comes_back_in_another_folder(sites: QuickFederation, tmp_path: Path) -> None:
    sites.run_to(3)
    own = sites.site("c")
    edition = own.folder / f"federation.{'e' * 64}.toml"
    edition.write_text("approved, and not in force yet")
    assert own.state.best() is not None
    own.state.keep_own_model({"w": np.zeros(2, np.float32)}, 3, noiseless=True)
    done = restore(keep(sites, "c", tmp_path / "c"), tmp_path / "new" / "site")
    assert (done.manifest.term, done.kept, done.spending_unknown) == (3, (), False)
    folder = tmp_path / "new" / "site"
    there = content(own.folder)
    for name in ("site.toml", "federation.toml", edition.name, "membership.toml", *OWN):
        assert content(folder)[name] == there[name]
    assert sorted(path.name for path in (folder / "identity").iterdir()) == sorted(
        path.name for path in own.settings.identity.iterdir() if path.name != "starts"
    )
    sites.disconnect()
    sites.folders["c"], old = folder, sites.folders["c"]
    try:
        sites._kept.pop("c")
        restored = sites.site("c")
        assert list(restored.state.ledger.committed()) == sites.committed("a")
        assert verify_site(restored).head_model == sites.records("a")[-1].model
        assert restored.state.ledger.order() == sites.site("a").state.ledger.order()
    finally:
        sites.disconnect()
        sites.folders["c"] = old
        sites._kept.pop("c")
    assert not list(folder.glob(".restore-*"))


def test_archive_has_no_vote_and_every_table_was_thought_of(
    sites: QuickFederation, tmp_path: Path
) -> None:
    server = commit_unseen(sites, not_elected(sites)[0])
    sites.down = set()
    other = next(v for v in "abc" if v != server and sites.site(v).state.ledger.votes(2).accepted)
    archive = keep(sites, other, tmp_path / "archive")
    proposal = sites.site(other).state.ledger.accepted(2)
    assert proposal is not None
    assert proposal.record.hash.encode() not in archive.read_bytes()
    assert b"votes-given" not in archive.read_bytes()
    restore(archive, tmp_path / "new")
    with closing(sqlite3.connect(tmp_path / "new" / "state" / "ledger.sqlite")) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE sql > ''")}
        counts = {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
    copied = {"records", "changes", "recoveries", "orders", "heard", "contradictions", "evidence"}
    left = {"votes", "proposals", "said", "yielded"}
    assert tables == copied | left | {"meta"}, "is a new table to be restored?"
    assert {name: counts[name] for name in left} == dict.fromkeys(left, 0)
    assert counts["records"] == 1
    assert counts["heard"] == 2


def test_commands_say_what_they_do(sites: QuickFederation, tmp_path: Path) -> None:
    archive, runner = tmp_path / "archive", CliRunner()
    words = ["backup", str(sites.folders["c"]), "--out", str(archive)]
    told = runner.invoke(app, words, catch_exceptions=False).output
    assert "keep this file as you keep the keys" in told
    assert "votes and proposals of the open term" in told
    words = ["restore", str(archive), "--site", str(tmp_path / "new")]
    told = runner.invoke(app, words, catch_exceptions=False).output
    assert "with 1 terms" in told and "Not restored" in told
    assert f"srflm up {tmp_path / 'new'}" in told and "never be started again" in told


# ---- votes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("lost", [(), ("state",), ("state", "identity")])
def test_restored_site_gives_no_vote_twice_and_takes_part_afterwards(
    sites: QuickFederation, tmp_path: Path, lost: tuple[str, ...], heard: bool
) -> None:
    """The fork of the reviewers: the only one that has heard its vote is away.

    The other one may never have ``heard`` of this site's starts.
    """
    other, third = not_elected(sites)
    archives = {vendor: keep(sites, vendor, tmp_path / vendor) for vendor in (other, third)}
    server = commit_unseen(sites, other)
    if not heard:
        with sites.site(third).state.ledger.deciding() as db:
            db.execute("DELETE FROM heard")
    lose(sites, other, *lost)
    restore(archives[other], sites.folders[other])
    sites.start_site(other)  # plainly: nobody says `--restored`
    assert sites.site(other).state.ledger.may_take_over()
    sites.ask_others(other)
    assert sites.site(other).state.ledger.is_forgetful()
    assert try_to_serve(sites, third) == "failed"
    assert try_to_serve(sites, other) != "committed"
    assert {sites.head(other), sites.head(third)} == {1}
    assert sites.head(server) == 2
    one_history(sites)
    assert sites.site(other).state.ledger.is_sure()
    sites.run_to(sites.head("a") + 2)
    assert other in sites.committed("a")[-1].certificate.acceptances
    sites.restart(other)
    assert not sites.site(other).state.ledger.may_take_over(), "the word is used up"


def test_starts_that_too_few_answer_do_not_use_the_word_up(
    sites: QuickFederation, tmp_path: Path
) -> None:
    archive = keep(sites, "c", tmp_path / "archive")
    lose(sites, "c", "state", "identity")
    restore(archive, sites.folders["c"])
    sites.down = {"a", "b"}
    for _ in range(3):
        ledger = sites.start_site("c").state.ledger
        assert ledger.may_take_over() and ledger.is_forgetful()
        assert sites.ask_others("c").result == "failed"
    sites.down = set()
    sites.run_to(3)
    sites.agree()
    assert sites.restart("c").state.ledger.fact("put-back") is None


def test_archive_that_is_put_in_place_by_hand_votes_no_more_either(
    sites: QuickFederation, tmp_path: Path
) -> None:
    """The mark is in the ledger, so no way of unpacking forgets it."""
    other, third = not_elected(sites)
    archive = keep(sites, other, tmp_path / "archive")
    commit_unseen(sites, other)
    lose(sites, other, "state", "identity")
    shutil.unpack_archive(archive, sites.folders[other], "tar", filter="data")
    sites.start_site(other)
    sites.ask_others(other)
    assert try_to_serve(sites, third) == "failed"
    one_history(sites)


# ---- refusals ------------------------------------------------------------------------------------


def test_ledger_that_is_there_is_never_replaced(sites: QuickFederation, tmp_path: Path) -> None:
    archive = keep(sites, "c", tmp_path / "archive")
    sites.run_to(2)
    sites.disconnect()
    refuses(archive, sites.folders["c"], DeploymentError.NOT_EMPTY, "newer than any archive")
    assert sites.head("c") == 2
    lose(sites, "c", "state")
    (sites.folders["c"] / "state").mkdir()
    (sites.folders["c"] / "state" / "ledger.sqlite-wal").write_bytes(b"of an older ledger")
    refuses(archive, sites.folders["c"], DeploymentError.NOT_EMPTY, "newer than any archive")


def test_site_that_is_up_is_left_alone(sites: QuickFederation, tmp_path: Path) -> None:
    archive = keep(sites, "c", tmp_path / "archive")
    layout = Layout.of(sites.site("c").settings)
    lose(sites, "c", "state")
    with locked(layout.lock):
        refuses(archive, sites.folders["c"], DeploymentError.UP, "is up already")


def test_newer_files_that_are_there_stay(sites: QuickFederation, tmp_path: Path) -> None:
    archive = keep(sites, "c", tmp_path / "archive")
    lose(sites, "c", "state")
    folder = sites.folders["c"]
    (folder / "site.toml").write_text("threads = 1\n" + (folder / "site.toml").read_text())
    (folder / "identity" / "starts").write_text("7")
    done = restore(archive, folder)
    assert done.kept == (folder / "site.toml",)
    assert "threads = 1" in (folder / "site.toml").read_text()
    assert (folder / "identity" / "starts").read_text() == "7"
    assert sites.start_site("c").state.ledger.fact("boots") == "8"


def test_archive_of_another_site_is_refused(sites: QuickFederation, tmp_path: Path) -> None:
    archive = keep(sites, "b", tmp_path / "archive")
    lose(sites, "c", "state")
    refuses(archive, sites.folders["c"], DeploymentError.NOT_EMPTY, "another key")
    lose(sites, "c", "identity")
    code = ConfigurationError.codes[0]
    refuses(archive, sites.folders["c"], code, "an archive of b")
    (sites.folders["c"] / "site.toml").unlink()
    file = sites.folders["c"] / "federation.toml"
    file.write_text(file.read_text().replace("seed = 65\n", "seed = 66\n"))
    refuses(archive, sites.folders["c"], code, "of the federation")


@pytest.mark.parametrize("name", ["identity", "state", "federation", "run", "logs"])
def test_archive_decides_on_no_path_outside_of_the_folder(
    sites: QuickFederation, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    site = sites.folders["c"] / "site.toml"
    text = site.read_text()
    archives = []
    for path in (outside, "../outside"):
        # `site.toml` begins with plain settings, and ends with a table.
        site.write_text(f'{name} = "{path}"\n{text}')
        archives.append(keep(sites, "c", tmp_path / f"archive-{len(archives)}"))
    site.write_text(text)
    for archive in archives:
        refuses(archive, tmp_path / "new", ConfigurationError.codes[0], "outside of")
    assert not outside.exists() and not (tmp_path / "new").exists()


def test_doctored_ledger_in_an_archive_is_refused(sites: QuickFederation, tmp_path: Path) -> None:
    own = sites.site("c")
    record = own.state.ledger.records()[0]
    with own.state.ledger.deciding() as db:
        forged = record.model_copy(update={"learning_rate": 0.5})
        row = forged.model_dump_json(), forged.hash
        db.execute("UPDATE records SET record = ?, hash = ?", row)
    archive = keep(sites, "c", tmp_path / "archive")
    refuses(archive, tmp_path / "new", MessageRefused.SIGNATURE, "sign")
