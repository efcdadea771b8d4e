"""``srflm privacy audit``: what it prints, writes, and exits with."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.cli import app
from strategies.errors import ConfigurationError
from tests.support.broken_builds import no_clipping
from tests.support.tiny import tiny_federation


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def invoke(*words: object) -> Result:
    command = ["privacy", "audit", *(str(word) for word in words)]
    return CliRunner().invoke(app, command, catch_exceptions=False, env={"COLUMNS": "120"})


def test_audit_of_the_real_build_ends_well_and_is_written(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    path.write_text(tiny_federation(tmp_path, ("a", "b")).to_toml())
    out = tmp_path / "audit.json"
    result = invoke(path, "--epsilon", 1, "--canaries", 200, "--out", out)
    assert result.exit_code == 0
    assert "accounted ε = 0.99" in result.output and "No attack shows more" in result.output
    (written,) = json.loads(out.read_text())
    assert written["refuted"] is False and written["lower-bound"] < written["accounted"]
    assert {each["seen"] for each in written["bounds"]} >= {"client updates", "server updates"}


def test_audit_of_a_broken_build_fails_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_clipping(monkeypatch)
    out = tmp_path / "audit.json"
    result = invoke("--epsilon", 1, "--canaries", 200, "--out", out)
    assert result.exit_code == 1
    assert "REFUTED" in result.output and "Do not train" in result.output
    assert json.loads(out.read_text())[0]["refuted"] is True


def test_epsilon_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ε = -1"):
        invoke("--epsilon", -1)


@pytest.mark.parametrize("words", [("--vendor", "nobody"), ("--shadows", 5)])
def test_wrong_shadows_are_refused(words: tuple[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        invoke("--attack", "lira", *words)


@pytest.mark.slow
@pytest.mark.long
def test_membership_is_found_without_privacy_and_not_with_it(tmp_path: Path) -> None:
    """Labels are drawn at random: whatever a model knows of them it has learnt by heart."""
    rng = np.random.default_rng(5)
    arrays: dict[str, np.ndarray] = {}
    for name, count in (("train", 300), ("val", 20), ("test", 20)):
        arrays[f"{name}_images"] = rng.integers(0, 256, (count, 8, 8), dtype=np.uint8)
        arrays[f"{name}_labels"] = rng.integers(0, 3, (count, 1))
    np.savez(tmp_path / "tiny.npz", **arrays)
    federation = tiny_federation(
        tmp_path, ("a", "b"), training__learning_rate=0.2, privacy__batch_size=30
    )
    path, out = tmp_path / "federation.toml", tmp_path / "lira.json"
    path.write_text(federation.to_toml())
    words = ("--epsilon", 1, "--steps", 150, "--shadows", 8, "--out", out)
    result = invoke(path, "--attack", "lira", *words)
    assert result.exit_code == 0 and "not private" in result.output
    plain, private = json.loads(out.read_text())
    assert plain["epsilon"] is None and plain["attack"]["auc"] > 0.6
    assert private["epsilon"] == pytest.approx(1.0, abs=0.02) and private["attack"]["auc"] < 0.56
