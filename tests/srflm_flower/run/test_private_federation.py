"""Differential privacy through the whole product: what was spent is known, and suffices."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message

from clients import learner as learners
from clients.data.sources import load_vendor_data
from clients.privacy.accounting.accounting import epsilon
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.ledger import PrivacyLedger
from deploy.site.privacy_files import site_ledger
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.memory_grid import Deliver
from srflm_flower.site.privacy import PrivacyAccount
from strategies.errors import PrivacyError
from strategies.protocol import messages as wire
from tests.support.deployed import DeployedFederation
from tests.support.tiny import (
    DELTA,
    NAMES,
    SIZE,
    conduct,
    new_run,
    private,
    records_of,
    write_tiny_npz,
)


def ledgers(run: RunFolder) -> dict[str, float]:
    """Return each vendor's ε over what it has trained, from its own ledger."""
    spent = {}
    for vendor in NAMES:
        books = run.privacy_ledger(vendor).books()
        training = [
            use.mechanism
            for name in books.sizes
            for use in books.uses(name)
            if use.purpose in ("client", "server")
        ]
        spent[vendor] = epsilon(training, DELTA)
    return spent


def test_records_say_what_was_spent_in_both_roles(tmp_path: Path) -> None:
    run = new_run(private(tmp_path, run__rounds=4), tmp_path / "run")
    conduct(run)
    client, server = Mechanism(2.0, 8 / SIZE, 2), Mechanism(3.0, 8 / SIZE, 3)
    served = dict.fromkeys(NAMES, 0)
    for record in records_of(run):
        served[record.server] += 1
        for vendor, told in record.privacy.items():
            history = [client] * (record.term - served[vendor]) + [server] * served[vendor]
            assert told.epsilon == pytest.approx(epsilon(history, DELTA), abs=0.01)
    last = records_of(run)[-1].privacy
    assert {v: told.epsilon for v, told in last.items()} == pytest.approx(ledgers(run), abs=0.01)


def test_run_ends_by_itself_before_the_budget_does(tmp_path: Path) -> None:
    run = new_run(private(tmp_path, run__rounds=20, privacy__epsilon=1.6), tmp_path / "run")
    summary = conduct(run)
    records = records_of(run)
    assert 2 <= len(records) < 20
    assert summary.status == "completed"
    assert "ended: " in summary.what_happened and "privacy budget left" in summary.what_happened
    assert all(spent <= 1.6 for spent in ledgers(run).values())
    assert not all(each.can_train for each in records[-1].privacy.values())


@pytest.mark.slow
def test_vendor_that_cannot_train_any_more_still_evaluates(tmp_path: Path) -> None:
    sizes = [{"name": name, "size": SIZE} for name in NAMES]
    sizes[2]["client_noise"] = sizes[2]["server_noise"] = 0.8
    federation = private(tmp_path, vendors=sizes, run__rounds=5, privacy__epsilon=9.0)
    run = new_run(federation, tmp_path / "run")
    conduct(run)
    last = records_of(run)[-1]
    assert not last.privacy["c"].can_train and last.privacy["a"].can_train
    assert "c" not in last.clients and last.server != "c"
    assert ("c", PrivacyError.BUDGET_SPENT) in {(a.vendor, a.code) for a in last.absences}
    assert "c" in last.metrics, "it evaluates"
    assert ledgers(run)["c"] <= 9.0


def test_what_breaks_off_stays_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, broken = learners.train_privately, []

    def breaking(*arguments: object, **named: object) -> object:
        if not broken:
            broken.append(True)
            raise RuntimeError("the power is gone")
        return train(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(learners, "train_privately", breaking)
    run = new_run(private(tmp_path, run__rounds=2), tmp_path / "run")
    conduct(run)
    books = [run.privacy_ledger(vendor).books() for vendor in NAMES]
    assert sum(len(each.unsettled) for each in books) == 1
    uses = [
        len([u for name in b.sizes for u in b.uses(name) if u.purpose != "metrics"]) for b in books
    ]
    assert sorted(uses) == [2, 2, 2], "the one that broke off counts as well"


def test_update_that_is_sent_again_spends_nothing(tmp_path: Path) -> None:
    failed: list[int] = []

    def losing(message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        if message.metadata.message_type == wire.FINETUNE and not failed:
            failed.append(message.metadata.dst_node_id)
            return None
        return reply

    run = new_run(private(tmp_path, run__rounds=1, run__work_deadline=0.5), tmp_path / "run")
    conduct(run, losing)
    (record,) = records_of(run)
    assert record.attempt == 1
    for vendor in NAMES:
        books = run.privacy_ledger(vendor).books()
        rounds = [u.purpose for name in books.sizes for u in books.uses(name)]
        assert rounds.count("client") <= 1 and rounds.count("server") <= 1


def test_only_public_numbers_and_noisy_metrics_leave(tmp_path: Path) -> None:
    replies: list[wire.Reply] = []

    def listening(message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        assert reply is not None
        replies.append(wire.unpack(reply, wire.Reply))
        return reply

    run = new_run(private(tmp_path, run__rounds=1), tmp_path / "run")
    conduct(run, listening)
    ballots = [reply.ballot for reply in replies if reply.ballot is not None]
    assert {ballot.examples for ballot in ballots} == {SIZE}
    told = {(n, m) for reply in replies for n, each in reply.metrics.items() for m in each}
    assert told and {metric for _, metric in told} == {"accuracy", "examples"}
    assert "personalised" not in {name for name, _ in told}
    assert not run.models.joinpath("a.safetensors").exists(), "chosen by records: it stays"


def test_withheld_metrics_leave_no_trace(tmp_path: Path) -> None:
    federation = private(tmp_path, run__rounds=2, privacy__metrics="withheld")
    run = new_run(federation, tmp_path / "run")
    conduct(run)
    assert all(record.metrics == {} for record in records_of(run))
    assert run.global_model.exists()


def test_patients_are_drawn_and_counted_where_they_are_protected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, units = learners.train_privately, []

    def watched(*arguments: object, **named: object) -> object:
        units.append(len(set(named["groups"].tolist())))  # type: ignore[attr-defined]
        return train(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(learners, "train_privately", watched)
    vendors = [
        {"name": name, "size": SIZE, "path": write_patients(tmp_path / f"{name}.npz", seed)}
        for seed, name in enumerate(NAMES)
    ]
    federation = private(
        tmp_path,
        data={"source": "files"},
        vendors=vendors,
        run__rounds=1,
        privacy__unit="patient",
        privacy__metrics="withheld",
    )
    run = new_run(federation, tmp_path / "run")
    conduct(run)
    assert units == [SIZE] * 3
    for vendor in NAMES:
        books = run.privacy_ledger(vendor).books()
        ((dataset, records),) = books.sizes.items()
        assert records == 3 * SIZE
        assert {(u.unit, u.mechanism.sample_rate) for u in books.uses(dataset)} == {
            ("patient", 8 / SIZE)
        }
    assert ledgers(run) == pytest.approx(
        {v: told.epsilon for v, told in records_of(run)[0].privacy.items()}, abs=0.01
    )


def test_images_without_names_of_patients_are_not_protected_by_patient(tmp_path: Path) -> None:
    path = write_tiny_npz(tmp_path / "a.npz")
    federation = private(
        tmp_path,
        data={"source": "files"},
        vendors=[{"name": name, "size": SIZE, "path": path} for name in NAMES],
        privacy__unit="patient",
        privacy__metrics="withheld",
    )
    account = PrivacyAccount(PrivacyLedger(tmp_path / "l" / "privacy.sqlite", tmp_path / "anchor"))
    with pytest.raises(PrivacyError, match="without the names of their patients"):
        account.spender(federation, "a", load_vendor_data(federation.data_plan(), "a"))


def write_patients(path: Path, seed: int) -> Path:
    """Write a file in which every patient has three images."""
    counts = 3 * SIZE, 18, 18
    arrays = dict(np.load(write_tiny_npz(path, seed, counts)))
    for split, first, count in zip(("train", "val", "test"), (0, 100, 200), counts, strict=True):
        arrays[f"{split}_patients"] = first + np.arange(count) // 3
    np.savez(path, **arrays)
    return path


# ---- deployed sites --------------------------------------------------------------------------


@pytest.fixture
def sites(tmp_path: Path) -> DeployedFederation:
    federation = DeployedFederation(tmp_path / "f", private(tmp_path))
    federation.order("a", rounds=9)
    return federation


def with_policy(sites: DeployedFederation, vendor: str, table: str) -> None:
    path = sites.folders[vendor] / "site.toml"
    path.write_text(path.read_text() + f"{table}\n")  # its last table is [privacy]


def test_site_that_asks_for_more_noise_takes_no_part(sites: DeployedFederation) -> None:
    with_policy(sites, "c", "min-noise = 2.5")
    sites.turn()
    (record,) = sites.records("a")
    assert record.clients == ("b",)
    assert ("c", PrivacyError.POLICY) in {(a.vendor, a.code) for a in record.absences}
    assert not record.privacy["c"].can_train and record.privacy["c"].can_serve


@pytest.mark.slow
def test_site_with_a_smaller_budget_stops_before_the_others(sites: DeployedFederation) -> None:
    with_policy(sites, "c", "max-epsilon = 1.2")
    for _ in range(4):
        sites.turn()
    last = sites.records("a")[-1].privacy
    assert last["c"].epsilon <= 1.2 < last["a"].epsilon


def test_site_without_its_ledger_does_not_train(sites: DeployedFederation) -> None:
    sites.turn()
    owner = sites.folders["c"] / "owner"
    copy = shutil.copytree(owner, owner.with_name("copy"))
    sites.turn()
    (owner / "privacy.sqlite").unlink()
    assert ("c", PrivacyError.LEDGER_MISSING) in absences_of_next(sites)
    shutil.copy(copy / "privacy.sqlite", owner)
    assert ("c", PrivacyError.LEDGER_ROLLED_BACK) in absences_of_next(sites)
    shutil.copy(copy / "privacy.anchor", owner)  # the witness beside the site's keys is newer
    assert ("c", PrivacyError.LEDGER_ROLLED_BACK) in absences_of_next(sites)


def test_site_restored_as_a_whole_from_an_old_copy_is_told_by_the_records(
    sites: DeployedFederation,
) -> None:
    sites.turn()
    folder = sites.folders["c"]
    copy = shutil.copytree(folder, folder.with_name("copy"))
    sites.turn()
    sites.turn()
    shutil.rmtree(folder)
    copy.rename(folder)
    assert ("c", PrivacyError.LEDGER_ROLLED_BACK) in absences_of_next(sites)
    books = site_ledger(sites.site("c").settings).books()
    assert len([u for name in books.sizes for u in books.uses(name) if u.term > 1]) == 0


def absences_of_next(sites: DeployedFederation) -> set[tuple[str, str]]:
    before = len(sites.records("a"))
    while len(sites.records("a")) == before:
        sites.turn()
    return {(a.vendor, a.code) for a in sites.records("a")[-1].absences}


def test_privacy_outlives_runs_and_federations(sites: DeployedFederation) -> None:
    sites.turn()
    before = site_ledger(sites.site("b").settings).books()
    (dataset, *_) = before.sizes
    spent = epsilon(before.history(dataset), DELTA)
    sites.order("a", rounds=1, number=2)  # ends the run
    sites.order("a", rounds=5, number=3)
    sites.turn()
    after = site_ledger(sites.site("b").settings).books()
    assert epsilon(after.history(dataset), DELTA) > spent
