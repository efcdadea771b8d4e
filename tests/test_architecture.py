"""Rules of the project's structure: who may import whom, and how large a file may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ("strategies", "clients", "srflm_flower", "deploy", "benchmarks")
"""A package imports only those before it."""

ROOMS = {
    "strategies": (
        *(
            "coded_error",
            "errors",
            "settings",
            "extensions",
            "flower_private",
            "own_loop",
            "weights",
            "protocol",
        ),
        *("aggregation", "election", "eligibility", "secure_aggregation", "phases"),
        *("term", "server_rotating", "baselines"),
    ),
    "clients": (
        *("files", "device", "seeds", "paths", "imaging", "tasks", "preparation"),
        *("partition_settings", "feature_settings", "settings", "data", "evaluation", "guidance"),
        *("training", "prediction"),
        *("results", "privacy", "networks", "learner", "models", "bundles", "case_pictures"),
    ),
    "srflm_flower": (
        *("federation", "privacy", "results", "report", "package", "site", "run"),
        *("client_app", "server_app", "comparison", "attacks"),
    ),
    "deploy": (
        *("identity", "processes", "door", "edge", "flower", "site", "page", "pacs"),
        *("membership", "serving", "simulation", "operating", "doctor", "tracking", "cli"),
    ),
}
"""A room (a folder or file of a package) imports only those before it in its package."""

PACKAGES = ORDER[:-1]
MAX_LINES = 350
MAX_ENTRIES = 26
FILES = ("pathlib", "os", "tempfile", "shutil")
PURE = ("election.py", "protocol/records.py", "protocol/quorum.py")
FLOWER_PRIVATE = {
    "strategies/flower_private.py",
    "srflm_flower/run/memory_grid.py",
    "deploy/flower/internals.py",
    "deploy/flower/control.py",
}


def files_of(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def imports_of(path: Path, with_types: bool = False) -> frozenset[str]:
    """Return the dotted names that a file imports, of modules and of what is taken from them.

    Imports that only the type checker sees count ``with_types``.
    """
    return frozenset(_imports(ast.parse(path.read_text(encoding="utf-8")), with_types))


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


def entries_of(folder: Path) -> int:
    """Return the number of files and folders that a folder shows a reader."""
    return len([path for path in folder.iterdir() if path.name != "__pycache__"])


def room_files(package: str, room: str) -> list[Path]:
    """Return the files of a room."""
    file = ROOT / package / f"{room}.py"
    return [file] if file.is_file() else files_of(f"{package}/{room}")


def whole(path: Path) -> frozenset[str]:
    """Return the modules that a file imports, and those of which it takes something."""
    names = imports_of(path, with_types=True)
    return names | {name.rpartition(".")[0] for name in names}


def offenders(paths: list[Path], *forbidden: str) -> dict[str, set[str]]:
    """Return file → what it imports although it may not."""
    prefixes = tuple(f"{name}." for name in forbidden)
    found = {
        name_of(path): {each for each in imports_of(path) if f"{each}.".startswith(prefixes)}
        for path in paths
    }
    return {name: names for name, names in found.items() if names}


@pytest.mark.parametrize("package", ORDER)
def test_package_imports_only_those_before_it(package: str) -> None:
    later = ORDER[ORDER.index(package) + 1 :]
    assert offenders(files_of(package), *later) == {}


@pytest.mark.parametrize(
    ("package", "room"), [(package, room) for package in ROOMS for room in ROOMS[package]]
)
def test_room_imports_only_those_before_it(package: str, room: str) -> None:
    later = ROOMS[package][ROOMS[package].index(room) + 1 :]
    assert offenders(room_files(package, room), *(f"{package}.{each}" for each in later)) == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_has_its_place(package: str) -> None:
    names = {path.relative_to(ROOT / package).parts[0] for path in files_of(package)}
    assert {name.removesuffix(".py") for name in names} - {"__init__"} == set(ROOMS[package])


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_files_import_each_other(package: str) -> None:
    """Type checkers' imports count too: a reader follows them."""
    modules = {
        name_of(path).removesuffix(".py").replace("/", "."): path for path in files_of(package)
    }
    imports = {name: whole(path) & modules.keys() - {name} for name, path in modules.items()}
    while leaves := {name for name, needs in imports.items() if not needs & imports.keys()}:
        imports = {name: needs for name, needs in imports.items() if name not in leaves}
    assert imports == {}


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in files_of(*PACKAGES)}), ids=name_of
)
def test_folder_says_what_it_is_and_is_small(folder: Path) -> None:
    doc = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert doc, "the folder says what lives there, and what it may import"
    assert entries_of(folder) <= MAX_ENTRIES


@pytest.mark.parametrize("folder", sorted({path.parent for path in files_of("tests")}), ids=name_of)
def test_folder_of_tests_is_small(folder: Path) -> None:
    assert entries_of(folder) <= MAX_ENTRIES


def test_the_algorithms_know_neither_torch_nor_files() -> None:
    assert offenders(files_of("strategies"), "torch", "monai", *FILES) == {}


def test_election_quorum_and_records_know_neither_flower_nor_clocks() -> None:
    core = [ROOT / "strategies" / name for name in PURE]
    assert offenders(core, "flwr", "time", "socket", "numpy") == {}


def test_the_doctors_rules_know_neither_files_nor_sockets_nor_clocks() -> None:
    rules = files_of("deploy/doctor/rules")
    assert len(rules) >= 7
    edges = ("time", "socket", "ssl", "subprocess", "psutil", "torch", "deploy.doctor.looks")
    assert offenders(rules, *edges, *FILES) == {}


def test_only_one_room_knows_the_optional_readers_of_images() -> None:
    others = [path for path in files_of(*PACKAGES) if "clients/imaging" not in name_of(path)]
    assert offenders(others, "pydicom", "highdicom", "nibabel") == {}


def test_the_rules_of_secure_aggregation_know_no_flower() -> None:
    paths = files_of("strategies/secure_aggregation")
    pure = [path for path in paths if path.name != "messages.py"]
    assert len(pure) >= 7
    assert offenders(pure, "flwr", "time") == {}


def test_private_parts_of_flower_are_used_in_four_files_only() -> None:
    users = {
        name_of(path)
        for path in files_of(*PACKAGES)
        for name in imports_of(path, True)
        if name.startswith(("flwr.supercore", "flwr.server.", "flwr.common"))
        and not name.startswith("flwr.common.logger")
    }
    assert users == FLOWER_PRIVATE


@pytest.mark.parametrize("path", files_of(*ORDER, "tests", "docs"), ids=name_of)
def test_file_is_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_LINES, "one idea a file"


@pytest.mark.parametrize("path", files_of(*PACKAGES), ids=name_of)
def test_file_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
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
