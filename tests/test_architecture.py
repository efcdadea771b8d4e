"""Rules of the project's structure: who may import whom, and how large a file may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("strategies", "clients", "srflm_flower", "deploy")
MOST_LINES = 350
FLOWER_PRIVATE = {
    "strategies/flower_private.py",
    "srflm_flower/memory_grid.py",
    "deploy/flower_internals.py",
    "deploy/flower_control.py",
}


def files_of(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports_of(path: Path, with_types: bool = False) -> set[str]:
    """Return the dotted names that a file imports, of modules and of what is taken from them.

    Imports that only the type checker sees count ``with_types``.
    """
    return set(_imports(ast.parse(path.read_text(encoding="utf-8")), with_types))


def _imports(node: ast.AST, with_types: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            if with_types:
                yield from _imports(child, with_types)
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports hide who imports whom"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from _imports(child, with_types)


def modules_from(path: Path, package: str) -> set[str]:
    """Return which modules of ``package`` a file imports, one level deep."""
    return {name.split(".")[1] for name in imports_of(path, True) if name.startswith(package + ".")}


def offenders(paths: list[Path], *forbidden: str) -> dict[str, set[str]]:
    """Return file → what it imports although it may not."""
    prefixes = tuple(f"{name}." for name in forbidden)
    found = {
        name_of(path): {each for each in imports_of(path) if f"{each}.".startswith(prefixes)}
        for path in paths
    }
    return {name: names for name, names in found.items() if names}


def test_the_algorithms_know_neither_torch_nor_files() -> None:
    pure = [*files_of("strategies"), ROOT / "srflm_flower" / "records.py"]
    assert offenders(pure, "torch", "monai", "pathlib", "os", "tempfile", "shutil") == {}


def test_election_quorum_and_records_know_neither_flower_nor_clocks() -> None:
    core = [
        ROOT / "strategies" / "election.py",
        ROOT / "srflm_flower" / "records.py",
        ROOT / "srflm_flower" / "quorum.py",
    ]
    assert offenders(core, "flwr", "time", "socket", "numpy") == {}


def test_the_algorithms_use_only_the_nouns_of_the_application() -> None:
    used = set().union(*(modules_from(path, "srflm_flower") for path in files_of("strategies")))
    assert used == {
        "errors",
        "records",
        "quorum",
        "messages",
        "weights",
        "flower_private",
        "secure_aggregation",
    }


def test_the_rules_of_secure_aggregation_know_neither_flower_nor_torch_nor_files() -> None:
    shell = {"messages.py", "notes.py", "site.py"}
    paths = files_of("srflm_flower/secure_aggregation")
    pure = [path for path in paths if path.name not in shell]
    assert len(pure) >= 7
    assert offenders(pure, "flwr", "torch", "pathlib", "time", "clients", "deploy") == {}


def test_the_algorithms_do_not_know_the_data() -> None:
    assert offenders(files_of("strategies"), "clients", "deploy") == {}


def test_what_touches_data_uses_only_leaves_of_the_application() -> None:
    used = set().union(*(modules_from(path, "srflm_flower") for path in files_of("clients")))
    assert used == {"durable", "errors", "weights"}


def test_what_touches_data_uses_only_the_settings_of_the_algorithms() -> None:
    used = set().union(*(modules_from(path, "strategies") for path in files_of("clients")))
    assert used == {"settings"}


def test_only_the_command_line_starts_a_deployment() -> None:
    users = offenders(files_of("strategies", "clients", "srflm_flower"), "deploy")
    assert [name for name in users if not name.startswith("srflm_flower/cli/")] == []


def test_private_parts_of_flower_are_used_in_four_files_only() -> None:
    users = {
        name_of(path)
        for path in files_of(*PACKAGES)
        for name in imports_of(path, True)
        if name.startswith(("flwr.supercore", "flwr.server.", "flwr.common"))
        and not name.startswith("flwr.common.logger")
    }
    assert users == FLOWER_PRIVATE


@pytest.mark.parametrize("path", files_of(*PACKAGES), ids=name_of)
def test_file_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES, "one idea a file"
    assert ast.get_docstring(ast.parse(text)), "a module begins with a docstring"


def test_nothing_is_pickled() -> None:
    assert offenders(files_of(*PACKAGES), "pickle", "cloudpickle", "dill", "joblib") == {}
    for path in files_of(*PACKAGES):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in {"torch.load", "np.load"}:
                words = {word.arg: ast.unparse(word.value) for word in call.keywords}
                keywords = {name: value for name, value in words.items() if name != "map_location"}
                safe = {"weights_only": "True"}, {"allow_pickle": "False"}
                assert keywords in safe, name_of(path)
