"""The protocol on a federation in memory: somebody fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message

from clients.learner import Learner
from srflm_flower.federation.loading import with_changes
from srflm_flower.run.memory_grid import Deliver
from strategies.errors import TrainingDiverged
from strategies.protocol import messages as wire
from strategies.weights import Model
from tests.support.faults import (
    at,
    raising_at,
    reply_lost_at,
    silent_at,
)
from tests.support.rotating import ALL_KINDS, run_in
from tests.support.tiny import conduct, records_of


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
        [update] = wire.models_in(reply.content).values()
        weights = dict(update.weights)
        first = next(iter(weights))
        if damage == "nan":
            weights[first] = np.full_like(weights[first], np.nan)
        elif damage == "shape":
            weights[first] = np.zeros((1, 2), np.float32)
        else:
            del weights[first]
        changed = Model.of(weights)
        noun = wire.unpack(reply, wire.Reply).model_copy(update={"update": changed.hash})
        return Message(wire.pack(noun, [changed]), reply_to=message)

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
    longer = with_changes(federation, run__rounds=4)
    run.federation_file.write_text(longer.to_toml(), encoding="utf-8")
    conduct(run)
    assert [r.hash for r in records_of(run, "c")] == [r.hash for r in records_of(run)]


def test_commit_whose_replies_are_lost_for_a_minority_is_committed(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    assert conduct(run, reply_lost_at(at("d", [wire.COMMIT]))).status == "completed"
    assert [r.hash for r in records_of(run, "d")] == [r.hash for r in records_of(run)]
