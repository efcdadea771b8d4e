"""The roles that committed records give a vendor, for the ε that it reports."""

from __future__ import annotations

import pytest

from srflm_flower.privacy.scheduled import _rounds
from strategies.protocol.records import Absence, Ballot
from tests.support.records import make_record

BALLOT = Ballot(examples=10, loss=1.0)


@pytest.mark.parametrize(
    ("vendor", "expected"),
    [
        ("a", {"server": 1, "client": 0}),
        ("b", {"server": 0, "client": 1}),
        ("c", {"server": 0, "client": 1}),  # its update could not be used, and it has trained
        ("d", {"server": 1, "client": 1}),  # lost as a server, and a client of the next one
        ("e", {"server": 0, "client": 0}),
    ],
)
def test_rounds_of_a_vendor_by_role(vendor: str, expected: dict[str, int]) -> None:
    lost = Absence(vendor="d", phase="finetune", code="SRFLM-X2", attempt=0)
    term = make_record(
        term=1,
        round=1,
        attempt=1,
        server="a",
        clients=("b", "d"),
        ballots=dict.fromkeys("abcd", BALLOT),
        absences=(lost,),
    )
    assert _rounds([term], vendor) == expected
