"""The protocol on a federation in memory, with injected faults."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message

from clients.learner import Learner
from srflm_flower import messages as wire
from srflm_flower.errors import FederationStopped, MessageRefused, TrainingDiverged
from srflm_flower.memory_grid import Deliver
from srflm_flower.model_file import read_model_file
from srflm_flower.run_folder import RunFolder
from srflm_flower.weights import from_arrays, to_arrays
from tests.support.faults import (
    Crash,
    at,
    crash_at_message,
    delivered_twice,
    node_of,
    raising_at,
    reply_lost_at,
    silent_at,
)
from tests.support.tiny import VENDORS, conduct, new_run, records_of, tiny_federation

ALL_KINDS = (
    wire.OPEN,
    wire.TRAIN,
    wire.RECALL,
    wire.FINETUNE,
    wire.EVALUATE,
    wire.ACCEPT,
    wire.COMMIT,
    wire.SHARE,
)


def run_in(folder: Path, name: str = "run", **changes: object) -> RunFolder:
    return new_run(tiny_federation(folder, **changes), folder / name)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = run_in(tmp_path_factory.mktemp("unbroken"))
    conduct(run)
    return run


def same_outcome(run: RunFolder, other: RunFolder) -> None:
    """The same servers, and the same weights within 1e-6."""
    ours, theirs = records_of(run), records_of(other)
    assert [r.server for r in ours] == [r.server for r in theirs]
    assert [r.ballots for r in ours] == [r.ballots for r in theirs]
    for path in sorted(other.models.iterdir()):
        mine, expected = read_model_file(run.models / path.name), read_model_file(path)
        for name, array in expected.weights.items():
            np.testing.assert_allclose(mine.weights[name], array, rtol=0, atol=1e-6)


# ---- everybody is there ----------------------------------------------------------------------


def test_every_site_ends_with_the_same_ledger(unbroken: RunFolder) -> None:
    hashes = [record.hash for record in records_of(unbroken)]
    assert len(hashes) == 3
    for vendor in VENDORS:
        assert [record.hash for record in records_of(unbroken, vendor)] == hashes


def test_server_is_the_first_of_the_ranking_before(unbroken: RunFolder) -> None:
    records = records_of(unbroken)
    assert records[0].server == "a"
    for before, after in itertools.pairwise(records):
        assert after.server == before.ranking[0]


def test_clients_are_all_but_the_server(unbroken: RunFolder) -> None:
    for record in records_of(unbroken):
        assert set(record.clients) == set(VENDORS) - {record.server}
        assert set(record.ballots) == set(VENDORS)


def test_stale_server_is_left_out_until_it_has_been_a_client(unbroken: RunFolder) -> None:
    assert [record.stale_server for record in records_of(unbroken)] == [False, True, True]


def test_no_weights_travel_to_clients_for_training(tmp_path: Path) -> None:
    sent: list[tuple[str, int]] = []

    def spy(message: Message, deliver: Deliver) -> Message | None:
        sent.append((message.metadata.message_type, len(wire.models_in(message))))
        return deliver(message)

    conduct(run_in(tmp_path), spy)
    assert {models for kind, models in sent if kind in (wire.TRAIN, wire.COMMIT)} == {0}
    assert {models for kind, models in sent if kind == wire.FINETUNE} == {1}


def test_rounds_per_term_keep_the_server_for_several_rounds(tmp_path: Path) -> None:
    run = run_in(tmp_path, rounds_per_term=2, run__rounds=4)
    conduct(run)
    records = records_of(run)
    assert [(r.term, r.round, r.server) for r in records] == [(1, 2, "a"), (2, 4, "b")]
    assert records[0].steps["b"] > 0 and records[0].steps["a"] > records[0].steps["b"] / 2


def test_message_delivered_twice_changes_nothing(tmp_path: Path, unbroken: RunFolder) -> None:
    run = run_in(tmp_path)
    conduct(run, delivered_twice)
    same_outcome(run, unbroken)


# ---- somebody fails --------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["a", "b"])
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_vendor_that_raises_in_a_phase_does_not_stop_the_run(
    tmp_path: Path, vendor: str, kind: str
) -> None:
    run = run_in(tmp_path)
    summary = conduct(run, raising_at(at(vendor, [kind])))
    assert summary.status == "completed"
    assert len(records_of(run)) == 3


def test_vendor_that_raises_in_every_phase_is_left_out_and_named(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    summary = conduct(run, raising_at(at("b")))
    records = records_of(run)
    assert len(records) == 3
    assert all(record.server != "b" and "b" not in record.clients for record in records)
    assert all(any(a.vendor == "b" for a in record.absences) for record in records)
    assert summary.vendors["b"].terms_missed == (1, 2, 3)
    assert "b missed terms 1–3" in summary.what_happened


def test_server_that_fails_in_finetuning_hands_over_to_the_next_in_the_ranking(
    tmp_path: Path,
) -> None:
    run = run_in(tmp_path)
    summary = conduct(run, raising_at(at("a", [wire.FINETUNE], term=1)))
    first = records_of(run)[0]
    assert (first.term, first.attempt, first.server) == (1, 1, "b")
    assert [(a.vendor, a.phase, a.attempt) for a in first.absences] == [("a", "finetune", 0)]
    assert "stood in" in summary.what_happened


def test_clients_do_not_train_again_for_the_vendor_that_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, str, int]] = []
    train = Learner.train

    def counting(self, weights, work, role, round_number, *more):
        trained.append((self.vendor, role, round_number))
        return train(self, weights, work, role, round_number, *more)

    monkeypatch.setattr(Learner, "train", counting)
    conduct(run_in(tmp_path), raising_at(at("a", [wire.FINETUNE], term=1)))
    assert len(trained) == len(set(trained))


def test_error_texts_of_flower_do_not_reach_the_records(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    conduct(run, raising_at(at("c", [wire.TRAIN])))
    assert b"patient" not in run.ledger.read_bytes()


def test_vendor_whose_loss_is_not_finite_is_dropped_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = Learner.train

    def diverging(self, weights, work, role, round_number, *more):
        if self.vendor == "c":
            raise TrainingDiverged("a loss of nan", "finite numbers", "lower the learning rate")
        return train(self, weights, work, role, round_number, *more)

    monkeypatch.setattr(Learner, "train", diverging)
    run = run_in(tmp_path)
    summary = conduct(run)
    assert summary.status == "completed"
    for record in records_of(run):
        assert "c" not in record.ballots
        codes = {absence.code for absence in record.absences if absence.vendor == "c"}
        assert codes == set(TrainingDiverged.codes)


@pytest.mark.parametrize("damage", ["nan", "shape", "missing"])
def test_update_that_cannot_be_used_is_dropped(tmp_path: Path, damage: str) -> None:
    def damaging(message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        if reply is None or not at("c", [wire.TRAIN])(message):
            return reply
        name, arrays = next(iter(wire.models_in(reply).items()))
        weights = from_arrays(arrays)
        first = next(iter(weights))
        if damage == "nan":
            weights[first] = np.full_like(weights[first], np.nan)
        elif damage == "shape":
            weights[first] = np.zeros((1, 2), np.float32)
        else:
            del weights[first]
        noun = wire.unpack(reply, wire.Reply)
        return Message(wire.pack(noun, {name: to_arrays(weights)}), reply_to=message)

    run = run_in(tmp_path)
    assert conduct(run, damaging).status == "completed"
    assert all("c" not in record.clients for record in records_of(run))


def test_vendor_that_missed_terms_catches_up(tmp_path: Path) -> None:
    run = run_in(tmp_path, run__rounds=4)
    fault = silent_at(lambda m: any(at("d", term=term)(m) for term in (1, 2)))
    summary = conduct(run, fault)
    assert summary.vendors["d"].terms_missed == (1, 2)
    assert [r.hash for r in records_of(run, "d")] == [r.hash for r in records_of(run)]
    assert "d" in records_of(run)[2].clients


def test_site_that_lost_its_state_comes_back(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    federation = run.federation()
    conduct(run)
    (run.site("c") / "ledger.sqlite").unlink()
    longer = federation.changed(run__rounds=4)
    run.federation_file.write_text(longer.to_toml(), encoding="utf-8")
    conduct(run)
    assert [r.hash for r in records_of(run, "c")] == [r.hash for r in records_of(run)]


def test_commit_whose_replies_are_lost_for_a_minority_is_committed(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    assert conduct(run, reply_lost_at(at("d", [wire.COMMIT]))).status == "completed"
    assert [r.hash for r in records_of(run, "d")] == [r.hash for r in records_of(run)]


# ---- too many fail ---------------------------------------------------------------------------


def test_run_stops_clearly_without_a_majority_and_keeps_what_is_committed(tmp_path: Path) -> None:
    run = run_in(tmp_path)

    def two_vanish(message: Message) -> bool:
        return any(at(v, term=term)(message) for v in "cd" for term in (2, 3, 4))

    with pytest.raises(FederationStopped) as stopped:
        conduct(run, silent_at(two_vanish))
    assert stopped.value.code == FederationStopped.NO_MAJORITY
    assert [record.term for record in records_of(run)] == [1]
    assert '"status": "stopped"' in run.summary.read_text()
    assert run.report.exists()


def test_stopped_run_goes_on_when_the_vendors_are_back(tmp_path: Path, unbroken: RunFolder) -> None:
    run = run_in(tmp_path)
    with pytest.raises(FederationStopped):
        conduct(run, silent_at(lambda m: any(at(v, term=2)(m) for v in "cd")))
    assert conduct(run).status == "completed"
    same_outcome(run, unbroken)


def test_run_stops_when_no_vendor_can_serve(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    with pytest.raises(FederationStopped) as stopped:
        conduct(run, raising_at(lambda m: m.metadata.message_type == wire.FINETUNE))
    assert stopped.value.code == FederationStopped.NO_SERVER
    assert records_of(run) == []


def test_run_that_failed_over_before_it_stopped_can_be_resumed(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    with pytest.raises(FederationStopped):
        conduct(run, raising_at(lambda m: m.metadata.message_type == wire.FINETUNE))
    assert conduct(run).status == "completed"
    assert records_of(run)[0].attempt > 0


def test_too_few_clients_stop_the_run(tmp_path: Path) -> None:
    run = run_in(tmp_path, aggregation__min_clients=3)
    with pytest.raises(FederationStopped, match="min-clients"):
        conduct(run, raising_at(at("d", [wire.TRAIN])))


def test_federation_larger_than_the_simulation_is_refused(tmp_path: Path) -> None:
    from srflm_flower.client_app import app
    from srflm_flower.conduct import Run
    from srflm_flower.memory_grid import MemoryGrid

    run = run_in(tmp_path)
    with pytest.raises(FederationStopped, match="num-supernodes=4") as stopped:
        Run(run, run.federation()).conduct(MemoryGrid(app, 2, run.path))
    assert stopped.value.code == FederationStopped.WRONG_SIZE


def test_nodes_beyond_the_roster_stay_idle(tmp_path: Path) -> None:
    from srflm_flower.client_app import app
    from srflm_flower.conduct import Run
    from srflm_flower.memory_grid import MemoryGrid

    run = run_in(tmp_path)
    Run(run, run.federation()).conduct(MemoryGrid(app, 7, run.path))
    assert set(records_of(run)[-1].ballots) == set(VENDORS)


# ---- a crash at any instant ------------------------------------------------------------------


@pytest.mark.parametrize("after_delivery", [False, True])
@pytest.mark.slow
def test_crash_at_any_message_loses_nothing(
    tmp_path: Path, unbroken: RunFolder, after_delivery: bool
) -> None:
    """Kill all at every few messages, resume, and compare with the unbroken run."""
    for count in itertools.count(0, 5 if after_delivery else 6):
        run = run_in(tmp_path, f"run-{count}")
        try:
            conduct(run, crash_at_message(count, after_delivery))
        except Crash:
            committed = records_of(run)
            conduct(run)
            assert records_of(run)[: len(committed)] == committed
            same_outcome(run, unbroken)
        else:
            assert count > 40  # the run has more messages than that
            break


# ---- a site need not obey --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"federation": "0" * 64}, MessageRefused.FEDERATION),
        ({"term": 7}, MessageRefused.TERM),
        ({"term": 1}, MessageRefused.TERM),
        ({"server": "d"}, MessageRefused.SERVER),
        ({"attempt": 1}, MessageRefused.SERVER),
    ],
)
def test_site_refuses_what_does_not_fit_its_view(
    tmp_path: Path, change: dict[str, object], code: str
) -> None:
    run = run_in(tmp_path)
    answers: list[wire.Reply] = []

    def forging(message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type == wire.TRAIN and message.metadata.dst_node_id == node_of(
            "c"
        ):
            work = wire.unpack(message, wire.Train)
            if work.envelope.term == 2:
                forged = work.model_copy(
                    update={"envelope": work.envelope.model_copy(update=change)}
                )
                message.content = wire.pack(forged)
                reply = deliver(message)
                assert reply is not None
                answers.append(wire.unpack(reply, wire.Reply))
                return reply
        return deliver(message)

    conduct(run, forging)
    assert {(answer.status, answer.code) for answer in answers} == {("failed", code)}


def test_model_whose_content_has_another_hash_is_refused(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    codes: set[str] = set()

    def altering(message: Message, deliver: Deliver) -> Message | None:
        sent = wire.models_in(message)
        if message.metadata.message_type != wire.EVALUATE or not sent or not at("c")(message):
            return deliver(message)
        noun = wire.unpack(message, wire.EvaluateModels)
        changed = {}
        for name, arrays in sent.items():
            weights = {key: array + 1 for key, array in from_arrays(arrays).items()}
            changed[name] = to_arrays(weights)
        message.content = wire.pack(noun, changed)
        reply = deliver(message)
        assert reply is not None
        codes.add(wire.unpack(reply, wire.Reply).code)
        return reply

    conduct(run, altering)
    assert codes == {MessageRefused.MODEL}


def test_vendor_that_trains_but_cannot_serve_has_its_turn_once_a_cycle(tmp_path: Path) -> None:
    run = run_in(tmp_path, run__rounds=9, election__by_turn_rounds=0)
    conduct(run, raising_at(at("c", [wire.FINETUNE])))
    records = records_of(run)
    assert sum(record.attempt for record in records) <= 4  # not in every term
    assert {record.server for record in records} == {"a", "b", "d"}
    served = [record.server for record in records]
    assert max(served.count(vendor) for vendor in "abd") <= 4


def test_proposal_is_committed_though_its_server_is_gone(tmp_path: Path) -> None:
    run = run_in(tmp_path)

    def crash_at_commit(message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type == wire.ACCEPT:
            raise Crash
        return deliver(message)

    with pytest.raises(Crash):
        conduct(run, crash_at_commit)
    assert records_of(run) == []
    summary = conduct(run, silent_at(at("a")))
    assert [record.term for record in records_of(run)] == [1, 2, 3]
    assert records_of(run)[0].server == "a"
    assert "no final figures from a" in summary.what_happened


def test_vendor_that_stands_in_brings_the_update_that_it_made_as_a_client(tmp_path: Path) -> None:
    run = run_in(tmp_path, run__rounds=1)
    conduct(run, raising_at(at("a", [wire.FINETUNE])))
    record = records_of(run)[0]
    assert (record.server, record.stale_server) == ("b", True)
    epoch = -(-record.ballots["b"].examples // 8)
    assert record.steps["b"] > epoch  # one epoch in either role


def test_sites_are_not_asked_again_who_is_there_after_all_have_stored_a_record(
    tmp_path: Path,
) -> None:
    opened: list[int] = []

    def spy(message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type == wire.OPEN:
            opened.append(wire.unpack(message, wire.OpenTerm).envelope.term)
        return deliver(message)

    conduct(run_in(tmp_path), spy)
    assert set(opened) == {1}
