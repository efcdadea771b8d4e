"""Transcripts of the term protocol: what each of ``tests/transcripts/`` says is what happens.

``UPDATE_TRANSCRIPTS=1 pytest tests/test_transcripts.py`` writes the events that happen today below
the commands, so that a change of the protocol shows as a change of these files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from srflm_flower.site import participant
from srflm_flower.site.lapses import LapsingLedger
from srflm_flower.site.state import SiteState
from strategies.election import Cycle, Score
from strategies.protocol import roster_change
from strategies.term import committing
from tests.support.scripted_servers import ScriptedFederation, scripted_federation
from tests.support.transcript.commands import IMPOSSIBLE
from tests.support.transcript.playing import difference, play

FOLDER = Path(__file__).parent / "transcripts"
RUNS = (
    "quiet-term",
    "server-dies-before-proposing",
    "server-dies-after-one-acceptance",
    "two-candidates",
    "forgetful-site",
    "roster-change",
)
UPDATE = "UPDATE_TRANSCRIPTS"
ADVICE = f"If the protocol was changed on purpose: {UPDATE}=1 pytest tests/test_transcripts.py"
BROKEN_RULES: dict[str, tuple[object, str, Any]] = {
    "quiet-term": (Cycle, "rank", lambda self, election: Score(0.5, 0).rank(election)),
    "server-dies-before-proposing": (SiteState, "update", lambda *asked: None),
    "server-dies-after-one-acceptance": (committing, "must_propose", lambda grants: None),
    "two-candidates": (participant, "check_envelope", lambda *asked: None),
    "forgetful-site": (LapsingLedger, "has_forgotten_in", staticmethod(lambda db, term: False)),
    "roster-change": (roster_change, "has_quorum", lambda voters, *of: len(voters) > 0),
}
"""Transcript → a rule of which it tells, and what breaks it: a vendor is elected twice in a cycle,
a client trains twice, a stand-in proposes what it likes, sites obey an old attempt, a loss of the
state is not noticed, a minority changes the roster."""


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedFederation]:
    with scripted_federation(tmp_path_factory.mktemp("scripted")) as federation:
        yield federation


def transcript(run: str) -> Path:
    return FOLDER / f"{run}.txt"


@pytest.mark.parametrize("run", RUNS)
def test_transcript_says_what_happens(run: str, sites: ScriptedFederation) -> None:
    expected = transcript(run).read_text(encoding="utf-8")
    happened = play(expected, sites)
    if os.environ.get(UPDATE) == "1" and IMPOSSIBLE not in happened:
        transcript(run).write_text(happened, encoding="utf-8")
    elif different := difference(expected, happened):
        pytest.fail(f"{run}\n{different}\n{ADVICE}", pytrace=False)
    sites.agree()


def test_every_transcript_is_checked() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(RUNS) == set(BROKEN_RULES)


@pytest.mark.parametrize("run", RUNS)
def test_broken_rule_shows_in_its_transcript(
    run: str, sites: ScriptedFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*BROKEN_RULES[run])
    expected = transcript(run).read_text(encoding="utf-8")
    assert difference(expected, play(expected, sites))
