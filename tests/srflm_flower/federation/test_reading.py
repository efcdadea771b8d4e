"""Federation files that cannot be read, and values that are explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clients.settings import RESERVED_NAMES, NpzData
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes
from strategies.errors import ConfigurationError
from tests.support.federation_files import loaded, problems_of


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
        (
            "task = {kind = 'x'}",
            "task.kind: found 'x'; expected one of 'classification', 'segmentation', ",
        ),
        ("data = 3", "data: found 3; expected a table"),
        ("data = {}", "data.source: found nothing; expected one of 'phantom', 'npz', 'files'; add"),
        (
            "data = {source='x'}",
            "data.source: found 'x'; expected one of 'phantom', 'npz', 'files'",
        ),
        ("data = {source='npz', path=3}", "data.path: found 3; expected a path as text in quotes"),
        (
            "data = {source='npz', path='x', partition={alpha=1}}",
            "data.partition.kind: found nothing; expected one of 'dirichlet', 'by-class', ",
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
    rule = with_changes(built_in_federation(vendors), aggregation=settings).aggregation.rule
    assert rule == settings["rule"]


@pytest.mark.parametrize("vendors", [4, 10, 50])
def test_secure_mean_with_clients_enough_is_fine(vendors: int) -> None:
    federation = built_in_federation(vendors)
    assert with_changes(
        federation, evaluate_averaged=False, aggregation__secure=True
    ).aggregation.secure


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
def test_secure_range_must_be_a_positive_number(value: float) -> None:
    with pytest.raises(ConfigurationError, match="secure_range"):
        with_changes(Federation(), aggregation__secure_range=value)


@pytest.mark.parametrize("content", [b"[run\n", b"seed = 1\nseed = 2", b"\xff\xfe", b"a b c"])
def test_file_that_is_not_toml_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "federation.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load_federation(path)


@pytest.mark.parametrize("text", ["vendors = 3", "data = 'phantom'", "run = []", "vendors = [1]"])
def test_table_that_is_no_table_is_one_clear_error(tmp_path: Path, text: str) -> None:
    assert "1 problem(s)" in problems_of(tmp_path, text)
