"""Code of others is used as the documents show, and only the very code that was agreed on."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import srflm_flower
from clients.networks.build import build_network
from deploy.cli.parts.entry_tables import entry_tables
from deploy.site.verification import verify_site
from srflm_flower.federation.entries import check_entries
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes
from strategies.aggregation import Update, aggregate
from strategies.errors import ConfigurationError, UpdateRejected
from strategies.extensions import _loaded
from tests.srflm_flower.federation.extension_files import NAME, by_hand, tables
from tests.support.deployed import DeployedFederation
from tests.support.tiny import conduct, new_run, records_of, tiny_federation


def extended(folder: Path, **changes: Any) -> Federation:
    """Return a federation that uses all three entry points."""
    tables = tomllib.loads(entry_tables(NAME))
    chosen: dict[str, Any] = {}
    for table, setting in (("model", "network"), ("aggregation", "rule"), ("election", "policy")):
        chosen |= {f"{table}__{setting}": "entry", f"{table}__entry": tables[table]["entry"]}
    return tiny_federation(folder, ("a", "b", "c"), **{**chosen, **changes})


def test_documented_extension_runs_a_whole_federation(extension: Path, tmp_path: Path) -> None:
    folder = new_run(extended(tmp_path, model__arguments={"width": 5}), tmp_path / "run")
    summary = conduct(folder)
    assert summary.what_happened == "3 of 3 terms"
    records = records_of(folder)
    sizes = {vendor: ballot.examples for vendor, ballot in records[-1].ballots.items()}
    # Term 1 is elected without ballots; then the largest that has not served.
    rest = sorted(set(sizes) - {records[0].server}, key=lambda vendor: -sizes[vendor])
    assert [record.server for record in records[1:]] == rest
    model = srflm_flower.Run(folder.path).model()
    assert type(model.network).__name__ == "TwoLayers" and model.network.head.in_features == 5


def test_sites_verify_the_election_of_an_extension(extension: Path, tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", extended(tmp_path))
    sites.order("a", rounds=2)
    for _ in range(2):
        sites.turn()
    assert verify_site(sites.site("b")).elected == 2


def test_median_is_that_of_the_vendors(extension: Path, tmp_path: Path) -> None:
    settings = extended(tmp_path).aggregation
    updates = {
        vendor: Update({"w": np.full(3, value, np.float32)}, 1)
        for vendor, value in zip("abc", (1.0, 2.0, 90.0), strict=True)
    }
    assert aggregate(updates, settings)["w"].tolist() == [2.0, 2.0, 2.0]


def test_pins_are_part_of_the_identity_and_survive_the_file(
    extension: Path, tmp_path: Path
) -> None:
    federation = extended(tmp_path, aggregation__entry={**tables("aggregation"), "options": {}})
    path = tmp_path / "federation.toml"
    path.write_text(federation.to_toml(), encoding="utf-8")
    assert load_federation(path).hash == federation.hash
    other = {**tables("model"), "sha256": "0" * 64}
    assert with_changes(federation, model__entry=other).hash != federation.hash


@pytest.mark.parametrize(
    ("pin", "value", "said"),
    [
        ("version", "2.0.0", "agreed on 2.0.0"),
        ("sha256", "0" * 64, "installed files have the SHA-256"),
        ("name", "three-layers", "without an entry point 'three-layers'"),
        ("distribution", "no-such-distribution", "no distribution 'no-such-distribution'"),
    ],
)
def test_another_extension_than_the_agreed_one_is_refused(
    extension: Path, tmp_path: Path, pin: str, value: str, said: str
) -> None:
    for table in ("model", "aggregation", "election"):
        federation = extended(tmp_path, **{f"{table}__entry": {**tables(table), pin: value}})
        with pytest.raises(ConfigurationError, match=said):
            check_entries(federation)
            build_network(federation.network_settings, federation.task)


def test_changed_file_is_refused_before_it_is_run(extension: Path, tmp_path: Path) -> None:
    federation = extended(tmp_path)
    module = extension / "example_extension.py"
    module.write_text(module.read_text() + "\nraise SystemExit('it was run')\n")
    with pytest.raises(ConfigurationError, match="installed files have the SHA-256"):
        check_entries(federation)
    module.unlink()
    _loaded.cache_clear()
    with pytest.raises(ConfigurationError, match=r"without its file example_extension\.py"):
        check_entries(federation)


def test_hash_is_the_same_wherever_it_is_installed(
    extension: Path, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tables("model")["sha256"]
    other = tmp_path / "elsewhere"
    words = ["install", "--quiet", "--no-deps", "--no-index", "--compile", "--target"]
    command = [sys.executable, "-m", "pip", *words, str(other), str(wheel)]
    subprocess.run(command, check=True)
    monkeypatch.syspath_prepend(str(other))
    importlib.invalidate_caches()
    assert tables("model")["sha256"] == first


def test_model_file_of_an_extension_is_built_by_no_other(extension: Path, tmp_path: Path) -> None:
    folder = new_run(extended(tmp_path, run__rounds=1), tmp_path / "run")
    conduct(folder)
    module = extension / "example_extension.py"
    module.write_text(module.read_text() + "# another build\n")
    _loaded.cache_clear()
    with pytest.raises(ConfigurationError, match="installed files have the SHA-256"):
        srflm_flower.load_model(folder.global_model)


# ---- extensions that are wrong -------------------------------------------------------------------

RULES = {
    "lambda updates: {'weight': 1}": UpdateRejected,
    "lambda updates: {}": UpdateRejected,
    "lambda updates: {n: a * float('nan') for n, a in updates['a'].weights.items()}": (
        UpdateRejected
    ),
    "lambda updates: 1 / 0": ConfigurationError,
    "3": ConfigurationError,
}


@pytest.mark.parametrize("rule", RULES)
def test_rule_that_makes_no_model_is_found_before_a_run(
    place: Path, tmp_path: Path, rule: str
) -> None:
    found = by_hand(place, f"it = {rule}\n", "[srflm.aggregations]\nit = strange:it\n")
    changes: dict[str, Any] = {"aggregation__rule": "entry", "aggregation__entry": found}
    with pytest.raises((ConfigurationError, UpdateRejected)) as raised:
        check_entries(tiny_federation(tmp_path, ("a", "b"), **changes))
    assert isinstance(raised.value, (RULES[rule], UpdateRejected))


def test_policy_that_forgets_a_vendor_is_found_before_a_run(place: Path, tmp_path: Path) -> None:
    code = (
        "class it:\n    def __init__(self, seed): ...\n    def rank(self, e): return e.roster[1:]\n"
    )
    found = by_hand(place, code, "[srflm.elections]\nit = strange:it\n")
    changes: dict[str, Any] = {"election__policy": "entry", "election__entry": found}
    with pytest.raises(ConfigurationError, match="does not name each vendor once"):
        check_entries(tiny_federation(tmp_path, ("a", "b"), **changes))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("it = 3\n", "no class of a network"),
        ("raise ValueError('at /home/somebody')\n", r"cannot be imported \(ValueError\)"),
        (None, "an editable installation"),
    ],
)
def test_network_that_is_none_is_refused(
    place: Path, tmp_path: Path, code: str | None, said: str
) -> None:
    found = by_hand(place, code, "[srflm.networks]\nit = strange:it\n")
    federation = tiny_federation(tmp_path, model__network="entry", model__entry=found)
    with pytest.raises(ConfigurationError, match=said) as raised:
        build_network(federation.network_settings, federation.task)
    assert "/home/somebody" not in str(raised.value)


def test_module_of_the_same_name_elsewhere_does_not_run_in_its_place(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = by_hand(place, "it = sum\n", "[srflm.aggregations]\nit = shadowed:it\n", "shadowed")
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "shadowed.py").write_text("it = max\n")
    monkeypatch.syspath_prepend(str(tmp_path / "first"))
    importlib.invalidate_caches()
    changes: dict[str, Any] = {"aggregation__rule": "entry", "aggregation__entry": found}
    with pytest.raises(ConfigurationError, match="imported from elsewhere"):
        check_entries(tiny_federation(tmp_path, ("a", "b"), **changes))
    sys.modules.pop("shadowed", None)


@pytest.mark.parametrize("table", ["model", "aggregation", "election"])
def test_entry_and_its_setting_stand_together(extension: Path, tmp_path: Path, table: str) -> None:
    setting = {"model": "network", "aggregation": "rule", "election": "policy"}[table]
    with pytest.raises(ConfigurationError, match="expected this table"):
        tiny_federation(tmp_path, **{f"{table}__{setting}": "entry"})
    with pytest.raises(ConfigurationError, match=f'expected it with {setting} = "entry" only'):
        tiny_federation(tmp_path, **{f"{table}__entry": tables(table)})


def test_distribution_without_an_entry_point_is_named() -> None:
    with pytest.raises(ConfigurationError, match="numpy without an entry point"):
        entry_tables("numpy")
