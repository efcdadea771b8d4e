"""Rules of the federation file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.settings import NpzData
from srflm_flower.federation.federation import BUILT_IN_VENDORS, Federation
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes
from strategies.errors import ConfigurationError
from strategies.protocol.roster_change import approval_statement
from tests.support.federation_files import TWO_VENDORS, loaded

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*/*.toml"))


def test_defaults_are_a_valid_federation() -> None:
    assert Federation().roster == BUILT_IN_VENDORS
    assert built_in_federation() == Federation()


def test_empty_file_is_the_built_in_federation(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == Federation()


@pytest.mark.parametrize("vendors", [2, 4, 7, 60])
def test_built_in_federation_has_as_many_vendors_as_asked_for(vendors: int) -> None:
    roster = built_in_federation(vendors).roster
    assert len(set(roster)) == vendors
    assert roster[:2] == BUILT_IN_VENDORS[:2]


def test_built_in_federation_of_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"vendors: found 1; expected at least two"):
        built_in_federation(1)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_a_valid_federation(path: Path) -> None:
    assert len(load_federation(path).roster) >= 2


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_toml_of_an_example_loads_as_the_same_federation(tmp_path: Path, path: Path) -> None:
    federation = load_federation(path)
    again = loaded(tmp_path, federation.to_toml())
    assert again == federation
    assert again.hash == federation.hash


@given(
    seed=st.integers(0, 2**31),
    rate=st.floats(1e-9, 1e9),
    alpha=st.none() | st.floats(1e-3, 1e3),
    vendors=st.integers(2, 6),
    policy=st.sampled_from(["cycle", "score", "round-robin", "random"]),
)
def test_toml_round_trip_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    rate: float,
    alpha: float | None,
    vendors: int,
    policy: str,
) -> None:
    federation = with_changes(
        built_in_federation(vendors),
        seed=seed,
        training__learning_rate=rate,
        data__label_alpha=alpha,
        election__policy=policy,
    )
    again = loaded(tmp_path_factory.mktemp("toml"), federation.to_toml())
    assert again == federation
    assert again.hash == federation.hash


def test_toml_has_every_setting_that_is_set(tmp_path: Path) -> None:
    text = Federation().to_toml()
    for key in ("client-epochs", "include-stale-server", "work-deadline", "heterogeneity"):
        assert f"\n{key} = " in text


@pytest.mark.parametrize("data", ["clinic/x.npz", "../x.npz"])
def test_relative_paths_start_at_the_federation_file(tmp_path: Path, data: str) -> None:
    folder = tmp_path / "one" / "two"
    folder.mkdir(parents=True)
    federation = loaded(folder, f"[data]\nsource = 'npz'\npath = '{data}'")
    assert isinstance(federation.data, NpzData)
    assert federation.data.path == (folder / data).resolve()
    text = "data = {source = 'files'}\n" + TWO_VENDORS.replace("\n[", f"\npath='{data}'\n[")
    text += "path = '/there/b.npz'"
    first, second = loaded(folder, text).vendors
    assert first.path == (folder / data).resolve()
    assert second.path == Path("/there/b.npz")


def test_hash_ignores_how_long_and_where_to_compute() -> None:
    changed = with_changes(
        Federation(),
        run__rounds=99,
        run__device="cpu",
        run__mixed_precision=False,
        run__work_deadline=1,
    )
    assert changed.hash == Federation().hash


def test_hash_ignores_where_the_data_lie(tmp_path: Path) -> None:
    here, there = (
        loaded(tmp_path, f"[data]\nsource = 'npz'\npath = '{path}'") for path in ("a", "/b")
    )
    assert here.hash == there.hash
    text = "data = {source = 'files'}\n[[vendors]]\nname='a'\npath='X'\n[[vendors]]\nname='b'\n"
    text += "path='X'"
    assert loaded(tmp_path, text).hash == loaded(tmp_path, text.replace("X", "Y")).hash


LATER = {
    "edition": 2,
    "previous": "b" * 64,
    "first": {"federation": "b" * 64, "roster": BUILT_IN_VENDORS},
}
LATER_IDENTITY = "f0d94e7f692f7421180e9a8608ec169ba6241c6018239dd1bd0e7d688085af1b"
"""Of an edition 2 that says nothing of a quorum, as it was before there was a choice."""

CHANGES: list[dict[str, Any]] = [
    {"evaluate_averaged": False},
    {"bundle": "b" * 64},
    {"bundle": "b" * 64, "accepted_bundle": "c" * 64},
    {"name": "other"},
    {"seed": 66},
    {"rounds_per_term": 2, "run__rounds": 12},
    {"vendors": [{"name": "aster"}, {"name": "borealis"}]},
    {"vendors": [{"name": name} for name in reversed(BUILT_IN_VENDORS)]},
    {"task__metric": "auc"},
    {"data__heterogeneity": 0.5},
    {"data__label_alpha": 0.5},
    {"splits__test": 0.123},
    {"model__norm": "group"},
    {"training__decay": 0.123},
    {"election__loss_weight": 3.25},
    {"aggregation__rule": "krum", "aggregation__faulty": 0},
    {"privacy__epsilon": 4.0},
    {"vendors": [{"name": name, "size": 100} for name in BUILT_IN_VENDORS]},
    {"aggregation__secure_range": 32.0},
    LATER,
    {"recovered": [{"term": 3, "hash": "b" * 64}], **LATER},
    {"aggregation__moving_average": 0.5},
    {"protocol__quorum": "byzantine"},
    {"personalised__standard_errors": 1.0},
    {"personalised__own": {"epochs": 1}},
    {"personalised__fine_tuning": {"epochs": 1}},
    {"aggregation__normalisation": "at-home"},
    {"aggregation__guard": 0.1},
    {"aggregation__fine_tuned": "replaces"},
]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
def test_hash_changes_with_all_that_members_agree_on(changes: dict[str, Any]) -> None:
    assert with_changes(Federation(), **changes).hash != Federation().hash


def test_every_table_but_run_is_covered_by_the_test_above() -> None:
    covered = {name.split("__")[0] for changes in CHANGES for name in changes} - {"run"}
    assert covered == Federation.model_fields.keys() - {"run"}


@pytest.mark.parametrize("field", LATER)
def test_later_edition_without_what_came_before_is_refused(field: str) -> None:
    partial = {name: value for name, value in LATER.items() if name != field}
    with pytest.raises(ConfigurationError, match="edition: found"):
        with_changes(Federation(), **partial)
    other = LATER | {"previous": "c" * 64}
    assert with_changes(Federation(), **other).hash != with_changes(Federation(), **LATER).hash


def test_changed_federation_is_checked_anew() -> None:
    with pytest.raises(ConfigurationError, match="in the changed federation"):
        with_changes(Federation(), rounds_per_term=7, run__rounds=12)


def test_plans_carry_what_the_file_says() -> None:
    federation = with_changes(
        Federation(),
        training__client_epochs=7,
        training__server_epochs=9,
        training__batch_size=5,
        training__learning_rate=0.02,
        training__decay=0.9,
    )
    plan, data = federation.term_plan(), federation.data_plan()
    assert (plan.federation, plan.roster) == (federation.hash, federation.roster)
    assert (plan.client_epochs, plan.server_epochs) == (7, 9)
    assert (data.batch_size, data.seed, data.vendors) == (5, federation.seed, federation.vendors)
    assert [plan.learning_rate_in(r) for r in (1, 3)] == pytest.approx([0.02, 0.02 * 0.9**2])


def test_edition_says_how_many_decide_and_older_approvals_and_files_stay_valid() -> None:
    plain, byzantine = Federation(), with_changes(Federation(), protocol__quorum="byzantine")
    assert plain.as_edition.quorum == "majority"
    assert byzantine.as_edition.quorum == byzantine.term_plan().quorum == "byzantine"
    assert b"byzantine" not in approval_statement("p", plain.as_edition)
    assert b"byzantine" in approval_statement("p", byzantine.as_edition)
    guarded = with_changes(Federation(), aggregation__guard=0.0)
    assert b"guarded" not in approval_statement("p", plain.as_edition)
    assert b"guarded" in approval_statement("p", guarded.as_edition)
    later = with_changes(Federation(), **LATER)
    assert later.hash == LATER_IDENTITY
