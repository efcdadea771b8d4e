"""Private baselines: the same steps and the same budget for every method, each by its own plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, MetricRecord, RecordDict

from clients.privacy.accounting.mechanism import Mechanism
from srflm_flower.comparison import baseline_app
from srflm_flower.comparison.best_global import BestGlobal
from srflm_flower.comparison.left_out import without
from srflm_flower.comparison.methods import (
    MethodResult,
    run_baseline,
    run_srflm,
)
from srflm_flower.comparison.private_plans import at_seed, for_baseline, for_fixed_server
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.comparison.summary import tabulate
from srflm_flower.comparison.tables import spent_note
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes
from srflm_flower.federation.preflight import count_examples
from srflm_flower.run.folder import RunFolder
from strategies.weights import to_arrays
from tests.support.tiny import tiny_federation, write_tiny_npz

EPSILON, DELTA = 8.0, 1e-3
CLIENT_STEPS, SERVER_STEPS, ROUNDS = 2, 3, 2


def private_federation(folder: Path, **changes: Any) -> Federation:
    path = folder / "tiny.npz"
    if not path.exists():
        write_tiny_npz(path, per_split=(300, 36, 36))
    plain = tiny_federation(folder, ("a", "b", "c"))
    vendors = [{"name": name, "size": 100} for name in plain.roster]
    return with_changes(
        plain,
        vendors=vendors,
        run__rounds=ROUNDS,
        privacy__unit="record",
        privacy__epsilon=EPSILON,
        privacy__delta=DELTA,
        privacy__batch_size=16,
        privacy__client_steps=CLIENT_STEPS,
        privacy__server_steps=SERVER_STEPS,
        privacy__metrics="exact",
        **changes,
    )


@pytest.fixture(scope="module")
def srflm(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Federation, MethodResult, StepBudget]:
    folder = tmp_path_factory.mktemp("private")
    federation = at_seed(private_federation(folder, aggregation__moving_average=0.7), 66)
    return folder, federation, *run_srflm(federation, folder / "srflm")


def uses(folder: Path, vendor: str) -> list[tuple[str, Mechanism]]:
    books = RunFolder(folder).privacy_ledger(vendor).books()
    return [(use.purpose, use.mechanism) for dataset in books.sizes for use in books.uses(dataset)]


def total_steps(folder: Path, vendor: str) -> int:
    return sum(mechanism.steps for _, mechanism in uses(folder, vendor))


@pytest.mark.slow
def test_another_seed_gets_the_sizes_of_its_own_division_and_noise_to_match(
    tmp_path: Path,
) -> None:
    federation = private_federation(tmp_path)
    planned = at_seed(federation, 66)
    counts = count_examples(planned)
    assert [member.size for member in planned.vendors] == [counts[v].train for v in planned.roster]
    assert [member.size for member in planned.vendors] != [100, 100, 100]
    assert all(member.client_noise for member in planned.vendors)
    assert planned.seed == 66 and planned.server_terms == 1


def test_federation_without_privacy_only_gets_the_seed(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    assert at_seed(federation, 7) == with_changes(federation, seed=7)
    assert for_baseline(federation, StepBudget(rounds=())) is federation
    assert for_fixed_server(federation, "a") is federation


@pytest.mark.parametrize(
    "method", ["fedavg", "fedavg-finetuned", "fedprox", "fedbn", "cyclic", "local"]
)
@pytest.mark.slow
def test_private_baseline_takes_the_same_steps_and_spends_no_more_than_its_budget(
    srflm: tuple[Path, Federation, MethodResult, StepBudget], method: Any
) -> None:
    folder, federation, ours, budget = srflm
    result = run_baseline(method, federation, folder / method, budget, 0.1)
    assert result.steps == ours.steps == budget.total == ROUNDS * (2 * CLIENT_STEPS + SERVER_STEPS)
    for result_of in (ours, result):
        assert result_of.epsilon is not None
        assert 0.85 * EPSILON < result_of.epsilon <= EPSILON
    for vendor in federation.roster:
        assert total_steps(folder / method, vendor) == total_steps(folder / "srflm", vendor)
        assert {purpose for purpose, _ in uses(folder / method, vendor)} == {"client"}


@pytest.mark.slow
def test_fixed_server_serves_every_round_within_its_budget(
    srflm: tuple[Path, Federation, MethodResult, StepBudget],
) -> None:
    folder, federation, ours, budget = srflm
    result = run_baseline("fixed-server", federation, folder / "fixed-server", budget, 0.1)
    server = federation.roster[0]
    assert [purpose for purpose, _ in uses(folder / "fixed-server", server)] == ["server"] * ROUNDS
    assert result.steps == ours.steps
    assert result.epsilon is not None and result.epsilon <= EPSILON


@pytest.mark.slow
def test_servers_by_turn_stay_within_their_budgets(
    srflm: tuple[Path, Federation, MethodResult, StepBudget],
) -> None:
    folder, federation, ours, budget = srflm
    result = run_baseline("round-robin", federation, folder / "round-robin", budget, 0.1)
    assert result.steps == ours.steps
    assert result.epsilon is not None and result.epsilon <= EPSILON


@pytest.mark.slow
def test_federation_without_a_vendor_is_planned_for_those_that_remain(tmp_path: Path) -> None:
    federation = with_changes(private_federation(tmp_path), run__rounds=3)
    remaining, left_out = without(federation, 66, "b")
    sizes = {member.name: member.size for member in at_seed(federation, 66).vendors}
    assert {member.name: member.size for member in remaining.vendors} == {
        name: sizes[name] for name in ("a", "c")
    }
    # Three terms need two turns of one of two vendors.
    assert (left_out.whole.server_terms, remaining.server_terms) == (1, 2)
    assert all(member.client_noise for member in remaining.vendors)
    result, budget = run_srflm(remaining, tmp_path / "srflm", left_out)
    assert len(budget.rounds) == 3, "the cap ends no run early"
    assert result.epsilon is not None and result.epsilon <= EPSILON
    assert result.held_out is not None


@pytest.mark.slow
def test_pooled_is_not_private_and_the_table_says_so(
    srflm: tuple[Path, Federation, MethodResult, StepBudget],
) -> None:
    folder, federation, ours, budget = srflm
    pooled = run_baseline("pooled", federation, folder / "pooled", budget, 0.1)
    assert pooled.epsilon is None
    table = tabulate(["srflm", "pooled"], [ours, pooled])
    assert list(table) == ["srflm", "pooled (not private)"]
    note = spent_note(federation, [ours, pooled])
    assert "srflm 7." in note and "pooled" not in note


def test_without_privacy_no_epsilon_is_mentioned() -> None:
    plain = MethodResult(
        method="pooled", seed=1, steps=1, personalised={"a": 1.0}, global_own=None, global_all=None
    )
    assert list(tabulate(["pooled"], [plain])) == ["pooled"]
    assert spent_note(Federation(), [plain]) == ""


@pytest.mark.slow
def test_baseline_plans_noise_for_its_own_steps(tmp_path: Path) -> None:
    federation = at_seed(private_federation(tmp_path), 66)
    few = for_baseline(federation, StepBudget(rounds=({"a": 2, "b": 2, "c": 0},)))
    many = for_baseline(federation, StepBudget(rounds=({"a": 40, "b": 2, "c": 0},)))
    noise = [federation_.member("a").client_noise or 0.0 for federation_ in (few, many)]
    assert noise[0] < noise[1]
    assert few.member("b").client_noise == many.member("b").client_noise
    assert few.member("c").client_noise == federation.member("c").client_noise


@pytest.mark.slow
def test_local_and_fedavg_try_the_moving_average_too(
    srflm: tuple[Path, Federation, MethodResult, StepBudget],
) -> None:
    folder, federation, _, budget = srflm
    expected = {"fedavg": {"average", "local-average"}, "local": {"local-average"}}
    for method, kinds in expected.items():
        out = folder / f"average-{method}"
        run_baseline(method, federation, out, budget, 0.1)  # type: ignore[arg-type]
        found = [path.stem for path in out.rglob("*average.safetensors")]
        assert sorted(found) == sorted([*kinds] * len(federation.roster))


def _told(keeper: BestGlobal, number: int, value: float | None, weight: float) -> None:
    record = MetricRecord({baseline_app.SELECTED: float("nan") if value is None else value})
    keeper.aggregate([RecordDict({"metrics": record})], "")
    keeper.consider(number, _arrays(weight))


def _arrays(weight: float) -> ArrayRecord:
    return to_arrays({"w": np.array([float(weight)])})


def test_global_model_of_a_baseline_is_the_best_the_latest_or_the_average() -> None:
    best, latest, average = BestGlobal(), BestGlobal(), BestGlobal(decay=0.5)
    for number, value in enumerate((0.2, 0.9, 0.3), start=1):
        _told(best, number, value, number)
        _told(latest, number, None, number)
        _told(average, number, value, number)
        average.consider(number, _arrays(100.0))  # within a cycle nothing was evaluated
    found = [keeper.weights for keeper in (best, latest, average)]
    assert [each["w"][0] for each in found if each is not None] == pytest.approx(
        [2.0, 3.0, (4 * 3 + 2 * 2 + 1) / 7]
    )


@pytest.mark.slow
def test_run_folder_of_a_private_baseline_says_its_plan(
    srflm: tuple[Path, Federation, MethodResult, StepBudget],
) -> None:
    folder, federation, _, budget = srflm
    run_baseline("local", federation, folder / "plan", budget, 0.1)
    stored = load_federation(folder / "plan" / "federation.toml")
    assert stored == for_baseline(federation, budget)
