"""``srflm --version`` prints what members compare when one of them cannot come up."""

from __future__ import annotations

import platform
import re
from importlib.metadata import version
from pathlib import Path

from typer.testing import CliRunner

from deploy.cli import app
from deploy.cli.status import NODES, node_in_words
from deploy.flower.bundle import installed_bundle


def test_version_has_all_that_must_be_equal(tmp_path: Path) -> None:
    lines = CliRunner().invoke(app, ["--version"]).output.splitlines()
    assert lines == [
        f"srflm-flower {version('srflm-flower')}",
        f"Flower {version('flwr')}",
        f"Python {platform.python_version()}",
        f"bundle {installed_bundle(tmp_path)}",
    ]
    assert re.fullmatch(r"bundle [0-9a-f]{64}", lines[-1])


def test_state_of_a_peer_is_told_in_plain_words() -> None:
    assert {"online", "reachable", "silent", "unknown"} == NODES.keys()
    assert node_in_words("reachable") == "answers, and connects when it is needed"
    assert node_in_words("something new") == "something new"
