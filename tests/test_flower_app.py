"""What ``flwr build`` packs of this repository: the application, and nothing beside it."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from flwr.cli.app_cmd.publish import (
    _collect_file_paths,
    _validate_app_name,
    _validate_description,
    _validate_files,
)
from flwr.common.constant import FAB_MAX_SIZE
from flwr.supercore.constant import (
    MAX_DIR_DEPTH,
    MAX_FILE_BYTES,
    MAX_FILE_COUNT,
    MAX_NAME_LENGTH,
)
from flwr.supercore.fab_format_version import normalize_and_validate_fab_format
from flwr.supercore.version import package_version as flwr_version

from tests.support.commands import BIN, run

ROOT = Path(__file__).parents[1]
PACKAGES = ("strategies", "clients", "srflm_flower")
OTHERS = ("deploy", "tests", "benchmarks", "examples")
OUTDATED = "ignore:GitWildMatchPattern:DeprecationWarning"
"""Flower's own code uses a name that its library wants to drop."""
OF_A_SITE = ("sites/aster/site.toml", "runs/first/summary.json", "patients.md", "convert.py")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository in which a site keeps files of its own."""
    app = tmp_path_factory.mktemp("build") / "app"
    for name in (*PACKAGES, *OTHERS):
        shutil.copytree(ROOT / name, app / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, app / name)
    for name in OF_A_SITE:
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text("secret = true", encoding="utf-8")
    return app


@pytest.fixture(scope="module")
def bundle(checkout: Path) -> Path:
    """Return the bundle that the public command makes of the copy."""
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    environment = {**os.environ, **quiet, "FLWR_HOME": str(checkout.parent / "home")}
    built = checkout.parent / "built"
    built.mkdir()
    result = run([BIN / "flwr", "build", "--app", checkout], built, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "missing" not in result.stdout  # Flower's recommendations
    (path,) = built.iterdir()
    return path


def test_bundle_holds_the_application_and_nothing_that_lies_beside_it(bundle: Path) -> None:
    # Flower bundles only .py, .toml, .md, .yaml, and .json: any other file of a package is missed.
    files = (path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file())
    application = {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"}
    with zipfile.ZipFile(bundle) as packed:
        names = set(packed.namelist())
    assert len(application) > 100
    assert names == application | {"pyproject.toml", "README.md", "LICENSE", ".info/CONTENT"}


def test_bundle_is_within_the_limits_of_flower(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as packed:
        files = packed.infolist()
    assert bundle.stat().st_size < FAB_MAX_SIZE
    assert max(file.file_size for file in files) < MAX_FILE_BYTES
    assert max(file.filename.count("/") for file in files) <= MAX_DIR_DEPTH
    assert len(files) <= MAX_FILE_COUNT


def test_bundle_has_the_newest_format(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as packed:
        project = tomllib.loads(packed.read("pyproject.toml").decode())
    newest = normalize_and_validate_fab_format(project).fab_format_version
    project["tool"]["flwr"]["app"]["fab-format-version"] = newest + 1
    with pytest.raises(ValueError, match=r"Unsupported.*fab-format-version"):
        normalize_and_validate_fab_format(project)


@pytest.mark.filterwarnings(OUTDATED)
def test_unpacked_bundle_is_what_flower_would_publish(bundle: Path, tmp_path: Path) -> None:
    """By the functions with which `flwr app publish` collects and checks; nothing is sent."""
    with zipfile.ZipFile(bundle) as packed:
        packed.extractall(tmp_path)
        names = set(packed.namelist()) - {".info/CONTENT"}
    files = _collect_file_paths(tmp_path.resolve())
    _validate_files(files)
    assert {path.relative_to(tmp_path.resolve()).as_posix() for path in files} == names


@pytest.mark.filterwarnings(OUTDATED)
def test_publishing_the_checkout_itself_would_send_what_lies_beside_the_code(
    checkout: Path,
) -> None:
    """Flower does not look at `fab-include` there: so the page says to publish from the bundle."""
    sent = {each.relative_to(checkout).as_posix() for each in _collect_file_paths(checkout)}
    assert {"patients.md", "convert.py"} <= sent


def test_metadata_is_complete_and_agrees_with_what_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    app = project["tool"]["flwr"]["app"]
    assert app["publisher"] and app["display-name"]
    assert len(project["project"]["name"]) <= MAX_NAME_LENGTH
    assert project["project"]["license"] == {"file": "LICENSE"}
    _validate_description(project["project"]["description"])
    _validate_app_name(project["project"]["name"], "the folder")
    found = normalize_and_validate_fab_format(project)
    assert str(found.flwr_version_target) == flwr_version == app["flwr-version-target"]


IMPORT_BOTH_APPS = f"""
import sys
sys.path.insert(0, ".")
sys.modules.update(dict.fromkeys({OTHERS!r}))  # None: the import of such a module fails
from srflm_flower import client_app, server_app
assert server_app.app and client_app.app
for name in {PACKAGES!r}:
    print(sys.modules[name].__path__[0])
"""


@pytest.mark.slow
def test_both_apps_need_nothing_of_this_repository_but_the_bundle(
    bundle: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(bundle) as packed:
        packed.extractall(tmp_path)
    result = run([sys.executable, "-c", IMPORT_BOTH_APPS], tmp_path)
    assert result.returncode == 0, result.stderr
    found = [Path(line).resolve() for line in result.stdout.splitlines()]
    assert found == [(tmp_path / name).resolve() for name in PACKAGES]
