"""Tables of the federation file that are wrong or contradict each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomlkit

from strategies.errors import ConfigurationError
from tests.support.federation_files import TWO_VENDORS, loaded, problems_of


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
    network = "resnet 1000"
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
        "model.network: found 'resnet 1000'; expected 1 to 40 letters, digits, ",
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
            {"protocol": {"quorum": "byzantine"}, "vendors": [{"name": n} for n in "abc"]},
            'protocol.quorum: found "byzantine" with 3 vendors, of whom none may lie; expected at'
            " least 4 vendors",
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
    ],
)
def test_tables_that_contradict_are_refused_and_the_text_teaches(
    tmp_path: Path, tree: dict[str, Any], problem: str
) -> None:
    assert problem in problems_of(tmp_path, tomlkit.dumps(tree))


@pytest.mark.parametrize("name", ["", "Aster", "a b", "../a", "-a", "a" * 41])
def test_vendor_name_that_is_no_plain_file_name_is_refused(tmp_path: Path, name: str) -> None:
    text = f"[[vendors]]\nname = '{name}'\n[[vendors]]\nname = 'b'"
    assert "vendors.0.name: found" in problems_of(tmp_path, text)


def test_error_says_which_command_shows_a_complete_example(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, "x = 1")
    assert caught.value.code == "SRFLM-C1"
    assert "srflm config show" in caught.value.mend


def test_fields_are_checked_first_and_all_at_once(tmp_path: Path) -> None:
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
    ]


def test_tables_are_checked_against_each_other_once_all_fields_are_right(tmp_path: Path) -> None:
    text = """
    rounds-per-term = 5
    run = {rounds = 12}
    training = {batch-size = 1}
    [[vendors]]
    name = "a"
    path = "x"
    """
    lines = problems_of(tmp_path, text).splitlines()[1:]
    assert [line.split(":")[0].strip(" -") for line in lines] == [
        "vendors",
        "run.rounds",
        "vendors.a.path",
    ]


@pytest.mark.parametrize("vendors", ["[]", "3"])
def test_empty_roster_is_one_problem(tmp_path: Path, vendors: str) -> None:
    text = f"vendors = {vendors}\nelection = {{policy = 'fixed', server = 'a'}}"
    assert problems_of(tmp_path, text).startswith("1 problem(s)")
