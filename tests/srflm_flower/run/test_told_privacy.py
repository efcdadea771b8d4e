"""A site reports the ε of the agreed plan; the true one, which tells of images, stays at home."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.data.sources import load_vendor_data
from clients.privacy.accounting.accounting import epsilon
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.ledger import Reservation
from clients.privacy.ledger.manifest import Manifest
from clients.privacy.ledger.policy import Budget
from clients.privacy.ledger.rows import Use
from deploy.operating.status import site_status
from deploy.site.privacy_files import site_ledger
from deploy.site.site_on_disk import site_on_disk
from strategies.errors import PrivacyError
from tests.srflm_flower.run.test_private_federation import DELTA, SIZE, private
from tests.support.deployed import DeployedFederation
from tests.support.tiny import conduct, new_run, records_of


@pytest.mark.parametrize(("steps", "used_up"), [(1, False), (150, True)])
def test_reports_tell_nothing_of_images_that_were_used_before(
    tmp_path: Path, steps: int, used_up: bool
) -> None:
    federation = private(tmp_path, run__rounds=1)
    run = new_run(federation, tmp_path / "run")
    train = load_vendor_data(federation.data_plan(), "c").train
    earlier = Manifest.of([train.records[0], "of another image"])
    ledger = run.privacy_ledger("c")
    ledger.enrol(earlier)
    use = Use(earlier.hash, "client", Mechanism(2.0, 8 / SIZE, steps), "another", 1, 1)
    assert isinstance(ledger.reserve(use, Budget(99.0, DELTA)), Reservation)
    conduct(run)
    (record,) = records_of(run)
    told = record.privacy["c"]
    assert (record.server, "c" in record.clients) == ("a", not used_up)
    plan = [] if used_up else [Mechanism(2.0, 8 / SIZE, 2)]
    assert told.epsilon == pytest.approx(epsilon(plan, DELTA), abs=0.01)
    assert told.can_train and told.can_serve
    refused = ("c", PrivacyError.BUDGET_SPENT) in {(a.vendor, a.code) for a in record.absences}
    assert refused == used_up


def test_status_tells_the_true_figure_at_home(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", private(tmp_path))
    sites.order("a", rounds=9)
    sites.turn()
    site = site_on_disk(sites.folders["c"])
    ledger = site_ledger(site.settings)
    told = site_status(site)
    assert told.privacy is not None and told.epsilon_at_home is not None
    assert told.epsilon_at_home == pytest.approx(told.privacy.epsilon, abs=0.01)
    books = ledger.books()
    (use, *_) = (u for n in books.sizes for u in books.uses(n) if u.purpose == "client")
    assert isinstance(ledger.reserve(use, Budget(99.0, DELTA)), Reservation)
    after = site_status(site)
    assert after.privacy == told.privacy
    assert after.epsilon_at_home is not None and after.epsilon_at_home > told.epsilon_at_home
