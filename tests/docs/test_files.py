"""The page of files lists what runs leave on disk."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.quick_sites import quick_federation
from tests.support.tiny import VENDORS, conduct, new_run, tiny_federation

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "files.md"
PRIVATE = {"unit": "record", "client_steps": 1, "server_steps": 1, "batch_size": 8}


def listed(heading: str) -> list[re.Pattern[str]]:
    """Return the patterns of the files in the table below ``heading``."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [pattern_of(name) for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def pattern_of(name: str) -> re.Pattern[str]:
    parts = re.split(r"(<[^>]+>)", name)
    kinds = {"<file>": ".+", "<term>": r"\d{6}", "<round>": r"\d{6}", "<sha256>": "[0-9a-f]{64}"}
    texts = (kinds.get(p, "[^/]+") if p.startswith("<") else re.escape(p) for p in parts)
    return re.compile("".join(texts))


def unlisted(folder: Path, *patterns: re.Pattern[str]) -> set[str]:
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files
    return {name for name in files if not any(each.fullmatch(name) for each in patterns)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that uses all that writes files: privacy, secure aggregation, a moving average."""
    folder = tmp_path_factory.mktemp("run")
    federation = tiny_federation(
        folder,
        run__rounds=2,
        evaluate_averaged=False,
        aggregation__secure=True,
        aggregation__moving_average=0.5,
        privacy=PRIVATE,
        personalised__own={"epochs": 1},
        vendors=[{"name": name, "size": 20} for name in VENDORS],
        data__partition__alpha=1000.0,
    )
    run = new_run(federation, folder / "run")
    conduct(run)
    return run.path


def test_files_of_a_run_are_listed(run: Path) -> None:
    assert unlisted(run, *listed("A run's folder")) == set()


def test_files_of_a_simulated_site_are_those_of_a_site(run: Path) -> None:
    state = listed("`state/`")
    for vendor in VENDORS:
        assert unlisted(run / "state" / "sites" / vendor, *state) == set()
    assert (run / "state" / "sites" / "a" / "privacy.sqlite").exists()


def test_files_of_a_deployed_site_are_listed(tmp_path: Path) -> None:
    sqlite = re.compile(r"ledger\.sqlite-(wal|shm)")
    with quick_federation(tmp_path, ("a", "b", "c")) as sites:
        for vendor in sites.roster:
            sites.site(vendor).begin()
        sites.order("a", rounds=2)
        sites.run_to(2)
        for vendor, folder in sites.folders.items():
            assert unlisted(folder / "state", sqlite, *listed("`state/`")) == set(), vendor
            assert unlisted(folder / "identity", *listed("`identity/`")) == set(), vendor
            top = {path.name for path in folder.iterdir() if path.is_file()}
            signatures = f"signatures.{sites.site(vendor).federation.hash[:12]}.toml"
            assert top == {"site.toml", "membership.toml", "federation.toml", signatures}
