"""No order of backup, loss and restoring gives a record more than its owner's budget."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clients.data.sources import load_vendor_data
from clients.privacy.accounting.accounting import epsilon
from clients.privacy.ledger.place import LedgerPlace
from deploy.cli import app
from deploy.operating.backup import back_up
from deploy.operating.restore import Restored, restore
from deploy.operating.restored_privacy import check_ledger, hold
from deploy.site.deployed_site import DeployedSite
from deploy.site.privacy_files import site_ledger
from deploy.site.site_on_disk import site_on_disk
from strategies.errors import ConfigurationError, PrivacyError
from tests.support.deployed import DeployedFederation
from tests.support.tiny import DELTA, private

EPSILON = 1.6
FOREVER = 50


class Owner:
    """A vendor with one site, and the terms in which it has trained, by this test's own count."""

    def __init__(self, folder: Path) -> None:
        federation = private(folder, privacy__epsilon=EPSILON, privacy__metrics="withheld")
        self.sites = DeployedFederation(folder / "f", federation)
        self.folder, self.archive = self.sites.folders["a"], folder / "archive"
        self.ledger = self.folder / "owner"
        self.trained = 0

    @property
    def site(self) -> DeployedSite:
        return self.sites.site("a")

    def train(self, times: int) -> str:
        """Spend rounds as a client; return the code with which it ended, or an empty text."""
        for _ in range(times):
            site = self.site
            data = load_vendor_data(site.federation.data_plan(), "a")
            try:
                spender = site.account.spender(site.federation, "a", data)
                assert spender is not None
                with spender.spending("client", self.trained + 1, self.trained + 1):
                    self.trained += 1
            except PrivacyError as error:
                return error.code
        return ""

    def back_up(self) -> None:
        back_up(self.site, self.archive)

    def lose(self, *names: str) -> None:
        for name in names:
            shutil.rmtree(self.folder / name)

    def restore(self, kept: bool | None = None) -> Restored:
        return restore(self.archive, self.folder, kept)

    def retire(self) -> None:
        """Give the data up, as the operator is told."""
        done = CliRunner().invoke(app, ["privacy", "retire", str(self.folder), "--yes"])
        assert done.exit_code == 0, done.output

    def within_budget(self) -> bool:
        """Return whether all the training that was ever done keeps to the budget."""
        mechanism = self.site.federation.mechanism("a", "client")
        assert mechanism is not None
        return epsilon([mechanism] * self.trained, DELTA) <= EPSILON


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    return Owner(tmp_path)


def test_budget_has_an_end(owner: Owner) -> None:
    assert owner.train(FOREVER) == PrivacyError.BUDGET_SPENT
    assert 2 < owner.trained < FOREVER and owner.within_budget()


def test_ledger_that_has_stayed_goes_on(owner: Owner) -> None:
    owner.train(1)
    owner.back_up()
    owner.train(1)
    owner.lose("state", "identity")
    with pytest.raises(ConfigurationError, match="--ledger-kept"):
        owner.restore()
    assert not (owner.folder / "state").exists(), "nothing is restored before the operator's word"
    assert not owner.restore(kept=True).spending_unknown
    assert owner.train(FOREVER) == PrivacyError.BUDGET_SPENT
    assert owner.within_budget() and owner.trained > 2


@pytest.mark.parametrize("before", [0, 1])
def test_lost_ledger_is_never_begun_anew(owner: Owner, before: int) -> None:
    """Archived before the first use too: the archive then knows of no ledger at all."""
    owner.train(before)
    owner.back_up()
    assert owner.train(FOREVER) == PrivacyError.BUDGET_SPENT
    owner.lose("state", "identity", "owner")
    assert owner.restore().spending_unknown
    spent = owner.trained
    assert owner.train(1) == PrivacyError.LEDGER_ROLLED_BACK
    owner.retire()
    assert owner.train(FOREVER) == PrivacyError.BUDGET_SPENT
    assert owner.trained == spent and owner.within_budget()


def test_word_that_nothing_was_ever_spent_is_believed_only_without_a_trace(owner: Owner) -> None:
    owner.back_up()
    owner.lose("state", "identity")
    assert not owner.restore(kept=True).spending_unknown
    assert owner.train(1) == ""
    owner.back_up()
    owner.lose("state", "identity", "owner")
    with pytest.raises(PrivacyError, match="does not have row"):
        owner.restore(kept=True)


def test_older_copy_of_the_ledger_is_refused_whatever_is_said(owner: Owner, tmp_path: Path) -> None:
    owner.train(1)
    shutil.copytree(owner.ledger, tmp_path / "old")
    owner.train(1)
    owner.back_up()
    assert owner.train(FOREVER) == PrivacyError.BUDGET_SPENT
    owner.lose("state", "identity", "owner")
    shutil.copytree(tmp_path / "old", owner.ledger)
    with pytest.raises(PrivacyError, match="does not have row") as told:
        owner.restore(kept=True)
    assert told.value.code == PrivacyError.LEDGER_ROLLED_BACK
    owner.restore(kept=False)
    spent = owner.trained
    assert owner.train(1) == PrivacyError.LEDGER_ROLLED_BACK
    owner.retire()
    assert owner.train(1) == PrivacyError.BUDGET_SPENT
    assert owner.trained == spent and owner.within_budget()


def test_copy_of_the_ledger_from_after_the_archive_is_refused_by_the_operators_word(
    owner: Owner, tmp_path: Path
) -> None:
    owner.train(1)
    owner.back_up()
    owner.train(1)
    shutil.copytree(owner.ledger, tmp_path / "old")
    assert owner.train(FOREVER) == PrivacyError.BUDGET_SPENT
    owner.lose("state", "identity", "owner")
    shutil.copytree(tmp_path / "old", owner.ledger)
    owner.restore(kept=False)
    assert owner.train(1) == PrivacyError.LEDGER_ROLLED_BACK


def test_anchor_of_the_site_that_has_stayed_still_knows_the_true_ledger(
    owner: Owner, tmp_path: Path
) -> None:
    owner.train(1)
    owner.back_up()
    owner.train(1)
    shutil.move(owner.ledger, tmp_path / "moved")
    owner.lose("state")
    assert owner.restore().spending_unknown
    assert owner.train(1) == PrivacyError.LEDGER_ROLLED_BACK
    shutil.move(tmp_path / "moved", owner.ledger)
    assert owner.train(FOREVER) == PrivacyError.BUDGET_SPENT
    assert owner.within_budget() and owner.trained > 2


def test_archive_has_nothing_of_the_ledger_but_its_head(owner: Owner) -> None:
    owner.train(1)
    owner.back_up()
    packed = owner.archive.read_bytes()
    anchor = (owner.folder / "identity" / "privacy.anchor").read_text()
    key = anchor.split('"key":"')[1][:64]
    assert key.encode() not in packed and b"privacy.anchor" not in packed
    books = site_ledger(site_on_disk(owner.folder).settings).books()
    assert books.rows[-1].hash.encode() in packed


def test_ledger_of_made_up_data_that_is_lost_is_refused_too(tmp_path: Path) -> None:
    """It lies in the site's own state, beside no other anchor than the site's."""
    place = LedgerPlace(tmp_path / "state" / "privacy.sqlite", tmp_path / "privacy.anchor")
    anchor = check_ledger(place, None, None)
    assert anchor is not None
    hold(place, anchor)
    with pytest.raises(PrivacyError) as told:
        place.open().books()
    assert told.value.code == PrivacyError.LEDGER_MISSING
