"""Rules of the federation file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from clients.settings import RESERVED_NAMES, NpzData
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
        "seed: found -1; expected a number not less than 0; change it",
        "colour: found an unknown key; expected ",
        "run.rounds: found 'many'; expected a whole number; change it",
        "training.learning-rate: found 0; expected a number greater than 0; change it",
        "training.momentum: found 1.5; expected a number less than 1; change it",
        "task.classes: found ['one']; expected at least two class names, all different;",
        "model.network: found 'resnet-1000'; expected one of 'small-cnn', 'resnet18', ",
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
            "election.server: found 'aster'; expected it with policy = \"fixed\" only; remove it",
        ),
        (
            {"election": {"policy": "fixed"}},
            'election.server: found nothing; expected a vendor\'s name, as policy is "fixed"; add',
        ),
        ({"task": {"classes": ["a", "a"]}}, "at least two class names, all different"),
        ({"training": {"learning-rate": float("nan")}}, "training.learning-rate: found nan;"),
        (
            {"splits": {"validation": 0.49, "test": 0.49}},
            "splits.test: found 0.49; expected at most 0.8 together with splits.validation (0.49)",
        ),
        (
            {"aggregation": {"rule": "trimmed-mean"}},
            "aggregation.trim: found 0.2, which leaves out nobody with 3 clients; expected at"
            " least 0.34,",
        ),
        (
            {"aggregation": {"rule": "krum"}},
            "aggregation.faulty: found 1; expected at most 0 with 4 vendors, as krum needs 2 ×"
            " faulty + 3 = 5 clients",
        ),
        (
            {"aggregation": {"rule": "krum"}, "vendors": [{"name": n} for n in "abc"]},
            "aggregation.rule: found 'krum' with 3 vendors; expected at least 4 vendors",
        ),
        (
            {"aggregation": {"secure": True, "rule": "krum", "faulty": 0}},
            "aggregation.rule: found 'krum'; expected 'mean' with aggregation.secure",
        ),
        (
            {"aggregation": {"secure": True, "rule": "weighted-mean"}},
            "aggregation.rule: found 'weighted-mean'; expected 'mean' with aggregation.secure",
        ),
        (
            {"aggregation": {"secure": True}, "vendors": [{"name": n} for n in "abc"]},
            "aggregation.secure: found true with 3 vendors; expected at least 4, as each of two",
        ),
        (
            {"aggregation": {"secure": True}},
            "evaluate-averaged: found true; expected false with aggregation.secure",
        ),
        (
            {"vendors": [{"name": "a", "path": "/a"}, {"name": "b"}]},
            "vendors.a.path: found '/a'; expected none, as data.source is \"phantom\"; remove it",
        ),
        (
            {"vendors": [{"name": "a", "classes": [0]}, {"name": "b"}]},
            "vendors.a.classes: found [0]; expected none without data.partition.kind =",
        ),
        (
            {"vendors": [{"name": "a", "max-examples": 9}, {"name": "b"}]},
            'vendors.a.max-examples: found 9; expected none, as data.source is "phantom"; remove',
        ),
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
    with pytest.raises(ConfigurationError, match=r"cannot be read \(No such file"):
        load_federation(tmp_path / "none.toml")


def test_folder_in_place_of_the_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"is a folder; .* name the file in it"):
        load_federation(tmp_path)


def test_nul_in_the_path_of_the_file_is_one_clear_error() -> None:
    with pytest.raises(ConfigurationError, match="null byte"):
        load_federation(Path("a\0b.toml"))


def test_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    path.write_bytes(b"\xef\xbb\xbfseed = 7")
    assert load_federation(path).seed == 7


@pytest.mark.parametrize("path", ["", "  ", "a\\u0000b"])
def test_path_that_names_nothing_is_refused(tmp_path: Path, path: str) -> None:
    found = problems_of(tmp_path, f'data = {{source = "npz", path = "{path}"}}')
    assert "data.path: found '" in found
    assert "expected the path of a file or folder" in found


def test_home_folder_is_found_in_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/x")
    federation = loaded(tmp_path, "data = {source = 'npz', path = '~/y.npz'}")
    assert isinstance(federation.data, NpzData)
    assert federation.data.path == Path("/home/x/y.npz")
    found = problems_of(tmp_path, "data = {source = 'npz', path = '~no-such-user/y.npz'}")
    assert "expected a user with a home folder" in found


def test_wrong_tables_do_not_hide_that_others_do_not_fit_together(tmp_path: Path) -> None:
    text = """
    rounds-per-term = 5
    colour = "red"
    run = {rounds = 12, round = 3}
    training = {batch_size = 0}
    splits = 3
    [[vendors]]
    name = "a"
    path = "x"
    """
    lines = problems_of(tmp_path, text).splitlines()[1:]
    assert [line.split(":")[0].strip(" -") for line in lines] == [
        "training.batch_size",
        "splits",
        "training.batch-size",
        "run.round",
        "colour",
        "vendors",
        "run.rounds",
        "vendors.a.path",
    ]


def test_number_of_rounds_that_is_wrong_does_not_hide_a_roster_of_one(tmp_path: Path) -> None:
    found = problems_of(tmp_path, "run = {rounds = 0}\nvendors = [{name = 'a'}]")
    assert "run.rounds: found 0; expected a number not less than 1" in found
    assert "vendors: found 1; expected at least two" in found
    assert found.startswith("2 problem(s)")


def test_wrong_vendor_does_not_hide_what_the_others_lack(tmp_path: Path) -> None:
    text = "data = {source = 'files'}\n[[vendors]]\nname = 'A'\n[[vendors]]\nname = 'b'"
    found = problems_of(tmp_path, text)
    assert "vendors.0.name: found 'A'; expected 1 to 40 lower-case letters" in found
    assert "vendors.b.path: found nothing" in found
    assert found.startswith("2 problem(s)")


@pytest.mark.parametrize("vendors", ["[]", "3"])
def test_empty_roster_is_one_problem(tmp_path: Path, vendors: str) -> None:
    text = f"vendors = {vendors}\nelection = {{policy = 'fixed', server = 'a'}}"
    assert problems_of(tmp_path, text).startswith("1 problem(s)")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("run = {rounds = '3'}", "run.rounds: found '3'; expected a whole number"),
        ("run = {rounds = true}", "run.rounds: found true; expected a whole number"),
        ("run = {rounds = 3.0}", "run.rounds: found 3.0; expected a whole number"),
        ("run = {mixed-precision = 1}", "run.mixed-precision: found 1; expected true or false"),
        ("run = 3", "run: found 3; expected a table"),
        ("training = {decay = '1'}", "training.decay: found '1'; expected a number;"),
        ("training = {decay = 2}", "training.decay: found 2; expected a number not greater than 1"),
        ("training = {decay = inf}", "training.decay: found inf; expected a "),
        ("name = 3", "name: found 3; expected text in quotes"),
        ("name = '-'", "name: found '-'; expected 1 to 40 letters, digits,"),
        ("vendors = 3", "vendors: found 3; expected an array of [[vendors]] tables"),
        ("vendors = [1]", "vendors.0: found 1; expected a table"),
        ("vendors = [{}]", "vendors.0.name: found nothing; expected a value; add it"),
        ("task = {classes = 'a'}", "task.classes: found 'a'; expected an array;"),
        ("task = {classes = ['a', 1]}", "task.classes.1: found 1; expected text in quotes"),
        ("task = {spatial-dims = 4}", "task.spatial-dims: found 4; expected one of 2, 3;"),
        ("task = {kind = 'x'}", "task.kind: found 'x'; expected 'classification';"),
        ("data = 3", "data: found 3; expected a table"),
        ("data = {}", "data.source: found nothing; expected one of 'phantom', 'npz', 'files'; add"),
        (
            "data = {source='x'}",
            "data.source: found 'x'; expected one of 'phantom', 'npz', 'files'",
        ),
        ("data = {source='npz', path=3}", "data.path: found 3; expected a path as text in quotes"),
        (
            "data = {source='npz', path='x', partition={alpha=1}}",
            "data.partition.kind: found nothing; expected one of 'dirichlet', 'by-class'; add it",
        ),
        ("files = 3", "files: found an unknown key"),
    ],
)
def test_wrong_value_is_explained_without_jargon(tmp_path: Path, text: str, problem: str) -> None:
    found = problems_of(tmp_path, text)
    assert problem in found
    for jargon in ("Input", "valid ", "instance", "tuple", "discriminator"):
        assert jargon not in found


def test_whole_number_is_fine_where_a_number_is_expected(tmp_path: Path) -> None:
    assert loaded(tmp_path, "training = {decay = 1}").training.decay == 1.0


def test_key_with_underscores_is_renamed(tmp_path: Path) -> None:
    text = "rounds_per_term = 2\ntraining = {learning_rate = 1}\nrun = {no_such = 1}"
    lines = problems_of(tmp_path, text).splitlines()[1:]
    assert [line.removeprefix("  - ") for line in lines] == [
        "rounds_per_term: found rounds_per_term; expected rounds-per-term; rename it",
        "training.learning_rate: found learning_rate; expected learning-rate; rename it",
        "run.no_such: found an unknown key; expected a documented one; correct or remove it",
    ]
    assert Federation.model_validate({"rounds_per_term": 2}).rounds_per_term == 2


@pytest.mark.parametrize("name", RESERVED_NAMES)
def test_vendor_may_not_have_the_name_of_a_model(tmp_path: Path, name: str) -> None:
    text = f"vendors = [{{name = '{name}'}}, {{name = 'b'}}]"
    assert f"vendors.0.name: found '{name}'; expected none of" in problems_of(tmp_path, text)


@pytest.mark.parametrize(
    ("vendors", "settings"),
    [
        (4, {"rule": "trimmed-mean", "trim": 0.34}),
        (6, {"rule": "trimmed-mean", "trim": 0.2}),
        (4, {"rule": "krum", "faulty": 0}),
        (6, {"rule": "krum", "faulty": 1}),
    ],
)
def test_robust_rule_with_clients_enough_is_fine(vendors: int, settings: dict[str, Any]) -> None:
    rule = built_in_federation(vendors).changed(aggregation=settings).aggregation.rule
    assert rule == settings["rule"]


@pytest.mark.parametrize("vendors", [4, 10, 50])
def test_secure_mean_with_clients_enough_is_fine(vendors: int) -> None:
    federation = built_in_federation(vendors)
    assert federation.changed(evaluate_averaged=False, aggregation__secure=True).aggregation.secure


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
def test_secure_range_must_be_a_positive_number(value: float) -> None:
    with pytest.raises(ConfigurationError, match="secure_range"):
        Federation().changed(aggregation__secure_range=value)


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


LATER = {
    "edition": 2,
    "previous": "b" * 64,
    "first": {"federation": "b" * 64, "roster": BUILT_IN_VENDORS},
}
CHANGES: list[dict[str, Any]] = [
    {"evaluate_averaged": False},
    {"bundle": "b" * 64},
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
    {"aggregation__moving_average": 0.5},
]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
def test_hash_changes_with_all_that_members_agree_on(changes: dict[str, Any]) -> None:
    assert Federation().changed(**changes).hash != Federation().hash


def test_every_table_but_run_is_covered_by_the_test_above() -> None:
    covered = {name.split("__")[0] for changes in CHANGES for name in changes} - {"run"}
    assert covered == Federation.model_fields.keys() - {"run"}


@pytest.mark.parametrize("field", LATER)
def test_later_edition_without_what_came_before_is_refused(field: str) -> None:
    partial = {name: value for name, value in LATER.items() if name != field}
    with pytest.raises(ConfigurationError, match="edition: found"):
        Federation().changed(**partial)
    other = LATER | {"previous": "c" * 64}
    assert Federation().changed(**other).hash != Federation().changed(**LATER).hash


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
