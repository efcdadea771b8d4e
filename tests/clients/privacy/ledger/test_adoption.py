"""A ledger of an older version is taken into its owner's: each use counts, and counts once."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from clients.privacy.ledger import adoption
from clients.privacy.ledger.adoption import adopt, require_adopted
from clients.privacy.ledger.ledger import Refusal
from clients.privacy.ledger.place import LedgerPlace, owners_ledger
from clients.privacy.ledger.recovery import give_up
from clients.privacy.ledger.rows import retire_row
from strategies.errors import PrivacyError
from tests.support.privacy_ledger import (
    DELTA,
    ONE,
    TIGHT,
    manifest,
    opened,
    reserved,
    steps,
    use,
)

TWO = manifest(*range(10, 20))


def older(folder: Path) -> Path:
    return folder / "state" / "privacy.sqlite"


def place(folder: Path, owner: Path) -> LedgerPlace:
    return owners_ledger(owner / "privacy.sqlite", witness=folder / "identity" / "anchor")


@pytest.fixture
def owner(tmp_path: Path) -> Path:
    return tmp_path / "owner"


def site(folder: Path, *sets: object, uses: int = 1) -> Path:
    """Make a site of an older version that has used each data set so often."""
    ledger = opened(folder)
    for each in sets or (ONE,):
        name = ledger.enrol(each)  # type: ignore[arg-type]
        for _ in range(uses):
            reserved(ledger, name)
    return folder


def test_first_site_is_adopted_whole_and_its_file_is_kept(tmp_path: Path, owner: Path) -> None:
    folder = site(tmp_path / "a", uses=3)
    with pytest.raises(PrivacyError, match="srflm up"):
        require_adopted(older(folder))
    kept = adopt(older(folder), place(folder, owner), {})
    assert kept is not None and kept.exists() and not older(folder).exists()
    require_adopted(older(folder))
    ledger = place(folder, owner).open()
    assert steps(ledger, ONE.hash) == 30
    reserved(ledger, ledger.enrol(ONE))
    assert steps(place(folder, owner).open(), ONE.hash) == 40
    assert adopt(older(folder), place(folder, owner), {}) is None


def test_same_images_of_two_sites_have_one_budget_afterwards(tmp_path: Path, owner: Path) -> None:
    for name in ("a", "b"):
        folder = site(tmp_path / name, ONE, TWO, uses=2)
        adopt(older(folder), place(folder, owner), {})
    books = place(tmp_path / "a", owner).open().books()
    assert [len(books.uses(each.hash)) for each in (ONE, TWO)] == [4, 4]
    assert books.group(ONE.hash) == {ONE.hash}, "both ledgers know that they share nothing"


def test_data_sets_that_cannot_be_compared_share_one_budget(tmp_path: Path, owner: Path) -> None:
    for name, each in (("a", ONE), ("b", manifest(0, 40))):
        folder = site(tmp_path / name, each)
        adopt(older(folder), place(folder, owner), {})
    ledger = place(tmp_path / "a", owner).open()
    assert steps(ledger, ONE.hash) == 20


def test_later_data_set_is_compared_with_adopted_ones(tmp_path: Path, owner: Path) -> None:
    other = place(tmp_path / "b", owner).open()
    reserved(other, other.enrol(TWO))
    folder = site(tmp_path / "a")
    adopt(older(folder), place(folder, owner), {})
    name = other.enrol(manifest(3, 50))  # image 3 is known by the older ledger's key only
    assert steps(other, name) == 20


def test_adopted_file_that_is_put_back_adds_nothing(tmp_path: Path, owner: Path) -> None:
    folder = site(tmp_path / "a")
    copy = shutil.copytree(folder, tmp_path / "copy")
    reserved(opened(folder), ONE.hash)
    adopt(older(folder), place(folder, owner), {})
    reserved(place(folder, owner).open(), ONE.hash)
    shutil.rmtree(folder / "state")
    shutil.copytree(copy / "state", folder / "state")
    with pytest.raises(PrivacyError):
        require_adopted(older(folder))
    adopt(older(folder), place(folder, owner), {})
    assert steps(place(folder, owner).open(), ONE.hash) == 30
    shutil.rmtree(folder)
    copy.rename(folder)  # the whole site: its keys' folder too
    adopt(older(folder), place(folder, owner), {})
    assert steps(place(folder, owner).open(), ONE.hash) == 30


@pytest.mark.parametrize("call", ["add_keys", "append", "advance"])
def test_crash_while_adopting_loses_nothing_and_adds_nothing(
    tmp_path: Path, owner: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = site(tmp_path / "a")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def crash(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(adoption.PrivacyLedger, call, crash)
        adopt(older(folder), place(folder, owner), {})
    assert older(folder).exists()
    adopt(older(folder), place(folder, owner), {})
    assert steps(place(folder, owner).open(), ONE.hash) == 10


def test_older_copy_is_refused_and_nothing_is_begun(tmp_path: Path, owner: Path) -> None:
    folder = site(tmp_path / "a")
    copy = shutil.copy(older(folder), tmp_path / "copy")
    reserved(opened(folder), ONE.hash)
    shutil.copy(copy, older(folder))
    with pytest.raises(PrivacyError, match="srflm privacy retire"):
        adopt(older(folder), place(folder, owner), {})
    assert older(folder).exists() and not owner.exists()


def test_site_that_gave_its_ledger_up_uses_the_owners(tmp_path: Path, owner: Path) -> None:
    folder = site(tmp_path / "a")
    older(folder).write_bytes(b"no database" * 1000)
    give_up(place(folder, owner), [ONE], "a test", {"f" * 64: 3})
    older(folder).unlink()
    ledger = place(folder, owner).open()
    assert isinstance(ledger.reserve(use(ledger.enrol(ONE)), TIGHT), Refusal)
    assert ledger.spent(ONE.hash, DELTA) == float("inf")
    assert ledger.books().excused_through(["f" * 64]) == 3
    reserved(ledger, ledger.enrol(TWO))


def test_what_was_given_up_before_is_excused_for_that_site_alone(
    tmp_path: Path, owner: Path
) -> None:
    folder = site(tmp_path / "a")
    with opened(folder).writing() as (db, books):
        row = retire_row([ONE.hash], "by an older version")
        del row["through"]  # which older versions did not write
        opened(folder).append(db, books, [row])
    opened(folder).advance()
    assert opened(folder).books().excused_through(["one"]) == math.inf
    adopt(older(folder), place(folder, owner), {"one": 7})
    books = place(folder, owner).open().books()
    assert books.retired(ONE.hash)
    assert (books.excused_through(["one"]), books.excused_through(["two"])) == (7, 0)


# ---- the owner's files ---------------------------------------------------------------------------


def test_only_the_owner_can_read_ledger_and_key(tmp_path: Path, owner: Path) -> None:
    place(tmp_path, owner).open().enrol(ONE)
    for name in ("privacy.sqlite", "privacy.anchor"):
        assert (owner / name).stat().st_mode & 0o777 == 0o600, name


def test_site_refuses_another_ledger_than_it_has_seen(tmp_path: Path, owner: Path) -> None:
    ledger = place(tmp_path / "a", owner).open()
    reserved(ledger, ledger.enrol(ONE))
    for elsewhere in (tmp_path / "new", tmp_path / "other"):
        moved = place(tmp_path / "a", elsewhere).open()
        for act in (lambda: moved.books(), lambda: moved.enrol(ONE)):  # noqa: B023
            with pytest.raises(PrivacyError) as caught:
                act()
            assert caught.value.code == PrivacyError.LEDGER_ROLLED_BACK
        place(tmp_path / "b", tmp_path / "other").open().enrol(TWO)


def test_site_notices_an_older_copy_of_ledger_and_anchor_together(
    tmp_path: Path, owner: Path
) -> None:
    ledger = place(tmp_path / "a", owner).open()
    name = ledger.enrol(ONE)
    copy = shutil.copytree(owner, tmp_path / "copy")
    reserved(ledger, name)
    shutil.rmtree(owner)
    copy.rename(owner)
    with pytest.raises(PrivacyError) as caught:
        ledger.reserve(use(name), TIGHT)
    assert caught.value.code == PrivacyError.LEDGER_ROLLED_BACK
    give_up(place(tmp_path / "a", owner), [ONE], "a test")
    assert isinstance(ledger.reserve(use(name), TIGHT), Refusal)
