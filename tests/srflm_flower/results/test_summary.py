"""Rules of the summary: it says what truly happened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, with_changes
from srflm_flower.results.spans import spans
from srflm_flower.results.summary import RunSummary, mean_over_vendors, pooled, summarise
from strategies.protocol.records import TermRecord
from tests.support.records import make_ballots, make_chain, make_record


def federation() -> Federation:
    vendors = [{"name": "a"}, {"name": "b"}]
    return with_changes(built_in_federation(2), vendors=vendors, run__rounds=4)


def summary_of(records: list[TermRecord], stopped: tuple[str, str] | None = None) -> RunSummary:
    test = {vendor: {"personalised": {"accuracy": 0.5}} for vendor in "ab"}
    return summarise(federation(), records, 1.23456, test, {}, stopped)


# ---- spans ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((), ""), ((4,), "4"), ((1, 2), "1–2"), ((1, 4, 5, 6), "1, 4–6"), ((1, 3, 5), "1, 3, 5")],
)
def test_neighbouring_numbers_are_written_as_spans(numbers: tuple[int, ...], text: str) -> None:
    assert spans(numbers) == text


@given(numbers=st.sets(st.integers(1, 60)).map(sorted))
def test_spans_name_exactly_the_numbers(numbers: list[int]) -> None:
    named: list[int] = []
    for part in spans(numbers).split(", "):
        ends = [int(end) for end in part.split("–") if end]
        named += range(ends[0], ends[-1] + 1) if ends else []
    assert named == numbers


# ---- what happened -------------------------------------------------------------------------------


def test_complete_run_says_how_many_rounds() -> None:
    summary = summary_of(make_chain(4))
    assert summary.status == "completed"
    assert summary.what_happened == "4 of 4 terms"
    assert (summary.rounds, summary.rounds_planned, summary.code) == (4, 4, "")


def test_single_term_is_named_in_the_singular() -> None:
    records = [make_record(1), make_record(2, attempt=1, ballots=make_ballots(a=1.0))]
    assert summary_of(records[:1]).what_happened == "1 of 4 terms"
    text = summary_of(records).what_happened
    assert "b missed term 2;" in text
    assert text.endswith("stood in for the elected server in term 2")


def test_absence_and_standing_in_are_named() -> None:
    records = [
        make_record(1),
        make_record(2, ballots=make_ballots(a=1.0), attempt=1),
        make_record(3, ballots=make_ballots(a=1.0)),
        make_record(4, attempt=2),
    ]
    text = summary_of(records).what_happened
    assert "b missed terms 2 and 3" in text
    assert "another vendor stood in for the elected server in terms 2 and 4" in text
    assert "a missed" not in text


def test_run_that_was_stopped_says_why_and_keeps_what_was_committed() -> None:
    summary = summary_of(make_chain(2), ("SRFLM-F1", "1 of 2 vendors answered"))
    assert (summary.status, summary.code) == ("stopped", "SRFLM-F1")
    assert summary.what_happened == "2 of 4 terms; stopped: 1 of 2 vendors answered"


def test_run_that_was_stopped_before_its_first_term_has_a_summary() -> None:
    summary = summary_of([], ("SRFLM-F1", "nobody answered"))
    assert summary.what_happened.startswith("0 of 4 terms")
    assert (summary.servers, summary.released_term) == ((), None)
    assert all(vendor.examples is None for vendor in summary.vendors.values())


def test_summary_names_servers_release_and_each_vendors_part() -> None:
    summary = summary_of(make_chain(4))
    assert summary.servers == ("b", "a", "b", "a")
    assert (summary.released_term, summary.released_kind) == (1, "averaged")
    assert summary.vendors["a"].terms_served == (2, 4)
    assert summary.vendors["a"].terms_missed == ()
    assert summary.vendors["b"].examples == 10
    assert summary.federation == federation().hash
    assert summary.seconds == 1.235


def test_test_metrics_are_those_of_each_vendor_and_their_means() -> None:
    test = {
        "a": {
            "personalised": {"accuracy": 0.9, "examples": 10.0},
            "global": {"accuracy": 0.8, "loss": 1.0, "examples": 10.0},
        },
        "b": {"global": {"accuracy": 0.5, "loss": 2.0, "examples": 30.0}},
    }
    summary = summarise(federation(), make_chain(1), 0, test, {"a": {"b": {"accuracy": 0.1}}})
    assert summary.vendors["a"].personalised["accuracy"] == 0.9
    assert summary.vendors["b"].personalised == {}
    assert summary.mean_personalised == {"accuracy": 0.9}
    assert summary.mean_released == pytest.approx({"accuracy": 0.65, "loss": 1.5})
    assert summary.pooled_released == pytest.approx({"accuracy": 0.575, "loss": 1.75})
    assert summary.cross == {"a": {"b": {"accuracy": 0.1}}}


def test_summary_survives_json() -> None:
    summary = summary_of(make_chain(3))
    assert RunSummary.model_validate_json(summary.model_dump_json()) == summary


# ---- means ---------------------------------------------------------------------------------------


def test_metrics_that_a_vendor_lacks_are_left_out_of_the_mean() -> None:
    found = mean_over_vendors([{"accuracy": 1.0, "auc": 0.5}, {"accuracy": 0.0}, {}])
    assert found == {"accuracy": 0.5, "auc": 0.5}
    assert mean_over_vendors([]) == {}


def test_pooled_metrics_need_the_number_of_examples() -> None:
    assert pooled([{"accuracy": 1.0}], ["accuracy"]) == {}
    assert pooled([], ["accuracy"]) == {}


@given(
    parts=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 100)), min_size=1, max_size=6),
)
def test_pooled_accuracy_is_that_of_all_examples_together(parts: list[tuple[float, int]]) -> None:
    found = pooled([{"accuracy": value, "examples": float(n)} for value, n in parts], ["accuracy"])
    right, total = sum(value * n for value, n in parts), sum(n for _, n in parts)
    assert found["accuracy"] == pytest.approx(right / total)
