"""Commands start fast: a heavy module is imported by the work that needs it, and by nothing else.

No help needs any, and a look at a site on the disk needs no network and no simulation.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from click import Argument, Command, Group
from typer.main import get_command

from deploy.cli import app
from tests.support.deployed import DeployedFederation
from tests.support.quick_sites import quick_federation
from tests.support.tiny import tiny_federation

HEAVY_FOR_A_LOOK = {"torch", "monai", "opacus", "matplotlib", "ray", "scipy", "dp_accounting"}
HEAVY_FOR_HELP = HEAVY_FOR_A_LOOK | {"flwr", "numpy", "pydantic"}
VENDORS = ("a", "b", "c")
TERMS = 2

SCRIPT = """
import json, sys
from typer.testing import CliRunner
from deploy.cli import app
results = [CliRunner().invoke(app, words) for words in json.loads(sys.argv[1])]
assert [result.exit_code for result in results] == [0] * len(results), results
print(json.dumps([[result.stdout for result in results], sorted(sys.modules)]))
"""


def commands(command: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[list[str], Command]]:
    """Yield a command and all below it, each with its words."""
    yield list(path), command
    for name, each in command.commands.items() if isinstance(command, Group) else ():
        yield from commands(each, (*path, name))


def printed_and_imported(*calls: list[str]) -> tuple[list[str], set[str]]:
    """Return the output of each call, and the modules that a fresh process has after all."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(calls)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    printed, modules = json.loads(ended.stdout)
    return printed, set(modules)


def packages(modules: set[str]) -> set[str]:
    """Return the top-level names of modules."""
    return {name.partition(".")[0] for name in modules}


def simulations(modules: set[str]) -> set[str]:
    """Return the modules of Flower's simulation."""
    return {name for name in modules if name.startswith("flwr.") and "simulation" in name}


# ---- help --------------------------------------------------------------------------------------


def test_every_help_is_without_heavy_imports() -> None:
    calls = [[*words, "--help"] for words, _ in commands(get_command(app))]
    assert len(calls) > 25
    assert packages(printed_and_imported(*calls)[1]) & HEAVY_FOR_HELP == set()


def test_every_help_explains_its_arguments() -> None:
    """Typer 0.20 loses their texts with click 8.5, which constraints.txt therefore leaves out."""
    explained = {
        each.name: each.help  # type: ignore[attr-defined]
        for _, command in commands(get_command(app))
        for each in command.params
        if isinstance(each, Argument)
    }
    assert len(explained) > 5
    assert [name for name, text in explained.items() if not text] == []


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
def test_shell_completion_is_offered(option: str) -> None:
    assert isinstance(app, typer.Typer)
    names = {name for each in get_command(app).params for name in each.opts}
    assert option in names


# ---- a look at a site --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a site that was never up."""
    folder = tmp_path_factory.mktemp("fresh")
    return DeployedFederation(folder / "f", tiny_federation(folder, VENDORS)).folders["a"]


@pytest.fixture(scope="module")
def with_terms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a site whose ledger has terms."""
    with quick_federation(tmp_path_factory.mktemp("with-terms"), VENDORS) as sites:
        sites.clear()
        sites.order("a", rounds=TERMS)
        sites.run_to(TERMS)
        return sites.folders["a"]


def look_at(site: Path) -> list[str]:
    """Return the outputs of all commands that only look at a site, which must import little."""
    looks = (["status"], ["status", "--json"], ["verify"], ["down"], ["logs"])
    printed, modules = printed_and_imported(*([*words, str(site)] for words in looks))
    assert packages(modules) & HEAVY_FOR_A_LOOK == set()
    assert simulations(modules) == set()
    return printed


def test_look_at_a_site_that_was_never_up_is_without_heavy_imports(fresh: Path) -> None:
    shown, as_json, verified, down, _ = look_at(fresh)
    assert "a (down)" in shown
    assert (json.loads(as_json)["term"], json.loads(as_json)["server_next"]) == (1, "a")
    assert "a: 0 terms" in verified and "no model yet" in verified
    assert down == "It was not up.\n"


def test_look_at_a_site_with_terms_is_without_heavy_imports(with_terms: Path) -> None:
    shown, as_json, verified, down, logged = look_at(with_terms)
    assert "a (down)" in shown
    assert json.loads(as_json)["term"] == TERMS + 1
    assert f"a: {TERMS} terms" in verified and "head model" in verified
    assert "state/audit.jsonl" in logged and "query.commit" in logged
    assert down == "It was not up.\n"


def test_the_checks_see_a_heavy_import(fresh: Path) -> None:
    # It reads the data as training does.
    _, modules = printed_and_imported(["config", "check", str(fresh / "federation.toml")])
    assert {"numpy", "pydantic"} <= packages(modules) & HEAVY_FOR_HELP
    assert "torch" in packages(modules) & HEAVY_FOR_A_LOOK
