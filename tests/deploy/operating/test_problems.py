"""The last problem: the latest one, with its age; planned restarts and past ones do not alarm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.operating.problems import ago, last_problem
from deploy.processes.supervisor import ROSTER_CHANGED
from strategies.protocol import messages as wire


def committed(time: float) -> dict[str, object]:
    return {"type": wire.COMMIT, "outcome": "done", "time": time, "vendor": "a"}


def failed(time: float) -> dict[str, object]:
    return {"event": "failed", "problem": f"at {time}", "time": time}


TIMES = st.lists(st.floats(1, 1e6), max_size=5)


@given(TIMES, TIMES)
def test_problem_is_past_if_a_term_was_committed_after_it(
    problems: list[float], commits: list[float]
) -> None:
    found = last_problem(map(failed, problems), map(committed, commits))
    if not problems:
        assert found is None
        return
    assert found is not None and found.time == max(problems)
    assert found.past == any(each > found.time for each in commits)


def test_planned_restart_is_no_problem() -> None:
    planned = {"event": "program-ended", "program": "launcher", "code": ROSTER_CHANGED, "time": 9.0}
    assert last_problem([planned], []) is None
    crash = planned | {"code": 1}
    found = last_problem([planned, crash], [])
    assert found is not None and found.text == "launcher ended (1)"


def test_refused_message_counts_and_a_refused_commit_ends_nothing() -> None:
    refused = {"type": wire.COMMIT, "outcome": "SRFLM-P3", "time": 7.0, "vendor": "b"}
    found = last_problem([failed(5.0)], [refused])
    assert found is not None and not found.past
    assert found.text == f"refused {wire.COMMIT} of b: SRFLM-P3"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3.0, "0 s ago"),
        (59.0, "59 s ago"),
        (60.0, "1 min ago"),
        (7140.0, "1 h ago"),
        (172_799.0, "47 h ago"),
        (400_000.0, "4 days ago"),
    ],
)
def test_age_has_a_unit_that_suits(seconds: float, text: str) -> None:
    assert ago(seconds) == text


def test_told_problem_has_age_date_and_text() -> None:
    found = last_problem([failed(1_000_000.0)], [])
    assert found is not None
    told = found.told(1_000_180.0)
    assert told.startswith("3 min ago (1970-01-1") and told.endswith("): at 1000000.0")
