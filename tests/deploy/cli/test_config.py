"""``srflm config show`` explains every setting, and what it prints is a file to begin with."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from clients.networks.build import initial_network
from deploy.cli import app
from deploy.site.commented_toml import commented_toml
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes
from strategies.errors import ConfigurationError
from tests.clients.bundles.made import network, with_weights
from tests.clients.networks.features.public_weights import write_public
from tests.support.federation_files import loaded
from tests.support.tiny import tiny_federation

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*/*.toml"))
NAMES = ("a.1", "b")
LATER_EDITION: dict[str, Any] = {
    "edition": 2,
    "previous": "b" * 64,
    "first": {"federation": "b" * 64, "roster": NAMES},
    "vendors": [
        {
            "name": name,
            "address": f"{name}.example:8443",
            "signing_key": f"{number:064x}",
            "node_keys": {peer: f"ecdsa-sha2-nistp384 {name}-at-{peer}" for peer in NAMES},
        }
        for number, name in enumerate(NAMES)
    ],
}


def show(*words: object) -> str:
    result = CliRunner().invoke(
        app, ["config", "show", *(str(word) for word in words)], catch_exceptions=False
    )
    assert result.exit_code == 0
    return result.output


def above(text: str, start: str) -> list[str]:
    """Return the comment lines directly above the only line that begins with ``start``."""
    lines = text.splitlines()
    (place,) = (number for number, line in enumerate(lines) if line.startswith(start))
    first = place
    while first and lines[first - 1].startswith("# "):
        first -= 1
    return lines[first:place]


def test_config_show_is_a_complete_and_valid_file() -> None:
    tree = tomllib.loads(show())
    assert tree["election"]["policy"] == "cycle"
    assert len(tree["vendors"]) == len(built_in_federation().roster)


def test_shown_file_passes_the_check(tmp_path: Path) -> None:
    written = tmp_path / "tiny.toml"
    written.write_text(tiny_federation(tmp_path).to_toml(), encoding="utf-8")
    shown = tmp_path / "shown.toml"
    shown.write_text(show(written), encoding="utf-8")
    result = CliRunner().invoke(app, ["config", "check", str(shown)], catch_exceptions=False)
    assert result.exit_code == 0
    assert load_federation(written).hash[:12] in result.output


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_shown_example_is_the_same_federation(tmp_path: Path, path: Path) -> None:
    federation = load_federation(path)
    assert loaded(tmp_path, commented_toml(federation)) == federation


def test_shown_deployment_of_a_later_edition_is_the_same_federation(tmp_path: Path) -> None:
    federation = with_changes(Federation(), **LATER_EDITION)
    assert loaded(tmp_path, commented_toml(federation)) == federation


def test_every_setting_has_its_description_above_it() -> None:
    federation = built_in_federation(2)
    lines = commented_toml(federation).splitlines()
    for table in (federation, federation.training, federation.privacy, federation.vendors[0]):
        for name, field in type(table).model_fields.items():
            first_words = " ".join((field.description or "").split()[:5])
            assert any(line.startswith(f"# {first_words}") for line in lines), name


def test_choices_are_listed() -> None:
    assert above(show(), "policy = ")[-1] == (
        '# One of "cycle", "score", "round-robin", "random", "fixed", "entry".'
    )


def test_setting_without_a_value_is_a_comment() -> None:
    text = show()
    assert "\n# label-alpha = (left out)\n" in text
    assert "label-alpha" not in tomllib.loads(text)["data"]


def test_a_roster_is_explained_once() -> None:
    text = commented_toml(built_in_federation(3))
    assert text.count("Name of the vendor, different from all others.") == 1
    assert text.count("[[vendors]]\n") == 3


def from_bundle(*words: object) -> Result:
    return CliRunner().invoke(app, ["config", "from-bundle", *map(str, words)])


def test_weights_have_the_suffix_that_the_federation_reads(tmp_path: Path) -> None:
    folder = with_weights(tmp_path / "b", network().state_dict())
    result = from_bundle(folder, "--weights", tmp_path / "federation.toml")
    assert isinstance(result.exception, ConfigurationError)
    assert ".safetensors" in str(result.exception) and not (tmp_path / "federation.toml").exists()


def test_what_from_bundle_prints_is_a_federation_that_begins_with_its_weights(
    tmp_path: Path,
) -> None:
    made = network()
    folder, weights = with_weights(tmp_path / "b", made.state_dict()), tmp_path / "w.safetensors"
    result = from_bundle(folder, "--weights", weights)
    assert result.exit_code == 0, result.exception
    (tmp_path / "federation.toml").write_text(result.output, encoding="utf-8")
    federation = load_federation(tmp_path / "federation.toml")
    begun = initial_network(federation.network_settings, federation.task, federation.seed)
    assert all(
        torch.equal(each, made.state_dict()[name]) for name, each in begun.state_dict().items()
    )
    checked = CliRunner().invoke(app, ["config", "check", str(tmp_path / "federation.toml")])
    assert "All begin with the weights in w.safetensors" in checked.output
    weights.write_bytes(b"another")
    again = from_bundle(folder, "--weights", weights)
    assert isinstance(again.exception, ConfigurationError) and weights.read_bytes() == b"another"
    checked = CliRunner().invoke(app, ["config", "check", str(tmp_path / "federation.toml")])
    assert isinstance(checked.exception, ConfigurationError)


def test_check_shows_whose_features_are_used_and_stops_without_them(tmp_path: Path) -> None:
    features = write_public(tmp_path / "public.safetensors")
    federation = tiny_federation(tmp_path, model__network="linear", model__features=features)
    file = tmp_path / "federation.toml"
    file.write_text(federation.to_toml(), encoding="utf-8")
    checked = CliRunner().invoke(app, ["config", "check", str(file)])
    assert "Features are by the weights in public.safetensors (SHA-256" in checked.output
    (tmp_path / "public.safetensors").unlink()
    missing = CliRunner().invoke(app, ["config", "check", str(file)])
    assert isinstance(missing.exception, ConfigurationError)
    assert "model.features.file" in str(missing.exception)
