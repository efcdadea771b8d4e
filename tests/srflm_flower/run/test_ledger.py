"""Rules of the ledger: what is in it was agreed on, and nothing can be changed unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srflm_flower.run.ledger import Ledger
from strategies.errors import LedgerError
from strategies.protocol.chain import check_chain, check_follows
from strategies.protocol.records import TermRecord, canonical_json
from tests.support.records import FEDERATION, make_chain, make_record

CHAIN = make_chain(4)
THREE_LINES = b"".join(
    canonical_json(record.model_dump(mode="json")) + b"\n" for record in CHAIN[:3]
)


def written(folder: Path, records: list[TermRecord] = CHAIN) -> Path:
    path = folder / "ledger.jsonl"
    ledger = Ledger(path, FEDERATION)
    for record in records:
        ledger.append(record)
    return path


def read(path: Path, federation: str = FEDERATION) -> list[TermRecord]:
    return list(Ledger(path, federation).records())


def test_ledger_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "none.jsonl") == []


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert read(path) == CHAIN
    assert path.read_bytes().count(b"\n") == 4
    assert path.read_bytes().startswith(THREE_LINES)


def test_appending_again_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = path.read_bytes()
    ledger = Ledger(path, FEDERATION)
    for record in CHAIN:
        ledger.append(record)
    assert path.read_bytes() == before


def test_another_record_for_a_committed_term_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    other = make_record(4, CHAIN[2].hash, server="z")
    with pytest.raises(LedgerError, match="does not follow"):
        Ledger(path, FEDERATION).append(other)
    assert read(path) == CHAIN


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (make_record(6, CHAIN[-1].hash), "does not follow"),
        (make_record(5, CHAIN[-2].hash), "does not follow"),
        (make_record(5, CHAIN[-1].hash, federation="e" * 64), "another federation"),
        (make_record(5, CHAIN[-1].hash, round=4), "counts rounds backwards"),
    ],
    ids=["gap", "parent", "federation", "round"],
)
def test_record_that_does_not_follow_is_refused(record: TermRecord, problem: str) -> None:
    with pytest.raises(LedgerError, match=problem) as caught:
        check_follows(CHAIN[-1], record, FEDERATION)
    assert caught.value.code == "SRFLM-L1"
    assert "keep the ledger as it is" in caught.value.mend


def test_first_record_stands_on_the_federation() -> None:
    check_chain(CHAIN[:1], FEDERATION)
    with pytest.raises(LedgerError):
        check_chain([make_record(1, "0" * 64)], FEDERATION)


def test_term_of_several_rounds_may_follow() -> None:
    check_follows(CHAIN[-1], make_record(5, CHAIN[-1].hash, round=9), FEDERATION)


def test_ledger_of_another_federation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="another federation"):
        read(written(tmp_path), federation="e" * 64)


@pytest.mark.parametrize("line", range(3))
def test_removed_line_is_noticed(tmp_path: Path, line: int) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:line] + lines[line + 1 :]))
    with pytest.raises(LedgerError):
        read(path)


@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 1, 1, 2, 3), (0, 1, 3, 2)])
def test_swapped_or_repeated_lines_are_noticed(tmp_path: Path, order: tuple[int, ...]) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[index] for index in order))
    with pytest.raises(LedgerError):
        read(path)


def test_altered_line_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"loss":0.5', b'"loss":0.4', 1))
    with pytest.raises(LedgerError, match="does not follow"):
        read(path)


def test_unknown_schema_version_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"schema_version":1', b'"schema_version":2'))
    with pytest.raises(LedgerError, match="install the version that wrote it"):
        read(path)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_changed_byte_before_the_last_line_is_noticed_or_means_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    content = bytearray(THREE_LINES)
    last_line = content.rstrip(b"\n").rfind(b"\n") + 1
    content[data.draw(st.integers(0, last_line - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert read(path) == CHAIN[:3]
    except LedgerError:
        return


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_changed_byte_of_the_last_line_cannot_pass_for_the_agreed_head(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The head's hash is held by the other sites: they refuse a term on top of another head."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    content = bytearray(THREE_LINES)
    last_line = content.rstrip(b"\n").rfind(b"\n") + 1
    content[data.draw(st.integers(last_line, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        records = read(path)
    except LedgerError:
        return
    assert records[:2] == CHAIN[:2]
    assert records == CHAIN[:3] or len(records) == 2 or records[2].hash != CHAIN[2].hash


@pytest.mark.parametrize("cut", [1, 2, 50])
def test_last_line_that_a_crash_cut_short_is_dropped(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert read(path) == CHAIN[:3]
    Ledger(path, FEDERATION).append(CHAIN[3])
    assert read(path) == CHAIN


def test_first_line_that_a_crash_cut_short_leaves_an_empty_ledger(tmp_path: Path) -> None:
    path = written(tmp_path, CHAIN[:1])
    path.write_bytes(path.read_bytes()[:20])
    assert read(path) == []
    Ledger(path, FEDERATION).append(CHAIN[0])
    assert read(path) == CHAIN[:1]


def test_reading_changes_nothing_on_the_disk(tmp_path: Path) -> None:
    """Another process may be in the middle of writing the last line."""
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-7])
    before = path.stat()
    assert read(path) == CHAIN[:3]
    assert (path.stat().st_ino, path.stat().st_size) == (before.st_ino, before.st_size)


def test_growth_by_another_process_is_seen(tmp_path: Path) -> None:
    path = written(tmp_path, CHAIN[:2])
    reader = Ledger(path, FEDERATION)
    assert len(reader.records()) == 2
    Ledger(path, FEDERATION).append(CHAIN[2])
    assert list(reader.records()) == CHAIN[:3]
