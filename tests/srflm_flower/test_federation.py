"""Rules of the federation file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from clients.settings import NpzData
from srflm_flower.errors import ConfigurationError
from srflm_flower.federation import (
    BUILT_IN_VENDORS,
    Federation,
    built_in_federation,
    load_federation,
)

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/*.toml"))
TWO_VENDORS = '[[vendors]]\nname = "a"\n[[vendors]]\nname = "b"\n'


def loaded(folder: Path, text: str) -> Federation:
    path = folder / "federation.toml"
    path.write_text(text, encoding="utf-8")
    return load_federation(path)


def problems_of(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, text)
    return caught.value.found


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


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("rond = 3", "rond"),
        ("[run]\nround = 3", "run.round"),
        ("[data]\nsource = 'phantom'\nsize = 3", "data.size"),
        ("[election]\nserver-name = 'x'", "election.server-name"),
        (TWO_VENDORS + "colour = 'red'", "vendors.1.colour"),
        ("[data]\nsource='npz'\npath='x'\npartition={kind='dirichlet',beta=1}", "data.partition"),
    ],
)
def test_unknown_key_is_refused_by_its_full_name(tmp_path: Path, text: str, where: str) -> None:
    found = problems_of(tmp_path, text)
    assert f"  - {where}" in found
    assert "found an unknown key; expected a documented one" in found


def test_all_wrong_values_are_listed_at_once(tmp_path: Path) -> None:
    text = """
    seed = -1
    colour = "red"
    [run]
    rounds = "many"
    [training]
    learning-rate = 0
    momentum = 1.5
    [task]
    classes = ["one"]
    [model]
    network = "resnet-1000"
    """
    found = problems_of(tmp_path, text)
    assert found.startswith(f"7 problem(s) in {tmp_path / 'federation.toml'}:\n")
    lines = found.splitlines()[1:]
    assert len(lines) == 7
    for where in (
        "seed: found -1; expected: ",
        "colour: found an unknown key; expected ",
        "run.rounds: found 'many'; expected: ",
        "training.learning-rate: found 0; expected: ",
        "training.momentum: found 1.5; expected: ",
        "task: found ",
        "model.network: found 'resnet-1000'; expected: ",
    ):
        assert any(line.startswith(f"  - {where}") for line in lines), where


def test_all_tables_that_do_not_fit_together_are_listed_at_once(tmp_path: Path) -> None:
    text = f"""
    rounds-per-term = 5
    run = {{rounds = 12}}
    data = {{source = "npz", path = "x.npz", partition = {{kind = "by-class"}}}}
    election = {{policy = "fixed", server = "zeus"}}
    aggregation = {{min-clients = 2}}
    {TWO_VENDORS}
    classes = [0, 9]
    """
    lines = problems_of(tmp_path, text).splitlines()[1:]
    assert len(lines) == 5
    assert all("; expected " in line for line in lines)


BY_CLASS = {"source": "npz", "path": "x", "partition": {"kind": "by-class"}}


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"vendors": []}, "vendors: found 0; expected at least two; add"),
        ({"vendors": [{"name": "a"}]}, "vendors: found 1; expected at least two; add"),
        (
            {"vendors": [{"name": n} for n in "abab"]},
            "vendors: found a, b more than once; expected different names; rename",
        ),
        (
            {"election": {"policy": "fixed", "server": "zeus"}},
            "election.server: found 'zeus'; expected one of aster, borealis, cygnus, draco;",
        ),
        (
            {"aggregation": {"min-clients": 4}},
            "aggregation.min-clients: found 4; expected at most 3, all vendors but the server;",
        ),
        (
            {"rounds-per-term": 5, "run": {"rounds": 12}},
            "run.rounds: found 12; expected a multiple of rounds-per-term (5);",
        ),
        (
            {"data": {"source": "files"}, "vendors": [{"name": "a"}, {"name": "b", "path": "b"}]},
            "vendors.a.path: found nothing; expected this vendor's file or folder",
        ),
        (
            {"data": BY_CLASS, "vendors": [{"name": "a"}, {"name": "b", "classes": [0, 1]}]},
            "vendors.a.classes: found nothing; expected this vendor's labels",
        ),
        (
            {"data": BY_CLASS, "vendors": [{"name": n, "classes": [-1]} for n in "ab"]},
            "vendors.b.classes: found -1; expected 0 to 3; correct it, or complete task.classes",
        ),
        (
            {"election": {"policy": "cycle", "server": "aster"}},
            '`server` names the vendor of policy "fixed", and only of that',
        ),
        (
            {"election": {"policy": "fixed"}},
            '`server` names the vendor of policy "fixed", and only of that',
        ),
        ({"task": {"classes": ["a", "a"]}}, "at least two class names, all different"),
        ({"training": {"learning-rate": float("nan")}}, "training.learning-rate: found nan;"),
    ],
)
def test_tables_that_contradict_are_refused_and_the_text_teaches(
    tmp_path: Path, tree: dict[str, Any], problem: str
) -> None:
    assert problem in problems_of(tmp_path, tomli_w.dumps(tree))


@pytest.mark.parametrize("name", ["", "Aster", "a b", "../a", "-a", "a" * 41])
def test_vendor_name_that_is_no_plain_file_name_is_refused(tmp_path: Path, name: str) -> None:
    text = f"[[vendors]]\nname = '{name}'\n[[vendors]]\nname = 'b'"
    assert "vendors.0.name: found" in problems_of(tmp_path, text)


def test_error_says_which_command_shows_a_complete_example(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, "x = 1")
    assert caught.value.code == "SRFLM-C1"
    assert "srflm config show" in caught.value.mend


def test_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_federation(tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_federation(tmp_path)


@pytest.mark.parametrize("content", [b"[run\n", b"seed = 1\nseed = 2", b"\xff\xfe", b"a b c"])
def test_file_that_is_not_toml_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "federation.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load_federation(path)


@pytest.mark.parametrize("text", ["vendors = 3", "data = 'phantom'", "run = []", "vendors = [1]"])
def test_table_that_is_no_table_is_one_clear_error(tmp_path: Path, text: str) -> None:
    assert "1 problem(s)" in problems_of(tmp_path, text)


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
    federation = built_in_federation(vendors).changed(
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
    changed = Federation().changed(
        run__rounds=99, run__device="cpu", run__mixed_precision=False, run__work_deadline=1
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


CHANGES: list[dict[str, Any]] = [
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
    {"aggregation__rule": "krum"},
]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
def test_hash_changes_with_all_that_members_agree_on(changes: dict[str, Any]) -> None:
    assert Federation().changed(**changes).hash != Federation().hash


def test_every_table_but_run_is_covered_by_the_test_above() -> None:
    covered = {next(iter(changes)).split("__")[0] for changes in CHANGES}
    assert covered == Federation.model_fields.keys() - {"run"}


def test_changed_federation_is_checked_anew() -> None:
    with pytest.raises(ConfigurationError, match="in the changed federation"):
        Federation().changed(rounds_per_term=7, run__rounds=12)


def test_plans_carry_what_the_file_says() -> None:
    federation = Federation().changed(
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
