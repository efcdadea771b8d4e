"""What term records tell of a vendor's training must be in its privacy ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clients.data.sources import load_vendor_data
from clients.privacy.ledger.ledger import PrivacyLedger
from srflm_flower.site.privacy import PrivacyAccount, check_told
from strategies.errors import PrivacyError
from strategies.protocol.records import Edition, RosterChange, TermRecord
from tests.support.tiny import conduct, new_run, private, records_of


def test_records_of_a_former_member_of_the_same_name_raise_no_alarm(tmp_path: Path) -> None:
    run = new_run(private(tmp_path, run__rounds=2), tmp_path / "run")
    conduct(run)
    records = records_of(run)
    federation, path = run.federation(), tmp_path / "l" / "privacy.sqlite"
    account = PrivacyAccount(PrivacyLedger(path, tmp_path / "anchor"))
    spender = account.spender(federation, "c", load_vendor_data(federation.data_plan(), "c"))
    assert spender is not None
    with pytest.raises(PrivacyError) as caught:
        check_told(spender, "c", records)
    assert caught.value.code == PrivacyError.LEDGER_ROLLED_BACK
    without_c = Edition(federation="f" * 64, roster=("a", "b"), keys=())
    change = RosterChange(edition=without_c, approvals={})
    left = records[-1].model_copy(update={"roster_change": change})
    check_told(spender, "c", [records[0], left])
    spender.ledger.retire([spender.dataset], "a test", {federation.hash: 2})
    check_told(spender, "c", records)


def test_terms_are_compared_with_rounds_of_this_federation_and_after_a_retirement(
    tmp_path: Path,
) -> None:
    run = new_run(private(tmp_path, run__rounds=4, rounds_per_term=2), tmp_path / "run")
    conduct(run)
    federation, records = run.federation(), records_of(run)
    ledger = PrivacyLedger(tmp_path / "l" / "privacy.sqlite", tmp_path / "anchor")
    data = load_vendor_data(federation.data_plan(), "c")
    spender = PrivacyAccount(ledger).spender(federation, "c", data)
    assert spender is not None
    other = replace(spender, federation="f" * 64)
    record = records[1].model_copy(update={"server": "c", "clients": ("a", "b")})

    def lacks(each: TermRecord) -> bool:
        try:
            check_told(spender, "c", [each], 2)
        except PrivacyError as error:
            return error.code == PrivacyError.LEDGER_ROLLED_BACK
        return False

    assert (record.term, record.round) == (2, 4)
    for who, round_number in ((other, 3), (other, 4), (spender, 4), (spender, 2)):
        with who.spending("server", 2, round_number):
            pass
        assert lacks(record), "round 3 of this federation is not there"
    with spender.spending("server", 2, 3):
        pass
    assert not lacks(record)
    client = record.model_copy(update={"term": 3, "round": 6, "server": "a", "clients": ("c",)})
    assert lacks(client)
    ledger.retire([spender.dataset], "a test", {"f" * 64: 9, federation.hash: 3})
    assert not lacks(client)
    assert lacks(client.model_copy(update={"term": 4, "round": 8})), "only the past is excused"
