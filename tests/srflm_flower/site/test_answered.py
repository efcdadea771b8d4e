"""The answers on disk that a record may quote: a crash in the middle of a line breaks nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from srflm_flower.site.answered import AnswersOnDisk
from strategies.protocol.messages import Envelope, Reply, Train
from strategies.protocol.records import Ballot

ASKED = Train(
    envelope=Envelope(federation="f" * 64, term=1, attempt=0, server="b"), round=1, model="e" * 64
)


def reply(loss: float) -> Reply:
    return Reply(vendor="a", status="done", ballot=Ballot(examples=3, loss=loss))


@pytest.mark.parametrize("left", [1, 20, -1])
def test_answer_that_a_crash_cut_short_is_forgotten_and_the_next_one_is_kept(
    tmp_path: Path, left: int
) -> None:
    answers = AnswersOnDisk(tmp_path)
    answers.keep(ASKED, reply(0.5), trained=True)
    path = next(tmp_path.glob("*.jsonl"))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:left])
    assert len(AnswersOnDisk(tmp_path).of(1, "a").ballots) == 1
    AnswersOnDisk(tmp_path).keep(ASKED, reply(0.25))
    assert [each.loss for each in answers.of(1, "a").ballots] == [0.5, 0.25]
    assert answers.starts(ASKED) == {ASKED.model}


def test_file_of_an_older_version_is_read(tmp_path: Path) -> None:
    ballot = '{"examples":3,"loss":0.5}'
    line = f'{{"attempt":0,"ballot":{ballot},"metrics":[],"privacy":null,"trained":true}}'
    answers = AnswersOnDisk(tmp_path)
    answers._path(1).write_text(f"{line}\n")
    own = answers.of(1, "a")
    assert (own.trained, own.rounds, len(own.ballots)) == ({0}, frozenset(), 1)
    assert answers.starts(ASKED) == set()
