"""Liars in a simulated run: they lie in both roles, and nobody else is changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clients.learner import Learner
from clients.training import Work
from srflm_flower.attacks.lying_sites import TakenOver, fooled, lying_learner
from srflm_flower.attacks.poisoning import KINDS, Attack, Kind
from srflm_flower.attacks.resilience import (
    FEDAVG,
    PLAIN,
    Case,
    Outcome,
    as_table,
    compare_under_attack,
    defences,
    defended,
    run_case,
)
from srflm_flower.run.simulated_site import SimulatedSite
from srflm_flower.site.site import Site
from strategies.errors import RunFolderError
from strategies.settings import Role
from strategies.weights import Weights
from tests.support.tiny import new_run, tiny_federation

WORK = Work(learning_rate=0.05, epochs=1)


@pytest.fixture
def sites(tmp_path: Path) -> list[Site]:
    run = new_run(tiny_federation(tmp_path), tmp_path / "run")
    found = (SimulatedSite.at(run.path, n) for n in range(4))
    return [each.site() for each in found if each is not None]


def change(start: Weights, end: Weights) -> np.ndarray:
    return np.concatenate([(end[name] - start[name]).ravel() for name in sorted(start)])


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("kind", KINDS)
def test_liar_lies_in_both_roles(sites: list[Site], kind: Kind, role: Role) -> None:
    honest, start = sites[3].learner, sites[3].initial.weights
    true = honest.train(start, WORK, role, 1)
    lied = lying_learner(honest, Attack(kind)).train(start, WORK, role, 1)
    ours, theirs = change(start, true.weights), change(start, lied.weights)
    assert (lied.steps, lied.examples) == (true.steps, true.examples)
    if kind in ("sign-flip", "scaled"):
        assert lied.loss == true.loss, "trained as an honest one"
        variances = kind == "scaled"  # those may be cut off
        factor = -1 if kind == "sign-flip" else 10
        share = np.isclose(theirs, factor * ours, atol=1e-4).mean()
        assert share > (0.98 if variances else 0.999)
    else:
        assert not np.allclose(ours, theirs)


def test_only_the_last_sites_are_taken_over_and_their_evaluation_data_stay_true(
    sites: list[Site],
) -> None:
    before = [site.learner for site in sites]
    TakenOver(Attack("label-flip", 2)).before(sites)
    after = [site.learner for site in sites]
    assert [a is b for a, b in zip(before, after, strict=True)] == [True, True, False, False]
    assert all(a.data.test is b.data.test for a, b in zip(before, after, strict=True))
    assert all(a.data.validation is b.data.validation for a, b in zip(before, after, strict=True))


def test_success_counts_the_honest_vendors_images_of_other_classes(sites: list[Site]) -> None:
    weights = dict(sites[0].initial.weights)
    (bias,) = [name for name in weights if weights[name].shape == (3,)]  # of the last layer
    always = {**weights, bias: np.array([1e4, 0, 0], dtype=np.float32)}
    learner: Learner = sites[0].learner
    led, tried = fooled(learner, always)
    assert led == tried > 0
    assert tried < len(learner.data.test), "images of the target class do not count"
    attack = TakenOver(Attack("backdoor"))
    assert attack.success(sites, always) == 1.0
    assert TakenOver(Attack("scaled")).success(sites, always) is None


def test_rules_are_adapted_to_the_number_of_vendors(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    assert defences(federation) == (PLAIN, "trimmed-mean", "krum", FEDAVG)
    assert defences(federation, 0.1)[3] == "guard"
    trimmed = defended(federation, "trimmed-mean").aggregation
    assert (trimmed.trim, trimmed.guard) == (0.34, None)
    assert defended(federation, "krum").aggregation.faulty == 0
    assert defended(federation, "guard", 0.2).aggregation.guard == 0.2
    assert defences(tiny_federation(tmp_path, ("a", "b", "c"))) == (PLAIN, FEDAVG)


def test_cases_are_run_once_and_fedavg_has_the_steps_of_the_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = tiny_federation(tmp_path, run__rounds=2)
    attack, folder = Attack("backdoor"), tmp_path / "out"
    folder.mkdir()
    found: dict[Case, Outcome] = {}
    for each in (None, attack):
        case, outcome = run_case(federation, Case(PLAIN, each, 1), folder, None, None)
        found[case] = outcome
    budget = found[Case(PLAIN, None, 1)].budget
    for each in (None, attack):
        case, outcome = run_case(federation, Case(FEDAVG, each, 1), folder, None, budget)
        found[case] = outcome
    assert len({outcome.result.steps for outcome in found.values()}) == 1
    success = {case.attack is None: o.result.success for case, o in found.items()}
    assert success[True] is None
    assert success[False] is not None
    assert len(found[Case(PLAIN, None, 1)].terms) == 2
    text = as_table(found, attack, (PLAIN, FEDAVG), federation.roster)
    assert text.count("0 of 1") == 2
    assert text.count("\n") == 4

    def never(*work: object, **named: object) -> None:
        raise AssertionError("it is there already")

    monkeypatch.setattr("srflm_flower.attacks.resilience.run_srflm", never)
    again = run_case(federation, Case(PLAIN, attack, 1), folder, None, None)
    assert again[1] == found[Case(PLAIN, attack, 1)]
    with pytest.raises(AssertionError, match="already"):  # other rounds are another case
        changed = tiny_federation(tmp_path, run__rounds=3)
        run_case(changed, Case(PLAIN, attack, 1), folder, None, None)


def test_folder_with_anything_else_is_neither_taken_nor_emptied(tmp_path: Path) -> None:
    case = Case(PLAIN, None, 1)
    other = tmp_path / case.name / "notes.txt"
    other.parent.mkdir()
    other.write_text("somebody's own")
    with pytest.raises(RunFolderError, match="another comparison"):
        run_case(tiny_federation(tmp_path, run__rounds=1), case, tmp_path, None, None)
    assert other.read_text() == "somebody's own"


@pytest.mark.slow
def test_comparison_in_processes_runs_what_fedavg_needs(tmp_path: Path) -> None:
    federation, seen = tiny_federation(tmp_path, run__rounds=1), list[str]()
    cases = [Case(FEDAVG, Attack("scaled"), 1)]
    out = tmp_path / "out"
    found = compare_under_attack(federation, cases, out, 1, lambda c, o: seen.append(c.name))
    assert seen == ["mean-none-1", "fedavg-scaled-1-1"]
    assert set(found) == {*cases, Case(PLAIN, None, 1)}
