"""deploy/compose: the container of a site has no secrets and few rights, as the how-to says."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "compose"
DOCKERFILE = FOLDER / "Dockerfile"
COMPOSE = FOLDER / "compose.yaml"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    """Return the one service."""
    (found,) = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"].values()
    return dict(found)


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions with their texts, in order."""
    text = re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"))
    lines = filter(None, text.replace("\\\n", " ").splitlines())
    return [(line.split()[0], " ".join(line.split()[1:])) for line in lines]


def texts(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [text for found, text in instructions if found == name]


def test_linter_of_dockerfiles_finds_nothing() -> None:
    done = subprocess.run([BIN / "hadolint", DOCKERFILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_linter_would_find_something(tmp_path: Path) -> None:
    worse = DOCKERFILE.read_text(encoding="utf-8").replace(":3.11.14-slim-bookworm", ":latest")
    (tmp_path / "Dockerfile").write_text(worse, encoding="utf-8")
    command = [BIN / "hadolint", tmp_path / "Dockerfile"]
    assert "DL3007" in subprocess.run(command, capture_output=True, text=True).stdout


@pytest.mark.parametrize(("change", "code"), [("", 0), ("read_only: true", 1)])
def test_compose_file_is_one_by_its_specification(tmp_path: Path, change: str, code: int) -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    path = tmp_path / "compose.yaml"
    path.write_text(text.replace(change, "read_only: [wrong]") if change else text, "utf-8")
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path]
    assert subprocess.run(command, capture_output=True).returncode == code


def test_base_image_and_packages_are_pinned(instructions: list[tuple[str, str]]) -> None:
    (base,) = texts(instructions, "FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base)
    installs = [text for text in texts(instructions, "RUN") if "pip install" in text]
    assert all("-c constraints.txt" in text for text in installs)
    assert installs[0].endswith(" torch"), "torch comes first, from the index that was named"


def test_image_has_the_code_and_nothing_else(instructions: list[tuple[str, str]]) -> None:
    sources = {word for text in texts(instructions, "COPY") for word in text.split()[:-1]}
    packages = {"strategies", "clients", "srflm_flower", "deploy"}
    assert sources == packages | {"constraints.txt", "pyproject.toml", "README.md", "LICENSE"}
    assert texts(instructions, "ADD") == []
    lines = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    # The first rule leaves all files out; the others bring back what is copied, without keys.
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == sources
    last = [rule.removeprefix("**/") for rule in rules[1:] if not rule.startswith("!")]
    for name in ("signing.key", "node-b.key", "ledger.sqlite", "__pycache__"):
        assert any(fnmatch.fnmatch(name, rule) for rule in last), name


def test_no_secret_is_given_to_the_build(
    service: dict[str, Any], instructions: list[tuple[str, str]]
) -> None:
    assert set(service["build"]["args"]) == {"TORCH_INDEX", "EXTRAS"}
    assert {text.split("=")[0] for text in texts(instructions, "ARG")} == {"TORCH_INDEX", "EXTRAS"}
    assert "environment" not in service and "env_file" not in service


def test_site_runs_as_a_user_without_rights(
    service: dict[str, Any], instructions: list[tuple[str, str]]
) -> None:
    assert texts(instructions, "USER") == [service["user"]] == ["10001:10001"]
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "devices", "pid", "ipc", "network_mode", "userns_mode"} & set(service)
    assert not any("docker.sock" in str(each) for each in service["volumes"])


def test_only_two_folders_of_the_machine_can_be_written_to(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    volumes = {each["target"]: each.get("read_only", False) for each in service["volumes"]}
    assert volumes == {
        "/srv/srflm/site": False,
        "/srv/srflm/images": True,
        "/srv/srflm/owner": False,
    }
    # No folder of the machine has a default: a forgotten one is an error, and no new empty folder.
    assert all(re.fullmatch(r"\$\{SRFLM_\w+:\?.+\}", each["source"]) for each in service["volumes"])


def test_what_a_start_writes_is_in_memory_for_the_site_alone(service: dict[str, Any]) -> None:
    mounted = dict(each.split(":") for each in service["tmpfs"])
    assert set(mounted) == {"/srv/srflm/site/run", "/tmp"}
    for options in mounted.values():
        given = set(options.split(","))
        assert {"uid=10001", "gid=10001", "mode=0700"} <= given
        assert any(each.startswith("size=") for each in given)


def test_edge_is_the_only_port(service: dict[str, Any]) -> None:
    assert service["ports"] == ["${SRFLM_PORT:-8443}:8443"]


def test_container_ends_as_slowly_as_the_service_of_systemd(service: dict[str, Any]) -> None:
    unit = (ROOT / "deploy" / "operating" / "unit.service.j2").read_text(encoding="utf-8")
    assert f"TimeoutStopSec={service['stop_grace_period'].removesuffix('s')}\n" in unit
    assert service["init"] is True and service["healthcheck"]["test"][0] == "CMD"
